//! What a large batch causes and settles itself: as if it had been queued, only sooner.

use jobs::{AnyJob, PauseScope};
use outbox::{Settled, Trouble, job_ids, record_settled};
use settlement::Report;

use crate::harness::{Db, SUBMITTER, lock, mark_paid, pause, payment, register, release, resume, withdraw};

/// Enough jobs for a batch that settles what it causes.
const MANY: usize = 300;

/// So many trades of one seller with a buyer whom somebody brought, paid. The trades, the seller and who brought
/// the buyer.
async fn paid(db: &Db) -> (Vec<i64>, i64, i64) {
    let [referrer, seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let buyer = db.ask(register(Some(referrer))).await;
    db.drain().await;
    let trades = db.ask_all(&vec![lock(seller, buyer, "btc", "0.001"); MANY]).await;
    db.drain().await;
    let marks: Vec<AnyJob> = trades.iter().map(|trade| mark_paid(*trade, buyer)).collect();
    db.ask_all(&marks).await;
    db.drain().await;
    (trades, seller, referrer)
}

/// Asks for the release of all of them and settles one batch.
async fn release_all(db: &Db, trades: &[i64], seller: i64) -> Report {
    let releases: Vec<AnyJob> = trades.iter().map(|trade| release(*trade, seller)).collect();
    db.ask_all(&releases).await;
    let settler = db.settler().await;
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!(batch.len(), MANY);
    settler.settle(batch).await.unwrap()
}

async fn count(db: &Db, sql: &'static str) -> i64 {
    sqlx::query_scalar(sql).fetch_one(&db.owner).await.unwrap()
}

/// Commissions that are paid, and commissions that are queued.
async fn commissions(db: &Db) -> (i64, i64) {
    let paid = count(db, "select count(*) from commission where amount = 40").await;
    (paid, count(db, "select count(*) from outbox join job on id = job_id where kind = 'referral-commission'").await)
}

#[tokio::test]
async fn commissions_are_settled_with_their_releases() {
    let db = Db::new().await;
    let (trades, seller, referrer) = paid(&db).await;
    let report = release_all(&db, &trades, seller).await;
    assert_eq!((report.settled, report.rejected, report.parked, report.postponed), (600, 0, 0, 0));
    assert_eq!(commissions(&db).await, (300, 0));
    assert_eq!(db.wallet(referrer, "btc").await, "0.00012000");
    // Each is a job like any other: asked for once, with an outcome, and it says what caused it.
    let whole = count(
        &db,
        "
        select count(*) from job j
        join request r on r.job_id = j.id and r.submitter = j.submitted_by and r.kind = j.kind
        join outcome o on o.job_id = j.id and o.status = 'settled' and o.attempts = 1
        join job release on release.id = j.caused_by and release.kind = 'release'
            and release.payload ->> 'trade_id' = j.payload ->> 'trade_id'
        join commission c on c.job_id = j.id
        where j.kind = 'referral-commission' and j.received_at >= release.received_at
        ",
    )
    .await;
    assert_eq!(whole, 300);
    db.verified().await;
}

#[tokio::test]
async fn a_pause_of_commissions_leaves_them_in_the_queue() {
    let db = Db::new().await;
    db.operators().await;
    let (trades, seller, _) = paid(&db).await;
    db.ask_as(SUBMITTER, pause(PauseScope::Kind, "referral-commission")).await;
    db.operate().await;
    assert_eq!(release_all(&db, &trades, seller).await.settled, 300);
    assert_eq!(commissions(&db).await, (0, 300));
    db.ask_as(SUBMITTER, resume(PauseScope::Kind, "referral-commission")).await;
    db.operate().await;
    db.drain().await;
    assert_eq!(commissions(&db).await, (300, 0));
    db.verified().await;
}

/// What does not settle at once is queued, and parked from there.
#[tokio::test]
async fn without_a_rate_they_are_parked_one_by_one() {
    let db = Db::new().await;
    db.sql("delete from referral_rate").await;
    let (trades, seller, _) = paid(&db).await;
    assert_eq!(release_all(&db, &trades, seller).await.settled, 300);
    assert_eq!(commissions(&db).await, (0, 300));
    let report = db.drain().await;
    assert_eq!((report.settled, report.parked), (0, 300));
    db.verified().await;
}

/// Two workers race for one wallet: what was foreseen is not what is decided, and nobody is paid twice.
#[tokio::test]
async fn what_is_decided_anew_pays_once() {
    let db = Db::new().await;
    let (trades, seller, referrer) = paid(&db).await;
    let remembers = db.settler().await;
    let (first, second) = trades.split_at(10);
    let releases = |trades: &[i64]| trades.iter().map(|trade| release(*trade, seller)).collect::<Vec<AnyJob>>();
    db.ask_all(&releases(first)).await;
    db.drain_with(&remembers).await;
    // Another worker moves the referrer's wallet, which the first one remembers as it was.
    db.fund(referrer, "btc", "0.5").await;
    db.ask_all(&releases(second)).await;
    let settled = remembers.settle(remembers.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!(settled.settled, 580);
    assert_eq!(commissions(&db).await, (300, 0));
    assert_eq!(db.wallet(referrer, "btc").await, "0.50012000");
    db.verified().await;
}

/// A key names one job: whoever would settle it under another number rolls back.
#[tokio::test]
async fn a_key_that_is_taken_is_not_settled_again() {
    let db = Db::new().await;
    let (trades, seller, _) = paid(&db).await;
    release_all(&db, &trades, seller).await;
    let jobs = count(&db, "select count(*) from job").await;
    let ask = db.caused("referral-commission", trades[0]).await;
    let mut tx = db.worker.begin().await.unwrap();
    let ids = job_ids(&mut tx, 1).await.unwrap();
    let now = outbox::clock(&mut tx).await.unwrap();
    let again = Settled { job_id: ids[0], ask };
    let refused = record_settled(&mut tx, vec![again], now).await.unwrap_err();
    let violated = refused.as_database_error().and_then(sqlx::error::DatabaseError::constraint);
    assert_eq!(violated, Some("request_pk"), "{refused}");
    assert_eq!(outbox::trouble(&refused), Trouble::Data);
    tx.rollback().await.unwrap();
    assert_eq!(count(&db, "select count(*) from job").await, jobs);
    db.verified().await;
}

/// Enough new rows of every table for each of them to be copied.
#[tokio::test]
async fn new_deposits_and_withdrawals_are_copied_whole() {
    let db = Db::new().await;
    let [person] = db.people().await;
    db.know(person, 3).await;
    db.fund(person, "btc", "0.9").await;
    for _ in 0..150 {
        db.callback(&payment(person, "btc", "0.0001")).await;
    }
    db.ask_all(&vec![withdraw(person, "btc", "0.0001"); 150]).await;
    let settler = db.settler().await;
    let report = settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!((report.settled, report.rejected, report.parked), (300, 0, 0));
    assert_eq!(count(&db, "select count(*) from deposit where credited = 10000").await, 150);
    assert_eq!(count(&db, "select count(*) from withdrawal").await, 150);
    db.verified().await;
}
