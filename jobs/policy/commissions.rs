//! Which commissions a release causes.

use crate::desk::{Cause, Desk};
use crate::ids::{TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::kind::cause;
use crate::kinds::referral_commission::ReferralCommission;
use crate::policy::shares::share;
use crate::rows::trade::Trade;

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
        let key = format!("{}:{referrer}:{level}", trade.hold.0);
        let caused = cause(&kind, key, Some(job))?;
        desk.causes.push(Cause { at_once: true, ..caused });
    }
    Ok(())
}
