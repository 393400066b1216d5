//! Who shares in the fees of a trade.

use ledger::{Amount, BasisPoints};

use crate::ids::{TradeId, UserId};
use crate::rows::people::Tier;

/// A share in the fees of one side of a trade, fixed when the trade was locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referral {
    /// Whose fee is shared.
    pub side: FeeSide,
    /// 1 brought the trader, 2 brought level 1, 3 brought level 2.
    pub level: i16,
    /// Who shares in it.
    pub referrer: UserId,
    /// Their tier at lock.
    pub tier: Tier,
    /// Their rate at lock; `None` where none was set.
    pub rate: Option<BasisPoints>,
}

/// Whose fee it is. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FeeSide {
    /// Of whom the offer was.
    Maker,
    /// Of whom took it.
    Taker,
}

impl FeeSide {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Maker => "maker",
            Self::Taker => "taker",
        }
    }

    /// The side that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Maker, Self::Taker].into_iter().find(|side| side.as_str() == text)
    }
}

/// What a referrer was paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commission {
    /// The trade.
    pub trade: TradeId,
    /// Who was paid.
    pub referrer: UserId,
    /// As in [`Referral`].
    pub level: i16,
    /// The fees of the sides that they brought; minor units.
    pub base: Amount,
    /// Their rate.
    pub rate: BasisPoints,
    /// Their share, floored; minor units.
    pub amount: Amount,
}
