//! The kinds on a desk in memory: no database, no queue.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use ledger::{Account, AccountId, Amount, Asset, AssetId, Balance, BasisPoints, JobId, Purpose};
use proptest::prelude::*;

use crate::machines::trade::{Forbidden, Party, TradeMove, TradeState, next};
use crate::{
    AnyJob, AssetTerms, Assets, Desk, Job, LockEscrow, MakerSide, PrincipalId, Reason, Refund, Release, Rules, Tier,
    TradeEvent, TradeEventName, TradeId, User, UserId, Verdict, WithdrawTerms,
};

const BTC: AssetId = AssetId::new(1);

fn at(seconds: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
}

/// Two people with a wallet each; the first has 1,000 minor units.
fn desk() -> Desk {
    let asset = Asset { id: BTC, code: "btc".to_owned(), scale: 3 };
    let rate = |bps| BasisPoints::new(bps).unwrap();
    let withdraw = WithdrawTerms {
        rail: "crypto".to_owned(),
        network: "bitcoin".to_owned(),
        scale: 6,
        min: Amount::ZERO,
        fee: Amount::ZERO,
        network_fee_max: Amount::ZERO,
        two_approvals_above: Amount::MAX,
    };
    let terms = AssetTerms { asset, credit_max: Amount::MAX, maker_rate: rate(10), taker_rate: rate(25), withdraw };
    let mut desk = Desk::new(at(0), 0, Assets::new(vec![terms]), Rules::default());
    for (id, key, posted) in [
        (1, Desk::wallet(UserId(1), BTC), 1_000),
        (2, Desk::wallet(UserId(2), BTC), 0),
        (3, desk.house(BTC, Purpose::Fee), 0),
    ] {
        let id = AccountId::new(id).unwrap();
        desk.book.load_account(Account { id, key, version: 1, balance: Balance { posted, held: 0 } }).unwrap();
    }
    for id in 1..=3 {
        let user = User { referrer: None, tier: Tier::Standard, frozen: false, kyc: 0, registered_at: at(0) };
        desk.users.load(UserId(id), user);
    }
    desk
}

fn job(id: i64) -> Job {
    Job { id: JobId(id), submitted_by: PrincipalId(100), received_at: at(0), attempt: 0, trace_parent: None }
}

fn lock(amount: &str) -> AnyJob {
    AnyJob::LockEscrow(LockEscrow {
        seller_id: UserId(1),
        buyer_id: UserId(2),
        asset: "btc".to_owned(),
        amount: amount.to_owned(),
        maker: MakerSide::Seller,
    })
}

/// A desk whose trade 7 was loaded, as another batch left it.
fn with_trade(amount: &str, paid: bool) -> Desk {
    let mut before = desk();
    assert_eq!(lock(amount).decide(&mut before, &job(7)), Some(Verdict::SETTLED));
    let mut trade = before.trades.get(&TradeId(7)).unwrap().clone();
    if paid {
        trade.state = TradeState::Paid;
        trade.paid_at = Some(at(1));
    }
    let hold = *before.book.hold(trade.hold).unwrap();
    let mut desk = desk();
    let wallet = AccountId::new(1).unwrap();
    let mut account = *desk.book.account(wallet).unwrap();
    account.balance.held = hold.amount.minor();
    desk.book = ledger::Book::new();
    desk.book.load_account(account).unwrap();
    for id in [2, 3] {
        desk.book.load_account(*before.book.account(AccountId::new(id).unwrap()).unwrap()).unwrap();
    }
    desk.book.load_hold(hold).unwrap();
    desk.trades.load(TradeId(7), trade);
    desk
}

fn balances(desk: &Desk) -> BTreeMap<i64, (i128, i128)> {
    (1..=3)
        .map(|id| {
            let balance = desk.book.account(AccountId::new(id).unwrap()).unwrap().balance;
            (id, (balance.posted, balance.held))
        })
        .collect()
}

