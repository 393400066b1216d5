use ledger::AssetId;
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::ids::{TradeId, UserId};
use crate::kind::{Decide, Invalid, Job, Kind, Lane, Origin, Reason, Verdict};
use crate::machines::trade::TradeMove;
use crate::terms::Assets;
use crate::trade::judge;
use crate::want::Want;

/// Something happened to a trade that moves no money by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TradeEvent {
    /// The trade.
    pub trade_id: TradeId,
    /// What happened.
    pub event: TradeEventName,
    /// The person who says so.
    pub user_id: UserId,
}

/// The events of a trade. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TradeEventName {
    /// The buyer says that they paid.
    MarkPaid,
}

impl Kind for TradeEvent {
    const NAME: &'static str = "trade-event";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;

    fn subject(&self) -> Option<i64> {
        Some(self.trade_id.0)
    }

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        Ok(())
    }

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
    }

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        desk.trades.get(&self.trade_id).map(|trade| trade.asset).into_iter().collect()
    }
}

impl Decide for TradeEvent {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        match self.event {
            TradeEventName::MarkPaid => self.mark_paid(desk, job),
        }
    }
}

impl TradeEvent {
    fn mark_paid(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let (trade, state) = match judge(desk, job, self.trade_id, TradeMove::MarkPaid, self.user_id) {
            Ok(judged) => judged,
            Err(verdict) => return verdict,
        };
        // When it was received counts, not when a worker came round to it.
        if job.received_at > trade.pay_by {
            return trade.refusal(Reason::DeadlinePassed).into();
        }
        let updated = desk.trades.update(&self.trade_id, |trade| {
            trade.state = state;
            trade.paid_at = Some(job.received_at);
        });
        debug_assert!(updated, "the trade was just found");
        Verdict::SETTLED
    }
}
