use chrono::{DateTime, Utc};
use ledger::{Amount, AssetId, BasisPoints, HoldId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::UserId;
use crate::job::Rejection;
use crate::machines::trade::{Party, TradeState};
use crate::reason::Reason;

/// A trade as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Whose money is held.
    pub seller: UserId,
    /// Who receives it on release.
    pub buyer: UserId,
    /// What is traded.
    pub asset: AssetId,
    /// Exactly what is held; minor units.
    pub amount: Amount,
    /// The hold in the seller's wallet.
    pub hold: HoldId,
    /// Where it stands.
    pub state: TradeState,
    /// Whose offer it was.
    pub maker: MakerSide,
    /// Fixed at lock.
    pub maker_rate: BasisPoints,
    /// Fixed at lock.
    pub taker_rate: BasisPoints,
    /// Set on release: maker fee and taker fee, both floored; minor units.
    pub fees: Option<(Amount, Amount)>,
    /// When the lock settled.
    pub opened_at: DateTime<Utc>,
    /// A mark-paid received later than this is refused.
    pub pay_by: DateTime<Utc>,
    /// When the buyer's mark-paid was received.
    pub paid_at: Option<DateTime<Utc>>,
    /// When the hold was closed.
    pub closed_at: Option<DateTime<Utc>>,
    /// Which timer counts: one of an older generation does nothing.
    pub timer: i16,
    /// When the seller's extension was received.
    pub extended_at: Option<DateTime<Utc>>,
    /// When the buyer took their mark-paid back.
    pub undone_at: Option<DateTime<Utc>>,
    /// When it was cancelled or expired.
    pub ended_at: Option<DateTime<Utc>>,
    /// What of the fees went to referrers; minor units.
    pub commissioned: Amount,
}

/// Whose offer a trade came from. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MakerSide {
    /// The seller offered.
    Seller,
    /// The buyer offered.
    Buyer,
}

impl MakerSide {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "seller",
            Self::Buyer => "buyer",
        }
    }

    /// The side that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Seller, Self::Buyer].into_iter().find(|side| side.as_str() == text)
    }
}

impl Trade {
    /// Who somebody is within the trade.
    pub fn party(&self, user: UserId) -> Party {
        if user == self.seller {
            Party::Seller
        } else if user == self.buyer {
            Party::Buyer
        } else {
            Party::Stranger
        }
    }

    /// A refusal that tells the state it found.
    pub const fn refusal(&self, reason: Reason) -> Rejection {
        Rejection { reason, found: Some(self.state.as_str()) }
    }
}