#[test]
fn every_state_move_and_party_has_one_answer() {
    use Party::{Buyer, Seller, Stranger};
    use TradeState::{AwaitingPayment, Paid, Refunded, Released};
    for state in TradeState::ALL {
        for by in [Seller, Buyer, Stranger] {
            let mark = match (state, by) {
                (AwaitingPayment, Buyer) => Ok(Paid),
                (_, Buyer) => Err(Forbidden::WrongState),
                _ => Err(Forbidden::NotTheBuyer),
            };
            let release = match (state, by) {
                (Paid, Seller) => Ok(Released),
                (_, Seller) => Err(Forbidden::WrongState),
                _ => Err(Forbidden::NotTheSeller),
            };
            let refund = match (state, by) {
                (AwaitingPayment | Paid, Buyer) => Ok(Refunded),
                (_, Buyer) => Err(Forbidden::WrongState),
                _ => Err(Forbidden::NotTheBuyer),
            };
            assert_eq!(next(state, TradeMove::MarkPaid, by), mark, "mark-paid by {by:?} when {state:?}");
            assert_eq!(next(state, TradeMove::Release, by), release, "release by {by:?} when {state:?}");
            assert_eq!(next(state, TradeMove::Refund, by), refund, "refund by {by:?} when {state:?}");
        }
    }
}

#[test]
fn a_lock_holds_and_a_lock_beyond_the_balance_is_refused() {
    let mut desk = desk();
    assert_eq!(lock("0.6").decide(&mut desk, &job(7)), Some(Verdict::SETTLED));
    assert_eq!(lock("0.6").decide(&mut desk, &job(8)), Some(Reason::InsufficientFunds.into()));
    assert_eq!(balances(&desk)[&1], (1_000, 600));
}

#[test]
fn a_refund_gives_everything_back() {
    let mut desk = with_trade("0.6", true);
    let refund = AnyJob::Refund(Refund { trade_id: TradeId(7), user_id: Some(UserId(2)) });
    assert_eq!(refund.decide(&mut desk, &job(9)), Some(Verdict::SETTLED));
    assert_eq!(balances(&desk)[&1], (1_000, 0));
}

#[test]
fn a_mark_received_in_time_counts_however_late_it_is_decided() {
    let mark = |received: i64| {
        let mut desk = with_trade("0.6", false);
        desk.now = at(1_000_000);
        let event =
            TradeEvent { trade_id: TradeId(7), event: TradeEventName::MarkPaid, user_id: UserId(2), minutes: None };
        AnyJob::TradeEvent(event).decide(&mut desk, &Job { received_at: at(received), ..job(9) }).unwrap()
    };
    assert_eq!(mark(7_200), Verdict::SETTLED);
    assert!(matches!(mark(7_201), Verdict::Rejected(refused) if refused.reason == Reason::DeadlinePassed));
}

proptest! {
    /// For every amount: nothing is made and nothing lost, each fee is floored, the buyer has the rest.
    #[test]
    fn a_release_conserves_every_unit(amount in 1_i128..=1_000) {
        let mut desk = with_trade(&format!("{}.{:03}", amount / 1_000, amount % 1_000), true);
        let release = AnyJob::Release(Release { trade_id: TradeId(7), user_id: UserId(1) });
        prop_assert_eq!(release.decide(&mut desk, &job(9)), Some(Verdict::SETTLED));
        let fee = amount * 10 / 10_000 + amount * 25 / 10_000;
        let after = balances(&desk);
        prop_assert_eq!(after[&1], (1_000 - amount, 0));
        prop_assert_eq!(after[&2], (amount - fee, 0));
        prop_assert_eq!(after[&3], (fee, 0));
    }

    /// Whatever a job did before it was refused, undoing leaves the desk as it was.
    #[test]
    fn undoing_leaves_no_trace(amount in 1_i128..=1_000, release in any::<bool>()) {
        let mut desk = with_trade(&format!("{}.{:03}", amount / 1_000, amount % 1_000), true);
        let (before, trade) = (balances(&desk), desk.trades.get(&TradeId(7)).cloned());
        let mark = desk.mark();
        let job_of = if release {
            AnyJob::Release(Release { trade_id: TradeId(7), user_id: UserId(1) })
        } else {
            AnyJob::Refund(Refund { trade_id: TradeId(7), user_id: Some(UserId(2)) })
        };
        prop_assert_eq!(job_of.decide(&mut desk, &job(9)), Some(Verdict::SETTLED));
        desk.undo(mark);
        prop_assert_eq!(balances(&desk), before);
        prop_assert_eq!(desk.trades.get(&TradeId(7)).cloned(), trade);
        prop_assert!(desk.book.changes().is_empty());
        prop_assert!(desk.trades.changed().updated.is_empty());
    }
}
