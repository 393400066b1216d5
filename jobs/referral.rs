//! Who shares in the fees of a trade.

use ledger::{Amount, BasisPoints};

use crate::cause::Cause;
use crate::desk::Desk;
use crate::ids::{TradeId, UserId};
use crate::kind::{Job, Verdict};
use crate::people::User;
use crate::referral_commission::ReferralCommission;
use crate::registry::AnyJob;
use crate::trade::Trade;

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
    pub tier: crate::people::Tier,
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

/// The only level that is paid so far.
const LEVEL: i16 = 1;

/// What is fixed at lock: the referrers of the maker and of the taker, with tiers and rates.
pub(crate) fn fixed_at_lock(desk: &Desk, maker: &User, taker: &User) -> Vec<Referral> {
    [(FeeSide::Maker, maker), (FeeSide::Taker, taker)]
        .into_iter()
        .filter_map(|(side, person)| {
            let referrer = person.referrer?;
            let rate = desk.rules.referral_rates.get(&(referrer.tier, LEVEL)).copied();
            Some(Referral { side, level: LEVEL, referrer: referrer.id, tier: referrer.tier, rate })
        })
        .collect()
}

/// The fees that a referrer shares in, and their rate: those of one side, or of both if they
/// brought both.
pub(crate) fn share(
    referrals: &[Referral],
    trade: &Trade,
    referrer: UserId,
    level: i16,
) -> Option<(Amount, Option<BasisPoints>, crate::people::Tier)> {
    let (maker_fee, taker_fee) = trade.fees?;
    let mut base = Amount::ZERO;
    let mut terms = None;
    for referral in referrals.iter().filter(|referral| referral.referrer == referrer && referral.level == level) {
        base = base.checked_add(match referral.side {
            FeeSide::Maker => maker_fee,
            FeeSide::Taker => taker_fee,
        })?;
        terms = Some((referral.rate, referral.tier));
    }
    terms.map(|(rate, tier)| (base, rate, tier))
}

/// The commissions that may be due once a trade is released: one for each referrer and level.
pub(crate) fn commissions(desk: &Desk, id: TradeId) -> Vec<ReferralCommission> {
    let referrals = desk.referrals.get(&id).map_or(&[][..], Vec::as_slice);
    let mut shared: Vec<(UserId, i16)> = referrals.iter().map(|referral| (referral.referrer, referral.level)).collect();
    shared.sort_unstable();
    shared.dedup();
    let commission =
        |(referrer_id, level)| ReferralCommission { trade_id: id, referrer_id, level, fee_stripe: desk.stripe };
    shared.into_iter().map(commission).collect()
}

/// Causes the commissions of a trade that was just released: one for each referrer and level that
/// there is a fee to share with.
pub(crate) fn cause_commissions(desk: &mut Desk, job: &Job, id: TradeId, trade: &Trade) -> Result<(), Verdict> {
    let referrals = desk.referrals.get(&id).cloned().unwrap_or_default();
    for kind in commissions(desk, id) {
        let (referrer, level) = (kind.referrer_id, kind.level);
        let Some((base, _, _)) = share(&referrals, trade, referrer, level) else {
            return Err(Verdict::contradiction("the shares in the fees cannot be added up"));
        };
        if base.is_zero() {
            continue;
        }
        desk.causes.push(Cause {
            key: format!("{}:{referrer}:{level}", trade.hold.0),
            kind: AnyJob::ReferralCommission(kind),
            run_at: None,
            caused_by: Some(job.clone()),
            at_once: true,
        });
    }
    Ok(())
}
