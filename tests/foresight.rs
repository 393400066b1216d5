//! What a large batch foresees and what it decides: the books are as if it had foreseen nothing.

use futures_util::future::{join, join_all};
use jobs::{AnyJob, UserFlag, UserId};
use providers::nowpayments::PaymentStatus;
use settlement::Settler;
use simulators::nowpayments::Payment;

use crate::harness::{Db, SUBMITTER, ask_by, fresh_key, lock, mark_paid, payment, refund, register, release, withdraw};

/// More jobs than a batch must have to be foreseen.
pub(crate) const MANY: usize = 300;

pub(crate) async fn settled(db: &Db) -> i64 {
    sqlx::query_scalar(
        "select count(*) from outcome join job on id = job_id where status = 'settled' and kind = 'lock-escrow'",
    )
    .fetch_one(&db.owner)
    .await
    .unwrap()
}

pub(crate) async fn settle(settler: &Settler) -> settlement::Report {
    let batch = settler.claim().await.unwrap().unwrap();
    settler.settle(batch).await.unwrap()
}

#[tokio::test]
async fn a_balance_that_another_worker_has_spent_is_not_spent_again() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let remembers = db.settler().await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&remembers).await.settled, 300);
    // 0.87 is left, and the first worker remembers that.
    db.ask(lock(seller, buyer, "btc", "0.86")).await;
    assert_eq!(settle(&db.settler().await).await.settled, 1);
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    let report = settle(&remembers).await;
    assert_eq!((report.settled, report.rejected), (100, 200));
    assert_eq!(settled(&db).await, 401);
    // What was foreseen was wrong, so the next batch is stored only as it is decided.
    db.fund(seller, "eth", "1").await;
    db.ask_all(&vec![lock(seller, buyer, "eth", "0.001"); MANY]).await;
    assert_eq!(settle(&remembers).await.settled, 300);
    assert_eq!(settled(&db).await, 701);
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000 held 0.90000000");
    db.verified().await;
}

/// A batch with little to store has one statement for the book, a larger one one for each table, or a copy, and one that
/// is foreseen stores before it decides; the books are the same.
#[tokio::test]
async fn few_and_many_are_stored_alike() {
    let mut books = Vec::new();
    for batch_max in [7, 60, 250, 2_000] {
        let db = Db::new().await;
        let [referrer, buyer] = db.people().await;
        let seller = db.ask(register(Some(referrer))).await;
        db.drain().await;
        db.fund(seller, "btc", "0.9").await;
        db.know(seller, 3).await;
        let settler = db.settler_on(db.worker.clone(), batch_max).await;
        let mut jobs = vec![lock(seller, buyer, "btc", "0.0001"); MANY];
        jobs.extend(vec![withdraw(seller, "btc", "0.0001"); 10]);
        let trades = db.ask_all(&jobs).await;
        db.drain_with(&settler).await;
        db.ask_all(&trades[..MANY].iter().map(|trade| mark_paid(*trade, buyer)).collect::<Vec<_>>()).await;
        db.drain_with(&settler).await;
        let [released, refunded] = [&trades[..MANY / 2], &trades[MANY / 2..MANY]];
        let mut jobs: Vec<AnyJob> = released.iter().map(|trade| release(*trade, seller)).collect();
        jobs.extend(refunded.iter().map(|trade| refund(*trade, buyer)));
        jobs.extend(vec![lock(seller, buyer, "btc", "1"); 3]);
        db.ask_all(&jobs).await;
        db.drain_with(&settler).await;
        let fixed = sqlx::query_scalar::<_, String>(
            "select string_agg(t::text, ' ' order by trade_id, side, level) from trade_referral t",
        );
        let fixed = fixed.fetch_one(&db.owner).await.unwrap();
        let holds = sqlx::query_scalar::<_, String>("select string_agg(h::text, ' ' order by id) from hold h");
        let holds = holds.fetch_one(&db.owner).await.unwrap();
        let entries = sqlx::query_scalar::<_, String>(
            "select string_agg(e::text, ' ' order by e.version) from entry e join account a on a.id = e.account_id
             where a.owner = $1",
        );
        let entries = entries.bind(seller).fetch_one(&db.owner).await.unwrap();
        // Commissions are settled by other jobs where a large batch does not settle them itself.
        let wallets = [db.wallet(buyer, "btc").await, db.wallet(referrer, "btc").await];
        books.push((fixed, holds, entries, wallets));
        db.verified().await;
    }
    assert!(books.windows(2).all(|pair| pair[0] == pair[1]), "{books:?}");
}

