use ledger::{Amount, Code, Purpose, fee_floor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::{TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Kind};
use crate::kind_info::{Lane, Origin};
use crate::machines::trade::TradeMove;
use crate::policy::commissions::{cause_commissions, commissions};
use crate::policy::receivable;
use crate::policy::trade::{Actor, judge};
use crate::rows::trade::Trade;
use crate::subject::About;

/// Lets the held money go to the buyer, less the maker's and the taker's fee.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"trade_id": "4", "user_id": "1"})))]
pub struct Release {
    /// The trade.
    pub trade_id: TradeId,
    /// The seller, who alone may release.
    pub user_id: UserId,
}

impl Kind for Release {
    const NAME: &'static str = "release";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::Trade(|job| job.trade_id);
    const IN_ORDER: bool = true;

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
        want.referrals.insert(self.trade_id);
    }

    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
        if let Some(trade) = desk.trades.get(&self.trade_id).filter(|trade| !trade.state.is_final()) {
            want.existing.insert(Desk::wallet(trade.seller, trade.asset));
            want.accounts.insert(Desk::wallet(trade.buyer, trade.asset));
            want.accounts.insert(desk.house(trade.asset, Purpose::Fee));
            want.existing.insert(Desk::receivable(trade.buyer, trade.asset));
            for commission in commissions(desk, self.trade_id) {
                commission.accounts(desk, job, want);
            }
        }
    }
}

impl Decide for Release {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let (trade, state) = match judge(desk, job, self.trade_id, TradeMove::Release, Actor::User(self.user_id)) {
            Ok(judged) => judged,
            Err(verdict) => return verdict,
        };
        if desk.trades.is_new(&self.trade_id) {
            // Its accounts were not asked for: above all, what the buyer may owe is not known.
            return not_yet_loaded(job);
        }
        let fees = match pay_out(desk, job, &trade) {
            Ok(fees) => fees,
            Err(verdict) => return verdict,
        };
        let now = desk.now;
        let updated = desk.trades.update(&self.trade_id, |trade| {
            trade.state = state;
            trade.fees = Some(fees);
            trade.closed_at = Some(now);
        });
        debug_assert!(updated, "the trade was just found");
        let released = Trade { fees: Some(fees), ..trade };
        match cause_commissions(desk, job, self.trade_id, &released) {
            Ok(()) => Verdict::SETTLED,
            Err(verdict) => verdict,
        }
    }
}

/// Closes the hold and moves its money: fees to the house, the remainder to the buyer. Legs of
/// zero are left out. Returns the maker's and the taker's fee.
fn pay_out(desk: &mut Desk, job: &Job, trade: &Trade) -> Result<(Amount, Amount), Verdict> {
    let Some(seller) = desk.book.account_id(&Desk::wallet(trade.seller, trade.asset)) else {
        return Err(not_yet_loaded(job));
    };
    let Some(buyer) = desk.book.account_id(&Desk::wallet(trade.buyer, trade.asset)) else {
        return Err(not_yet_loaded(job));
    };
    let Some(house) = desk.book.account_id(&desk.house(trade.asset, Purpose::Fee)) else {
        return Err(not_yet_loaded(job));
    };
    let held = desk.book.close_hold(job.id, trade.hold)?;
    if held != trade.amount {
        return Err(Verdict::contradiction(format!("the hold has {held} where the trade has {}", trade.amount)));
    }
    let maker_fee = fee_floor(held, trade.maker_rate);
    let taker_fee = fee_floor(held, trade.taker_rate);
    let split = maker_fee.checked_add(taker_fee).and_then(|fee| Some((fee, held.checked_sub(fee)?)));
    let Some((fee, net)) = split else {
        return Err(Verdict::contradiction("the fees exceed the amount"));
    };
    if !net.is_zero() {
        desk.book.transfer(job.id, Code::TradeSettle, seller, buyer, net)?;
    }
    if !fee.is_zero() {
        desk.book.transfer(job.id, Code::TradeFee, seller, house, fee)?;
    }
    receivable::repay(desk, job.id, trade.buyer, trade.asset, net)?;
    Ok((maker_fee, taker_fee))
}

/// The trade was opened within this very batch, after the accounts were loaded.
fn not_yet_loaded(job: &Job) -> Verdict {
    job.later("the trade was opened in the same batch")
}
