use serde::{Deserialize, Serialize};

use crate::cause::Cause;
use crate::desk::{Desk, Want};
use crate::ids::TradeId;
use crate::kind::{Decide, Job, Kind, Lane, Origin, Verdict};
use crate::machines::trade::TradeMove;
use crate::reason::Reason;
use crate::refund;
use crate::registry::AnyJob;
use crate::subject::About;
use crate::trade::{Actor, Trade, judge};

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
    pub fn cause(desk: &Desk, id: TradeId, trade: &Trade, caused_by: Option<&Job>) -> Cause {
        let kind = Self { trade_id: id, generation: trade.timer };
        Cause {
            key: kind.key(),
            kind: AnyJob::TimerExpiry(kind),
            run_at: trade.pay_by.checked_add_signed(desk.rules.expiry_grace).filter(|due| *due > desk.now),
            caused_by: caused_by.cloned(),
            at_once: false,
        }
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
        desk.causes.push(refund::cause(self.trade_id, &trade, job));
        Verdict::SETTLED
    }
}