#[tokio::test]
async fn what_another_worker_has_used_of_a_day_is_not_used_again() {
    let db = Db::new().await;
    db.sql("update kyc_limit set day_max = 40000000").await;
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.know(user, 3).await;
    let remembers = db.settler().await;
    db.ask_all(&vec![withdraw(user, "btc", "0.001"); MANY]).await;
    assert_eq!(settle(&remembers).await.settled, 300);
    // 0.1 is left of the day.
    db.ask(withdraw(user, "btc", "0.05")).await;
    assert_eq!(settle(&db.settler().await).await.settled, 1);
    db.ask_all(&vec![withdraw(user, "btc", "0.001"); MANY]).await;
    let report = settle(&remembers).await;
    assert_eq!((report.settled, report.rejected), (50, 250));
    db.verified().await;
}

#[tokio::test]
async fn two_batches_in_hand_are_decided_in_the_order_of_their_claims() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.03").await;
    // The first hundred of the second batch have what they need; the first batch has taken the rest.
    let settler = db.settler_on(db.worker.clone(), 300).await;
    let first = db.ask_all(&vec![lock(seller, buyer, "btc", "0.00009"); MANY]).await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.00003"); MANY]).await;
    let one = settler.claim().await.unwrap().unwrap();
    assert_eq!(one.ids(), first);
    let two = settler.claim().await.unwrap().unwrap();
    let (second, first) = join(settler.settle(two), settler.settle(one)).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.settled, second.settled, second.rejected), (300, 100, 200));
    db.verified().await;
}

/// The batches behind have foreseen what they decide on top of what the first one foresaw; it comes to nothing.
#[tokio::test]
async fn what_rests_on_a_batch_that_failed_is_decided_anew() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.05").await;
    let settler = db.settler_on(db.worker.clone(), 300).await;
    let jobs = db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); 3 * MANY]).await;
    let culprit = jobs[7];
    // Entries come last, when everything else of the batch is stored and the next one has read what it foresaw.
    db.sql(&format!(
        "create function fail() returns trigger language plpgsql as
            $$ begin raise exception 'made to fail' using errcode = '23514'; end $$;
        create trigger fail before insert on entry for each row when (new.job_id = {culprit}) execute function fail()"
    ))
    .await;
    let mut batches = Vec::new();
    for _ in 0..3 {
        batches.push(settler.claim().await.unwrap().unwrap());
    }
    let reports = join_all(batches.into_iter().rev().map(|batch| settler.settle(batch))).await;
    let reports: Vec<_> = reports.into_iter().rev().map(Result::unwrap).collect();
    let ended: Vec<u64> = reports.iter().map(settlement::Report::ended).collect();
    assert_eq!(ended, [300, 300, 300]);
    let settled: u64 = reports.iter().map(|report| report.settled).sum();
    assert_eq!(settled, 500, "whoever has the money left gets it");
    assert_eq!(db.wallet(seller, "btc").await, "0.05000000 held 0.05000000");
    assert_ne!(db.outcome(culprit).await, "settled");
    db.verified().await;
}

#[tokio::test]
async fn what_follows_in_the_batch_behind_waits_for_the_one_before() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let settler = db.settler_on(db.worker.clone(), 300).await;
    let trades = db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    let marks: Vec<AnyJob> = trades.iter().map(|trade| mark_paid(*trade, buyer)).collect();
    let marks = db.ask_all(&marks).await;
    let one = settler.claim().await.unwrap().unwrap();
    let two = settler.claim().await.unwrap().unwrap();
    let (first, second) = join(settler.settle(one), settler.settle(two)).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.settled, second.settled + second.postponed), (300, 300));
    db.drain().await;
    for mark in marks {
        assert_eq!(db.outcome(mark).await, "settled");
    }
    db.verified().await;
}

#[tokio::test]
async fn a_batch_that_is_dropped_holds_up_nobody() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let settler = db.settler_on(db.worker.clone(), 300).await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); 2 * MANY]).await;
    drop(settler.claim().await.unwrap().unwrap());
    assert_eq!(settle(&settler).await.settled, 300);
    db.drain().await;
    assert_eq!(settled(&db).await, 600);
    db.verified().await;
}

