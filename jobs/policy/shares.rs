//! How the fees of a trade are shared.

use ledger::{Amount, BasisPoints};

use crate::desk::Desk;
use crate::ids::UserId;
use crate::rows::people::{Tier, User};
use crate::rows::referral::{FeeSide, Referral};
use crate::rows::trade::Trade;

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
) -> Option<(Amount, Option<BasisPoints>, Tier)> {
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
