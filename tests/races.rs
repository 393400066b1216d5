//! Two workers at once. Each race is run in both orders, with both transactions open at the same
//! time and the order made certain by who waits first for a lock that the test holds.

use std::sync::Arc;

use futures_util::future::join;
use jobs::AnyJob;
use providers::nowpayments::PaymentStatus;
use settlement::{Batch, Report, Settler};
use simulators::nowpayments::Payment;
use sqlx::PgPool;
use tokio::sync::{Barrier, oneshot};
use tokio::task::JoinSet;

use crate::harness::{Db, lock, mark_paid, payment, refund, release, sum, until};

/// Two workers with a connection each, and a batch of one job in the hands of each.
struct Race {
    db: Db,
    sides: [Side; 2],
}

struct Side {
    worker: Settler,
    batch: Batch,
    job: i64,
}

/// What came of a race; the one who came first stands first.
struct Ran {
    db: Db,
    reports: [Result<Report, sqlx::Error>; 2],
    outcomes: [String; 2],
}

impl Race {
    async fn between(db: Db, jobs: [AnyJob; 2]) -> Self {
        let ids = db.ask_all(&jobs).await;
        Self::of(db, [ids[0], ids[1]]).await
    }

    async fn of(db: Db, [one, two]: [i64; 2]) -> Self {
        let sides = [Side::claim(&db, one).await, Side::claim(&db, two).await];
        Self { db, sides }
    }

    /// Lets the two settle, `first` first: it waits for what `blocking` has locked, then the
    /// other one does, and only then is the lock let go. Then whatever is left is settled.
    async fn run(self, first: usize, blocking: &'static str) -> Ran {
        let Self { db, sides: [one, two] } = self;
        let (leader, follower) = if first == 0 { (one, two) } else { (two, one) };
        let mut held = db.owner.begin().await.unwrap();
        sqlx::raw_sql(blocking).execute(&mut *held).await.unwrap();
        let (go, gone) = oneshot::channel();
        let after_that = async {
            gone.await.unwrap();
            follower.worker.settle(follower.batch).await
        };
        let conducting = async {
            until("the first one waits", async || waiting(&db.owner).await == 1).await;
            go.send(()).unwrap();
            until("both wait", async || waiting(&db.owner).await == 2).await;
            held.rollback().await.unwrap();
        };
        let (first_report, second_report, ()) =
            tokio::join!(leader.worker.settle(leader.batch), after_that, conducting);
        db.drain().await;
        let outcomes = [db.outcome(leader.job).await, db.outcome(follower.job).await];
        Ran { db, reports: [first_report, second_report], outcomes }
    }
}

impl Side {
    async fn claim(db: &Db, job: i64) -> Self {
        Self::claim_batch(db, &[job]).await
    }

    /// A batch of these; the outcome of the last one is what counts.
    async fn claim_batch(db: &Db, jobs: &[i64]) -> Self {
        let size = u16::try_from(jobs.len()).unwrap();
        let worker = db.settler_on(db.pool("holdfast_worker", 1).await, size).await.aside(db.worker.clone());
        let batch = worker.claim().await.unwrap().unwrap();
        assert_eq!(batch.ids(), jobs);
        Self { worker, batch, job: jobs[jobs.len() - 1] }
    }
}

/// How many connections of this database wait for another's lock.
async fn waiting(pool: &PgPool) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"#
    )
    .fetch_one(pool)
    .await
    .unwrap()
}

/// A database with a trade of 0.5 of 0.9, paid or not: seller, buyer, trade.
async fn with_trade(paid: bool) -> (Db, i64, i64, i64) {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    if paid {
        assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    }
    (db, seller, buyer, trade)
}

