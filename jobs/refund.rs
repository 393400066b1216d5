use ledger::AssetId;
use serde::{Deserialize, Serialize};

use crate::desk::Desk;
use crate::ids::{TradeId, UserId};
use crate::kind::{Decide, Invalid, Job, Kind, Lane, Origin, Verdict};
use crate::machines::trade::TradeMove;
use crate::terms::Assets;
use crate::trade::judge;
use crate::want::Want;

/// Gives the held money back to the seller, because the buyer gives the trade up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refund {
    /// The trade.
    pub trade_id: TradeId,
    /// The buyer, who alone may give it up.
    pub user_id: UserId,
}

impl Kind for Refund {
    const NAME: &'static str = "refund";
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

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        if let Some(trade) = desk.trades.get(&self.trade_id).filter(|trade| !trade.state.is_final()) {
            want.existing.insert(Desk::wallet(trade.seller, trade.asset));
        }
    }

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        desk.trades.get(&self.trade_id).map(|trade| trade.asset).into_iter().collect()
    }
}

impl Decide for Refund {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let (trade, state) = match judge(desk, job, self.trade_id, TradeMove::Refund, self.user_id) {
            Ok(judged) => judged,
            Err(verdict) => return verdict,
        };
        match desk.book.close_hold(job.id, trade.hold) {
            Ok(held) if held == trade.amount => {}
            Ok(held) => {
                return Verdict::contradiction(format!("the hold has {held} where the trade has {}", trade.amount));
            }
            Err(error) => return error.into(),
        }
        let now = desk.now;
        let updated = desk.trades.update(&self.trade_id, |trade| {
            trade.state = state;
            trade.closed_at = Some(now);
        });
        debug_assert!(updated, "the trade was just found");
        Verdict::SETTLED
    }
}
