use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Cause, Desk, Want};
use crate::ids::{TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind, cause};
use crate::kind_info::{Lane, Origin};
use crate::machines::trade::TradeMove;
use crate::policy::receivable;
use crate::policy::trade::{Actor, judge};
use crate::rows::trade::Trade;
use crate::subject::About;
use crate::terms::Assets;

/// Gives the held money back to the seller: because the buyer gives the trade up, or because it was
/// cancelled or has expired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"trade_id": "4", "user_id": "2"})))]
pub struct Refund {
    /// The trade.
    pub trade_id: TradeId,
    /// The buyer, who alone may give it up; nobody where a cancellation or an expiry causes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(required = true, value_type = UserId)]
    pub user_id: Option<UserId>,
}

/// The refund that the end of a trade causes: once for its hold.
pub(crate) fn cause_refund(id: TradeId, trade: &Trade, job: &Job) -> Result<Cause, Verdict> {
    cause(&Refund { trade_id: id, user_id: None }, format!("hold:{}", trade.hold.0), Some(job))
}

impl Kind for Refund {
    const NAME: &'static str = "refund";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::Trade(|job| job.trade_id);
    const IN_ORDER: bool = true;

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        match self.user_id {
            Some(_) => Ok(()),
            None => Err(Invalid::new("user_id", "field_missing", "the buyer who gives the trade up is not named")),
        }
    }

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
    }

    fn accounts(&self, desk: &Desk, _: &Job, want: &mut Want) {
        if let Some(trade) = desk.trades.get(&self.trade_id).filter(|trade| trade.closed_at.is_none()) {
            want.existing.insert(Desk::wallet(trade.seller, trade.asset));
            want.existing.insert(Desk::receivable(trade.seller, trade.asset));
        }
    }
}

impl Decide for Refund {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let (event, by) = match self.user_id {
            Some(buyer) => (TradeMove::Refund, Actor::User(buyer)),
            None => (TradeMove::GiveBack, Actor::Holdfast),
        };
        let (trade, state) = match judge(desk, job, self.trade_id, event, by) {
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
        // What they owe was not to be had while it was held.
        if let Err(verdict) = receivable::repay(desk, job.id, trade.seller, trade.asset, trade.amount) {
            return verdict;
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
