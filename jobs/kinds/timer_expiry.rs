use serde::{Deserialize, Serialize};

use crate::desk::{Cause, Desk, Want};
use crate::ids::TradeId;
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Kind, cause};
use crate::kind_info::{Lane, Origin};
use crate::kinds::refund::cause_refund;
use crate::machines::trade::TradeMove;
use crate::policy::trade::{Actor, judge};
use crate::reason::Reason;
use crate::rows::trade::Trade;
use crate::subject::About;

/// The time for paying is over: the trade expires, and its money goes back to the seller.
///
/// A timer of an older generation does nothing, and one that finds something queued or parked that
/// was received by the deadline waits for it: when it was received counts, not when a worker came
/// round to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimerExpiry {
    /// The trade.
    pub trade_id: TradeId,
    /// Which of its timers this is.
    pub generation: i16,
}

impl TimerExpiry {
    /// The timer of a trade as it stands: caused once for each generation, and not before the
    /// grace that follows the deadline is over.
    ///
    /// # Errors
    /// As [`cause`].
    pub fn cause(desk: &Desk, id: TradeId, trade: &Trade, caused_by: Option<&Job>) -> Result<Cause, Verdict> {
        let run_at = trade.pay_by.checked_add_signed(desk.rules.expiry_grace).filter(|due| *due > desk.now);
        let timer = Self { trade_id: id, generation: trade.timer };
        Ok(Cause { run_at, ..cause(&timer, timer.key(), caused_by)? })
    }

    /// The fact that causes it.
    pub fn key(&self) -> String {
        format!("{}:{}", self.trade_id, self.generation)
    }
}

impl Kind for TimerExpiry {
    const NAME: &'static str = "timer-expiry";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Internal;
    const ABOUT: About<Self> = About::Trade(|job| job.trade_id);

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
        want.expiring.insert(self.trade_id);
    }

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Decide for TimerExpiry {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let (trade, state) = match judge(desk, job, self.trade_id, TradeMove::Expire, Actor::Holdfast) {
            Ok(judged) => judged,
            Err(verdict) => return verdict,
        };
        if trade.timer != self.generation {
            return trade.refusal(Reason::StaleTimer).into();
        }
        let due = trade.pay_by.checked_add_signed(desk.rules.expiry_grace);
        if let Some(wait) = due.and_then(|due| due.signed_duration_since(desk.now).to_std().ok())
            && !wait.is_zero()
        {
            return Verdict::Later { after: wait, why: "the deadline and its grace are not over yet" };
        }
        if desk.pending.contains(&self.trade_id) {
            return job.later("something that was received by the deadline has not settled yet");
        }
        let now = desk.now;
        let updated = desk.trades.update(&self.trade_id, |trade| {
            trade.state = state;
            trade.ended_at = Some(now);
        });
        debug_assert!(updated, "the trade was just found");
        match cause_refund(self.trade_id, &trade, job) {
            Ok(refund) => desk.causes.push(refund),
            Err(verdict) => return verdict,
        }
        Verdict::SETTLED
    }
}
