//! Where claims start while it is dear to look from the beginning, as while somebody keeps a snapshot open.

use std::future::ready;

use jobs::PauseScope;
use settlement::Settler;

use crate::harness::{Db, SUBMITTER, pause, register, resume, until};

/// Lets a worker find out twice, with nothing to claim, that a look from the beginning takes half a second. It makes
/// none for ten seconds then.
async fn taught_that_looks_are_dear(db: &Db) -> Settler {
    let settler = db.settler().await;
    clock_takes(db, "0.5").await;
    for _ in 0..2 {
        assert!(settler.claim().await.unwrap().is_none());
    }
    clock_takes(db, "0").await;
    settler
}

/// Every statement that asks for the time takes so many seconds.
async fn clock_takes(db: &Db, seconds: &str) {
    db.sql(&format!(
        "create or replace function clock() returns timestamptz language plpgsql stable parallel safe as $$
        begin
            perform pg_sleep({seconds});
            return now() + (select shift from clock_shift);
        end
        $$"
    ))
    .await;
}

/// The jobs of the next claim, which is put down again, since what is held cannot be noted.
async fn claimed(settler: &Settler) -> Vec<i64> {
    let Some(batch) = settler.claim().await.unwrap() else { return Vec::new() };
    let ids = batch.ids();
    let unnoted = settler.settle_noted(batch, ready(Err(sqlx::Error::PoolTimedOut))).await;
    assert!(matches!(unnoted, Err(sqlx::Error::PoolTimedOut)));
    ids
}

/// It has claimed nothing yet and may not look through everything: what comes from now on is taken at once, what is put
/// down comes back at once, and what lies far back, such as what a dead worker held, when it may look again.
#[tokio::test]
async fn a_worker_that_starts_on_an_empty_queue_takes_what_comes_and_later_what_lies_far_back() {
    let db = Db::new().await;
    let settler = taught_that_looks_are_dear(&db).await;
    let [far_back, new] = [db.ask(register(None)).await, db.ask(register(None)).await];
    db.sql(&format!("update outbox set run_at = clock() - interval '1 hour' where job_id = {far_back}")).await;
    assert_eq!(claimed(&settler).await, [new]);
    assert_eq!(claimed(&settler).await, [new], "what was put down is gone back to");
    let later = db.ask(register(None)).await;
    assert_eq!(claimed(&settler).await, [new, later]);
    db.drain_due(&settler).await;
    assert_eq!([db.outcome(new).await, db.outcome(later).await], ["settled", "settled"]);
    assert_eq!(db.outcome(far_back).await, "queued");
    until("what lies far back is settled", async || {
        db.drain_due(&settler).await;
        db.outcome(far_back).await == "settled"
    })
    .await;
    db.verified().await;
}

/// Nothing is found on a paused lane, which says nothing of what is queued there.
#[tokio::test]
async fn what_was_queued_while_a_lane_was_paused_is_not_jumped_over() {
    let db = Db::new().await;
    db.operators().await;
    let settler = taught_that_looks_are_dear(&db).await;
    db.operated(SUBMITTER, pause(PauseScope::Lane, "ledger")).await;
    let queued = db.ask(register(None)).await;
    assert!(claimed(&settler).await.is_empty());
    // Later than what a claim looks back for.
    db.pass("2 seconds").await;
    assert!(claimed(&settler).await.is_empty());
    db.operated(SUBMITTER, resume(PauseScope::Lane, "ledger")).await;
    assert_eq!(claimed(&settler).await, [queued]);
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(queued).await, "settled");
    db.verified().await;
}
