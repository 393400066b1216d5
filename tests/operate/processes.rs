//! Pauses in worker processes, each with its own loops.

use std::time::{Duration, Instant};

use jobs::PauseScope;

use crate::cli::processes::Background;
use crate::harness::{Db, OTHER, SUBMITTER, mark_paid, pause, register, resume, until};

/// A pause that takes longer than this is not effective in time.
const EFFECTIVE_WITHIN: Duration = Duration::from_secs(1);

async fn workers(db: &Db, batch: u16) -> [Background; 2] {
    let url = db.url("holdfast_worker").await;
    let start = || {
        let arguments = format!("worker --without-webhooks --batch {batch}");
        Background::start(&arguments, &[("DATABASE_URL_WORKER", &url), ("HOLDFAST_VERIFY_EVERY", "0")])
    };
    let workers = [start(), start()];
    until("both workers work both lanes", async || {
        let beating = sqlx::query_scalar!(r#"select count(*) as "n!" from worker_run where end_kind is null"#);
        beating.fetch_one(&db.owner).await.unwrap() == 4
    })
    .await;
    workers
}

async fn count(db: &Db, what: &str) -> i64 {
    sqlx::query_scalar!(
        r#"
        select case $1 when 'settled' then (select count(*) from outcome o join job j on j.id = o.job_id
                where j.kind = 'user-register')
            when 'put off' then (select count(*) from outbox where last_error = 'paused: kind user-register')
            else (select count(*) from outbox where lane = 'ledger') end as "n!"
        "#,
        what,
    )
    .fetch_one(&db.owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn a_pause_is_effective_within_a_second_in_every_process() {
    let db = Db::new().await;
    db.operators().await;
    let workers = workers(&db, 16).await;
    let mut fastest = Duration::MAX;
    for round in 1..=3_i64 {
        let began = Instant::now();
        let paused = db.ask_as(SUBMITTER, pause(PauseScope::Kind, "user-register")).await;
        until("the pause settles", async || db.outcome(paused).await == "settled").await;
        fastest = fastest.min(began.elapsed());
        let settled = count(&db, "settled").await;
        // Whoever claims these began after the pause: enough of them for both workers.
        db.ask_all(&vec![register(None); 200]).await;
        until("all are put off", async || count(&db, "put off").await == 200).await;
        assert_eq!(count(&db, "settled").await, settled, "no process went on");
        let resumed = db.ask_as(OTHER, resume(PauseScope::Kind, "user-register")).await;
        until("all have settled", async || count(&db, "settled").await == 200 * round).await;
        assert_eq!(db.outcome(resumed).await, "settled");
    }
    assert!(fastest < EFFECTIVE_WITHIN, "the fastest of three pauses took {fastest:?}");
    for worker in workers {
        worker.stops_in_good_order().await;
    }
    db.verified().await;
}

#[tokio::test]
async fn a_backlog_delays_no_pause_and_a_paused_lane_stands_still() {
    let db = Db::new().await;
    db.operators().await;
    for _ in 0..10 {
        db.ask_all(&vec![register(None); 1_000]).await;
    }
    let workers = workers(&db, 16).await;
    let began = Instant::now();
    let paused = db.ask_as(SUBMITTER, pause(PauseScope::Lane, "ledger")).await;
    until("the pause settles", async || db.outcome(paused).await == "settled").await;
    let took = began.elapsed();
    assert!(count(&db, "queued").await > 0, "the backlog was gone before the pause settled, after {took:?}");
    // The batches in hand finish; from then on nothing moves, however long one looks.
    let mut last = (Instant::now(), count(&db, "queued").await);
    until("nothing moves for a second", async || {
        let now = count(&db, "queued").await;
        if now != last.1 {
            last = (Instant::now(), now);
        }
        last.0.elapsed() > Duration::from_secs(1)
    })
    .await;
    assert!(last.1 > 0, "the lane was emptied though it was paused");
    db.ask_as(SUBMITTER, resume(PauseScope::Lane, "ledger")).await;
    until("the backlog settles", async || count(&db, "queued").await == 0).await;
    for worker in workers {
        worker.stops_in_good_order().await;
    }
    db.verified().await;
}

/// The ledger of the only worker waits for a lock that somebody else holds; the pause does not.
#[tokio::test]
async fn a_batch_that_takes_long_delays_no_pause() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let url = db.url("holdfast_worker").await;
    let variables = [("DATABASE_URL_WORKER", url.as_str()), ("HOLDFAST_VERIFY_EVERY", "0")];
    let worker = Background::start("worker --without-webhooks", &variables);
    let mut held = db.owner.begin().await.unwrap();
    sqlx::query!("select id from trade where id = $1 for update", trade).fetch_one(&mut *held).await.unwrap();
    let marked = db.ask(mark_paid(trade, buyer)).await;
    until("the ledger waits for the trade", async || {
        let waiting = sqlx::query_scalar!(
            r#"select count(*) as "n!" from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"#
        );
        waiting.fetch_one(&db.owner).await.unwrap() == 1
    })
    .await;
    let paused = db.ask_as(SUBMITTER, pause(PauseScope::Kind, "release")).await;
    until("the pause settles", async || db.outcome(paused).await == "settled").await;
    assert_eq!(db.outcome(marked).await, "queued", "the batch is still in hand");
    held.rollback().await.unwrap();
    until("the batch settles", async || db.outcome(marked).await == "settled").await;
    worker.stops_in_good_order().await;
    db.verified().await;
}
