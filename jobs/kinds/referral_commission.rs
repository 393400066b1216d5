use ledger::{Code, Purpose, fee_floor};
use serde::{Deserialize, Serialize};

use crate::desk::{Desk, Want};
use crate::ids::{PrincipalId, TradeId, UserId};
use crate::job::{Job, Parking, Verdict};
use crate::kind::{Decide, Kind};
use crate::kind_info::{Lane, Origin};
use crate::machines::trade::TradeState;
use crate::policy::receivable;
use crate::policy::shares::share;
use crate::reason::Reason;
use crate::rows::referral::Commission;
use crate::subject::About;

/// Pays a referrer their share of a released trade's fees, out of the fee account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferralCommission {
    /// The trade.
    pub trade_id: TradeId,
    /// Who is paid.
    pub referrer_id: UserId,
    /// As fixed at lock.
    pub level: i16,
    /// Which stripe of the fee account the release paid the fees into, so that there is enough.
    pub fee_stripe: i16,
}

impl Kind for ReferralCommission {
    const NAME: &'static str = "referral-commission";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Internal;
    const ABOUT: About<Self> = About::Trade(|job| job.trade_id);

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
        want.referrals.insert(self.trade_id);
    }

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        if let Some(trade) = desk.trades.get(&self.trade_id) {
            want.existing.insert(Desk::house_stripe(trade.asset, Purpose::Fee, self.fee_stripe));
            want.accounts.insert(Desk::wallet(self.referrer_id, trade.asset));
            want.existing.insert(Desk::receivable(self.referrer_id, trade.asset));
        }
    }
}

impl Decide for ReferralCommission {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        if job.submitted_by != PrincipalId::HOLDFAST {
            return Reason::NotHoldfast.into();
        }
        let Some(trade) = desk.trades.get(&self.trade_id).cloned() else {
            return Verdict::contradiction(format!("trade {} does not exist", self.trade_id));
        };
        if trade.state != TradeState::Released {
            return trade.refusal(Reason::WrongState).into();
        }
        let referrals = desk.referrals.get(&self.trade_id).map_or(&[][..], Vec::as_slice);
        let Some((base, rate, tier)) = share(referrals, &trade, self.referrer_id, self.level) else {
            return Verdict::contradiction("the trade's lock fixed no share for this referrer and level");
        };
        // Where none was set at lock, one that was set since and a person's retry settle it.
        let Some(rate) = rate.or_else(|| desk.rules.referral_rates.get(&(tier, self.level)).copied()) else {
            return Verdict::Park(Parking {
                reason: "rate_missing",
                detail: format!("there is no referral rate for tier {} at level {}", tier.as_str(), self.level),
            });
        };
        let amount = fee_floor(base, rate);
        let fees = trade.fees.and_then(|(maker, taker)| maker.checked_add(taker));
        let Some(commissioned) = trade.commissioned.checked_add(amount).filter(|sum| Some(*sum) <= fees) else {
            return Verdict::contradiction("the commissions of the trade exceed its fees");
        };
        if !amount.is_zero() {
            let from = Desk::house_stripe(trade.asset, Purpose::Fee, self.fee_stripe);
            let paid = desk.account(from).and_then(|fees| {
                let wallet = desk.account(Desk::wallet(self.referrer_id, trade.asset))?;
                desk.book.transfer(job.id, Code::Commission, fees, wallet, amount)?;
                receivable::repay(desk, job.id, self.referrer_id, trade.asset, amount)
            });
            match paid {
                Ok(()) => {}
                // The release paid the fee into this very account, so that it is gone is no refusal.
                Err(Verdict::Rejected(rejection)) => {
                    return Verdict::contradiction(format!("the fee account refuses: {}", rejection.reason.code()));
                }
                Err(verdict) => return verdict,
            }
        }
        let commission =
            Commission { trade: self.trade_id, referrer: self.referrer_id, level: self.level, base, rate, amount };
        let noted = desk.commissions.append(job.id, commission)
            && desk.trades.update(&self.trade_id, |trade| trade.commissioned = commissioned);
        debug_assert!(noted, "the trade was just found and the job is decided once");
        Verdict::SETTLED
    }
}