#[tokio::test]
async fn whoever_is_registered_and_flagged_in_one_batch_has_what_was_set() {
    let db = Db::new().await;
    db.operators().await;
    let person = db.ask(register(None)).await;
    db.enqueue(&[ask_by(SUBMITTER, &fresh_key(), &flag(person, None, Some(3)))]).await.unwrap();
    assert_eq!(settle(&db.settler().await).await.settled, 2);
    let kyc: i16 =
        sqlx::query_scalar("select kyc from app_user where id = $1").bind(person).fetch_one(&db.owner).await.unwrap();
    assert_eq!(kyc, 3);
    db.verified().await;
}

pub(crate) fn flag(user: i64, frozen: Option<bool>, kyc: Option<i16>) -> AnyJob {
    AnyJob::UserFlag(UserFlag { user_id: UserId(user), frozen, tier: None, kyc, reason: "a test".to_owned() })
}

#[tokio::test]
async fn whoever_registers_in_the_batch_is_named_in_it() {
    let db = Db::new().await;
    let [seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let people = db.ask_all(&vec![register(Some(seller)); 200]).await;
    let locks: Vec<AnyJob> = people.iter().map(|buyer| lock(seller, *buyer, "btc", "0.0001")).collect();
    db.ask_all(&locks).await;
    let report = settle(&db.settler().await).await;
    assert_eq!((report.settled, report.rejected, report.parked), (400, 0, 0));
    db.verified().await;
}

#[tokio::test]
async fn what_is_decided_anew_is_stored_whole() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.know(seller, 3).await;
    let remembers = db.settler().await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&remembers).await.settled, 300);
    db.ask(lock(seller, buyer, "btc", "0.8")).await;
    assert_eq!(settle(&db.settler().await).await.settled, 1);
    // 0.07 is left where 0.87 is remembered. The day of the withdrawal is a new one.
    let mut jobs = vec![withdraw(seller, "btc", "0.04")];
    jobs.extend(vec![lock(seller, buyer, "btc", "0.0001"); 400]);
    db.ask_all(&jobs).await;
    let batch = remembers.claim().await.unwrap().unwrap();
    let report = remembers.settle(batch).await.unwrap();
    assert_eq!(report.settled + report.rejected, 401);
    assert!((200..400).contains(&report.settled), "{report:?}");
    let requested: String =
        sqlx::query_scalar("select status from outcome join job on id = job_id where kind = 'withdrawal-request'")
            .fetch_one(&db.owner)
            .await
            .unwrap();
    assert_eq!(requested, "settled");
    db.verified().await;
}

/// The wallet is made for the first batch, while the second one looks for it.
#[tokio::test]
async fn what_the_batch_before_credits_to_a_new_wallet_is_there_for_the_one_behind() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let settler = db.settler_on(db.worker.clone(), 1).await;
    for (asset, amount) in [("btc", "0.5"), ("ltc", "0.25"), ("trx", "125")] {
        db.callback(&payment(seller, asset, amount)).await;
        let locked = db.ask(lock(seller, buyer, asset, amount)).await;
        let credit = settler.claim().await.unwrap().unwrap();
        let lock = settler.claim().await.unwrap().unwrap();
        let (second, first) = join(settler.settle(lock), settler.settle(credit)).await;
        assert_eq!((first.unwrap().settled, second.unwrap().settled), (1, 1));
        assert_eq!(db.outcome(locked).await, "settled");
    }
    db.verified().await;
}

#[tokio::test]
async fn two_words_of_a_new_payment_in_two_batches_do_not_wait_for_each_other() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let finished = payment(buyer, "btc", "0.5");
    let partial = Payment { status: PaymentStatus::PartiallyPaid, ..finished.clone() };
    db.callback(&partial).await;
    let settler = db.settler().await;
    let first = settler.claim().await.unwrap().unwrap();
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    db.callback(&finished).await;
    let second = settler.claim().await.unwrap().unwrap();
    let (second, first) = join(settler.settle(second), settler.settle(first)).await;
    assert_eq!((first.unwrap().settled, second.unwrap().settled), (1, 301));
    assert_eq!(db.wallet(buyer, "btc").await, "0.50000000");
    db.verified().await;
}