/// `scenario cancel_vs_release`: whoever comes first has it, and the other one is refused.
#[tokio::test]
async fn release_against_refund() {
    for first in [0, 1] {
        let (db, seller, buyer, trade) = with_trade(true).await;
        let race = Race::between(db, [release(trade, seller), refund(trade, buyer)]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from trade for update").await;
        assert_eq!(outcomes, ["settled", "rejected wrong_state"]);
        let wallets = (db.wallet(seller, "btc").await, db.wallet(buyer, "btc").await);
        let expected = if first == 0 { ("0.40000000", "0.49800000") } else { ("0.90000000", "nothing") };
        assert_eq!((wallets.0.as_str(), wallets.1.as_str()), expected);
        db.verified().await;
    }
}

#[tokio::test]
async fn two_releases() {
    for first in [0, 1] {
        let (db, seller, buyer, trade) = with_trade(true).await;
        let race = Race::between(db, [release(trade, seller), release(trade, seller)]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from trade for update").await;
        assert_eq!(outcomes, ["settled", "rejected wrong_state"]);
        assert_eq!(db.wallet(buyer, "btc").await, "0.49800000");
        db.verified().await;
    }
}

/// The buyer says paid and gives up at once: either order is right, and the money is the seller's.
#[tokio::test]
async fn mark_paid_against_refund() {
    for (first, second_ends) in [(0, "settled"), (1, "rejected wrong_state")] {
        let (db, seller, buyer, trade) = with_trade(false).await;
        let race = Race::between(db, [mark_paid(trade, buyer), refund(trade, buyer)]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from trade for update").await;
        assert_eq!(outcomes, ["settled", second_ends]);
        assert_eq!(db.wallet(seller, "btc").await, "0.90000000");
        db.verified().await;
    }
}

#[tokio::test]
async fn two_locks_of_one_balance() {
    for first in [0, 1] {
        let (db, seller, buyer, _) = with_trade(false).await;
        let race = Race::between(db, [lock(seller, buyer, "btc", "0.3"), lock(seller, buyer, "btc", "0.2")]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from account where id > 0 for update").await;
        assert_eq!(outcomes, ["settled", "rejected insufficient_funds"]);
        let held = if first == 0 { "0.90000000 held 0.80000000" } else { "0.90000000 held 0.70000000" };
        assert_eq!(db.wallet(seller, "btc").await, held);
        db.verified().await;
    }
}

/// A lock meets the clawback that freezes its seller.
#[tokio::test]
async fn lock_against_the_clawback_that_freezes() {
    for first in [0, 1] {
        let db = Db::new().await;
        let [seller, buyer] = db.people().await;
        let paid = payment(seller, "btc", "0.5");
        db.told(&paid).await;
        let locked = db.ask(lock(seller, buyer, "btc", "0.2")).await;
        let refunded = Payment { status: PaymentStatus::Refunded, ..paid };
        let taken = db.callback(&refunded).await.job_id();
        let race = Race::of(db, [locked, taken]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from account where id > 0 for update").await;
        let (expected, left) = if first == 0 {
            (["settled", "settled"], "0.20000000 held 0.20000000")
        } else {
            (["settled", "rejected insufficient_funds"], "0.00000000")
        };
        assert_eq!(outcomes, expected);
        assert_eq!(db.wallet(seller, "btc").await, left);
        db.verified().await;
    }
}

/// Two callbacks of one payment that neither worker has heard of, and both of which would credit
/// it. What is not there cannot be locked: the second one loses the race when it stores the deposit,
/// is rolled back and tried again, and then finds it. No job is blamed.
#[tokio::test]
async fn one_payment_told_twice_at_once() {
    for first in [0, 1] {
        let db = Db::new().await;
        let [user] = db.people().await;
        db.fund(user, "btc", "0.1").await;
        let finished = payment(user, "btc", "0.5");
        let partial = Payment { status: PaymentStatus::PartiallyPaid, ..finished.clone() };
        let jobs = [db.callback(&finished).await.job_id(), db.callback(&partial).await.job_id()];
        let race = Race::of(db, jobs).await;
        let Ran { db, reports, outcomes } = race.run(first, "select from account where id > 0 for update").await;
        assert_eq!(reports.map(|report| report.unwrap().parked), [0, 0]);
        assert_eq!(outcomes, ["settled", "settled"]);
        assert_eq!(db.wallet(user, "btc").await, "0.60000000");
        db.verified().await;
    }
}

/// Settles until nothing is queued, through errors of the weather, next to others who do so.
async fn settle_all(db: &Db, worker: &Settler, start: &Barrier) -> Report {
    start.wait().await;
    let mut total = Report::default();
    loop {
        match worker.claim().await.unwrap() {
            Some(batch) => {
                if let Ok(report) = worker.settle(batch).await {
                    total = sum(total, report);
                }
            }
            None if db.queue_text().await.is_empty() => return total,
            None => tokio::task::yield_now().await,
        }
    }
}

/// Settles everything with four workers at once, each on connections of its own. What each did.
async fn four_workers(db: &Arc<Db>, batch_max: u16) -> Vec<Report> {
    let start = Arc::new(Barrier::new(4));
    let mut workers = JoinSet::new();
    for _ in 0..4 {
        let worker = db.settler_on(db.pool("holdfast_worker", 2).await, batch_max).await;
        let (db, start) = (Arc::clone(db), Arc::clone(&start));
        workers.spawn(async move { settle_all(&db, &worker, &start).await });
    }
    workers.join_all().await
}

/// `scenario parallel_withdrawals`, with locks: the balance covers 37 of 200, and 37 it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_locks_of_a_balance_that_covers_thirty_seven() {
    let db = Arc::new(Db::new().await);
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.379").await;
    let ids = db.ask_all(&vec![lock(seller, buyer, "btc", "0.01"); 200]).await;
    let reports = four_workers(&db, 7).await;
    assert!(reports.iter().filter(|report| report.ended() > 0).count() >= 2, "only one worker came to anything");
    let total = reports.into_iter().fold(Report::default(), sum);
    assert_eq!(total, Report { settled: 37, rejected: 163, ..Report::default() });
    let mut settled = 0;
    for id in ids {
        match db.outcome(id).await.as_str() {
            "settled" => settled += 1,
            other => assert_eq!(other, "rejected insufficient_funds"),
        }
    }
    assert_eq!(settled, 37);
    assert_eq!(db.wallet(seller, "btc").await, "0.37900000 held 0.37000000");
    db.verified().await;
}

/// Trades go through their lives at four workers at once, claimed in no order at all: most
/// followers overtake what they follow, accounts come into being everywhere, and yet every trade is
/// opened, paid and released.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_workers_carry_trades_from_lock_to_release() {
    let db = Arc::new(Db::new().await);
    let people: [i64; 12] = db.people().await;
    let (sellers, buyers) = people.split_at(6);
    for seller in sellers {
        db.fund(*seller, "btc", "0.9").await;
    }
    let pairs = sellers.iter().flat_map(|seller| buyers.iter().map(move |buyer| (*seller, *buyer)));
    let pairs: Vec<(i64, i64)> = pairs.collect();
    let locks: Vec<AnyJob> = pairs.iter().map(|(seller, buyer)| lock(*seller, *buyer, "btc", "0.1")).collect();
    let trades = db.ask_all(&locks).await;
    let mut followers = Vec::new();
    for (trade, (seller, buyer)) in trades.iter().zip(&pairs) {
        followers.extend([mark_paid(*trade, *buyer), release(*trade, *seller)]);
    }
    let followers = db.ask_all(&followers).await;
    db.sql("update outbox set run_at = run_at - random() * interval '1 minute'").await;
    let total = four_workers(&db, 5).await.into_iter().fold(Report::default(), sum);
    assert_eq!((total.settled, total.rejected, total.parked), (3 * 36, 0, 0));
    assert!(total.postponed > 0, "nothing overtook anything");
    for id in trades.iter().chain(&followers) {
        assert_eq!(db.outcome(*id).await, "settled");
    }
    assert_eq!(db.house("btc", "fee").await, "0.01440000");
    db.verified().await;
}

/// A person who has locked all that a payment brought them: the payment, and the person.
async fn with_all_locked() -> (Db, i64, i64, Payment) {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let paid = payment(seller, "btc", "0.5");
    db.told(&paid).await;
    db.fund(seller, "ltc", "2").await;
    db.trade(seller, buyer, "btc", "0.5").await;
    (db, seller, buyer, Payment { status: PaymentStatus::Refunded, ..paid })
}

/// The receivable is made while the credit waits for the wallet; the credit repays it all the same.
#[tokio::test]
async fn a_credit_against_the_clawback_that_makes_a_debt() {
    for first in [0, 1] {
        let (db, seller, _, refunded) = with_all_locked().await;
        let taken_back = db.callback(&refunded).await.job_id();
        let credited = db.deposit(seller, "btc", "0.3").await;
        let race = Race::of(db, [taken_back, credited]).await;
        let Ran { db, outcomes, .. } = race.run(first, "select from account where id > 0 for update").await;
        assert_eq!(outcomes, ["settled", "settled"]);
        assert_eq!(db.owed(seller, "btc").await, "-0.20000000", "0.3 of 0.5 is repaid in either order");
        assert_eq!(db.wallet(seller, "btc").await, "0.50000000 held 0.50000000");
        db.verified().await;
    }
}

/// Freezing locks every wallet of the person, so a lock in another asset comes before it or fails.
#[tokio::test]
async fn freezing_against_a_lock_in_another_asset() {
    let blocking = "select from account a join asset s on s.id = a.asset
        where s.code = 'ltc' and a.purpose = 'wallet' for update of a";
    for (first, expected) in [(0, ["settled", "rejected user_frozen"]), (1, ["settled", "settled"])] {
        let (db, seller, buyer, refunded) = with_all_locked().await;
        let taken_back = db.callback(&refunded).await.job_id();
        let locked = db.ask(lock(seller, buyer, "ltc", "1")).await;
        let race = Race::of(db, [taken_back, locked]).await;
        let Ran { db, outcomes, .. } = race.run(first, blocking).await;
        assert_eq!(outcomes, expected);
        db.verified().await;
    }
}

/// A batch waits for another that makes an account which it would make as well. What else the other
/// one has made meanwhile, it finds: here the wallet, with money, of somebody who locks.
#[tokio::test]
async fn a_wallet_that_was_made_meanwhile_is_found() {
    let db = Db::new().await;
    let [first, second, buyer] = db.people().await;
    let made = [db.deposit(first, "btc", "0.5").await, db.deposit(second, "btc", "0.5").await];
    let leader = Side::claim_batch(&db, &made).await;
    let locked = [db.deposit(first, "btc", "0.1").await, db.ask(lock(second, buyer, "btc", "0.5")).await];
    let follower = Side::claim_batch(&db, &locked).await;
    let Ran { db, outcomes, reports } =
        Race { db, sides: [leader, follower] }.run(0, "lock table outcome in share mode").await;
    assert_eq!(outcomes, ["settled", "settled"]);
    let settled = Report { settled: 2, ..Report::default() };
    assert_eq!(reports.map(Result::unwrap), [settled, settled]);
    db.verified().await;
}

/// Two workers find that partitions are missing at the same time: the second waits, and finds them made.
#[tokio::test]
async fn partitions_are_made_once() {
    let db = Db::new().await;
    let mut first = db.owner.begin().await.unwrap();
    let ahead = || sqlx::query_scalar!(r#"select partitions_ahead(3) as "made!""#);
    assert_eq!(ahead().fetch_one(&mut *first).await.unwrap(), 2, "one of job, one of outcome");
    let commit = async {
        until("the second one waits", async || waiting(&db.owner).await == 1).await;
        first.commit().await.unwrap();
    };
    let (second, ()) = join(ahead().fetch_one(&db.worker), commit).await;
    assert_eq!(second.unwrap(), 0);
    db.verified().await;
}
