//! Workers that die, pause or go deaf.

use std::future::ready;
use std::time::{Duration, Instant};

use outbox::{Ears, Run, nudge};
use settlement::{Report, Settler};
use sqlx::postgres::PgListener;
use tokio::sync::oneshot;

use crate::harness::{Db, mark_paid, register, until};

const LANE: &str = Settler::LANE;

/// A worker that holds these jobs, and whose heart stopped ten seconds ago.
async fn dead_worker(db: &Db, jobs: &[i64]) -> Run {
    let run = Run::begin(db.worker.clone(), LANE, "the dead one".to_owned()).await.unwrap();
    run.note_holding(jobs).await.unwrap();
    db.sql(&format!("update worker_run set beat_at = beat_at - interval '10 seconds' where id = {}", run.id())).await;
    run
}

/// Takes one suspect as a worker does: leased, noted, settled.
async fn take_suspect(settler: &Settler, run: &Run) -> Option<Report> {
    let leased = settler.lease_suspect().await.unwrap()?;
    run.note_holding(&[leased.job_id]).await.unwrap();
    let deaths = run.deaths_alone_with(leased.job_id).await.unwrap();
    Some(settler.settle_suspect(leased, deaths).await.unwrap())
}

async fn end_of(db: &Db, run: i64) -> String {
    let end = sqlx::query_scalar!(r#"select coalesce(end_kind, 'alive') as "end!" from worker_run where id = $1"#, run);
    end.fetch_one(&db.owner).await.unwrap()
}

/// What a batch holds is noted while it asks for the time, and before anything that its jobs name is touched: whatever
/// in them might kill a worker leaves a trace.
#[tokio::test]
async fn until_what_is_held_is_noted_nothing_of_it_is_touched() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.1").await;
    db.ask(mark_paid(trade, buyer)).await;
    let count = async |sql: &'static str| sqlx::query_scalar::<_, i64>(sql).fetch_one(&db.owner).await.unwrap();
    let settler = db.settler_on(db.pool("holdfast_worker", 1).await, 10).await;
    let batch = settler.claim().await.unwrap().unwrap();
    let (go, noted) = oneshot::channel();
    let note = async { noted.await.map_err(|_| sqlx::Error::PoolClosed) };
    let watching = async {
        until("it has read all that it may", async || {
            count(
                "select count(*) from pg_stat_activity where datname = current_database()
                 and usename = 'holdfast_worker' and state = 'idle in transaction' and query like '%pg_backend_pid()%'",
            )
            .await
                == 1
        })
        .await;
        let free = "select count(*) from (select from trade for update skip locked) f";
        assert_eq!(count(free).await, 1, "the trade is not locked");
        go.send(()).unwrap();
    };
    let (report, ()) = tokio::join!(settler.settle_noted(batch, note), watching);
    assert_eq!(report.unwrap().settled, 1);
    assert_eq!(count("select count(*) from trade where state = 'paid'").await, 1);
    db.verified().await;
}

/// Whatever it is that keeps a worker from noting what it holds, no job is to blame, and none is decided.
#[tokio::test]
async fn what_cannot_be_noted_is_not_decided() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 20]).await;
    let settler = db.settler().await;
    for error in [sqlx::Error::PoolTimedOut, sqlx::Error::RowNotFound, sqlx::Error::Decode("made to fail".into())] {
        let batch = settler.claim().await.unwrap().unwrap();
        assert_eq!(batch.ids(), ids, "all of them are due again");
        settler.settle_noted(batch, ready(Err(error))).await.unwrap_err();
        let left = sqlx::query!(
            r#"select count(*) as "queued!", max(attempt) as "attempt!", (select count(*) from parked) as "parked!",
                (select count(*) from app_user) as "people!" from outbox"#
        );
        let left = left.fetch_one(&db.owner).await.unwrap();
        assert_eq!((left.queued, left.attempt, left.parked, left.people), (20, 0, 0, 0));
    }
    assert_eq!(db.drain_with(&settler).await.settled, 20);
    db.verified().await;
}

/// RULES 12: what a dead worker held is taken one at a time, everything else as ever.
#[tokio::test]
async fn what_a_dead_worker_held_is_taken_one_at_a_time() {
    let db = Db::new().await;
    let suspects = db.ask_all(&vec![register(None); 3]).await;
    let others = db.ask_all(&vec![register(None); 5]).await;
    let dead = dead_worker(&db, &suspects).await;
    let run = Run::begin(db.worker.clone(), LANE, "the next one".to_owned()).await.unwrap();
    assert_eq!(run.beat().await.unwrap(), suspects);
    assert_eq!(end_of(&db, dead.id()).await, "unclean");

    let settler = db.settler().await;
    assert_eq!(take_suspect(&settler, &run).await, None, "it has not been told of any yet");
    settler.refresh(suspects.clone()).await.unwrap();
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!(batch.ids(), others);
    assert_eq!(settler.settle(batch).await.unwrap().settled, 5);
    assert!(settler.claim().await.unwrap().is_none());

    for left in (0..3).rev() {
        let report = take_suspect(&settler, &run).await;
        assert_eq!(report, Some(Report { settled: 1, ..Report::default() }));
        assert_eq!(run.beat().await.unwrap().len(), left);
    }
    assert_eq!(take_suspect(&settler, &run).await, None);
    assert_eq!(end_of(&db, dead.id()).await, "passed");
    for id in suspects {
        let attempts = sqlx::query_scalar!("select attempts from outcome where job_id = $1", id);
        assert_eq!(attempts.fetch_one(&db.owner).await.unwrap(), 2, "the lease was an attempt and is on record");
    }
    db.verified().await;
}

/// A job that kills whoever decides it: each try leaves its trace before it is decided.
#[tokio::test]
async fn a_job_that_kills_its_workers_is_parked_after_the_third() {
    let db = Db::new().await;
    let [killer, harmless] = db.ask_all(&vec![register(None); 2]).await.try_into().unwrap();
    dead_worker(&db, &[killer, harmless]).await;
    let run = Run::begin(db.worker.clone(), LANE, "the next one".to_owned()).await.unwrap();
    let settler = db.settler().await;
    for _ in 0..3 {
        assert!(run.beat().await.unwrap().contains(&killer));
        settler.refresh(vec![killer]).await.unwrap();
        let leased = settler.lease_suspect().await.unwrap().unwrap();
        assert_eq!(settler.lease_suspect().await.unwrap(), None, "nobody takes it while the lease lasts");
        // The worker is gone after it noted what it holds.
        dead_worker(&db, &[leased.job_id]).await;
        db.pass("61 seconds").await;
    }
    assert!(run.beat().await.unwrap().contains(&killer));
    settler.refresh(vec![killer, harmless]).await.unwrap();
    let mut total = [take_suspect(&settler, &run).await.unwrap(), take_suspect(&settler, &run).await.unwrap()];
    total.sort_by_key(|report| report.parked);
    assert_eq!(total, [Report { settled: 1, ..Report::default() }, Report { parked: 1, ..Report::default() }]);
    assert_eq!(db.outcome(killer).await, "parked crashes");
    assert_eq!(db.outcome(harmless).await, "settled");
    let attempt = sqlx::query_scalar!("select attempt from parked where job_id = $1", killer);
    assert_eq!(attempt.fetch_one(&db.owner).await.unwrap(), 4);
    db.verified().await;
}

/// Attempts are raised by waiting too, so they say nothing about deaths.
#[tokio::test]
async fn a_job_that_has_waited_often_is_no_killer() {
    let db = Db::new().await;
    let patient = db.ask(register(None)).await;
    db.sql(&format!("update outbox set attempt = 7 where job_id = {patient}")).await;
    dead_worker(&db, &[patient]).await;
    let run = Run::begin(db.worker.clone(), LANE, "the next one".to_owned()).await.unwrap();
    let settler = db.settler().await;
    settler.refresh(run.beat().await.unwrap()).await.unwrap();
    assert_eq!(take_suspect(&settler, &run).await, Some(Report { settled: 1, ..Report::default() }));
    db.verified().await;
}

#[tokio::test]
async fn a_clean_end_leaves_no_suspects_and_a_pause_is_survived() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 2]).await;
    let clean = Run::begin(db.worker.clone(), LANE, "clean".to_owned()).await.unwrap();
    clean.note_holding(&ids).await.unwrap();
    let clean_id = clean.id();
    clean.end().await.unwrap();
    let paused = dead_worker(&db, &ids).await;
    let before = paused.id();
    let other = Run::begin(db.worker.clone(), LANE, "other".to_owned()).await.unwrap();
    let elsewhere = Run::begin(db.worker.clone(), "notify", "elsewhere".to_owned()).await.unwrap();
    assert!(elsewhere.beat().await.unwrap().is_empty(), "another lane does not care");
    assert_eq!(end_of(&db, before).await, "alive", "nor does it judge");
    assert_eq!(other.beat().await.unwrap(), ids);
    assert_eq!(end_of(&db, clean_id).await, "clean");
    // It wakes up, finds itself declared dead and goes on under another number.
    assert_eq!(paused.beat().await.unwrap(), ids);
    assert_ne!(paused.id(), before);
    assert_eq!(end_of(&db, paused.id()).await, "alive");
    db.drain().await;
    assert!(other.beat().await.unwrap().is_empty());
}

/// A claim starts where the last one ended; an empty one starts anew, and so does one that is
/// more than a second later.
#[tokio::test]
async fn what_lies_behind_the_cursor_is_found() {
    let db = Db::new().await;
    let [first, behind, ahead] = db.ask_all(&vec![register(None); 3]).await.try_into().unwrap();
    db.sql(&format!("update outbox set run_at = run_at - interval '1 minute' where job_id in ({first}, {behind})"))
        .await;
    let settler = db.settler_on(db.worker.clone(), 1).await;
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!(batch.ids(), [first]);
    settler.settle(batch).await.unwrap();
    db.sql(&format!("update outbox set run_at = run_at - interval '1 hour' where job_id = {behind}")).await;
    let batch = settler.claim().await.unwrap().unwrap();
    // Usually the cursor's second is not over; where it is, the one behind comes first.
    let then = batch.ids();
    settler.settle(batch).await.unwrap();
    let mut rest = vec![behind, ahead];
    rest.retain(|id| !then.contains(id));
    let left = until_claimed(&settler).await;
    assert_eq!(left, rest);
    assert_eq!(db.queue_text().await, "");
}

/// Claims, through one empty claim at most, and settles. What it was.
async fn until_claimed(settler: &Settler) -> Vec<i64> {
    for _ in 0..2 {
        if let Some(batch) = settler.claim().await.unwrap() {
            let ids = batch.ids();
            settler.settle(batch).await.unwrap();
            return ids;
        }
    }
    Vec::new()
}

/// Longer than any test may take, so that only a nudge can end the waiting.
const NEVER: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_nudge_wakes_its_lane_and_no_other() {
    let db = Db::new().await;
    let mut ears = Ears::new(db.worker.clone(), LANE, NEVER);
    ears.listen().await;
    nudge(&db.api, "notify").await.unwrap();
    nudge(&db.api, LANE).await.unwrap();
    nudge(&db.api, LANE).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), ears.wait()).await.unwrap();
}

/// A worker that is never idle waits for no nudge. If it did not read them either, the server would wait to be rid
/// of them, and keep every dead row of the database meanwhile.
#[tokio::test]
async fn nudges_are_heard_while_nobody_waits_for_them() {
    let db = Db::new().await;
    let mut ears = Ears::new(db.worker.clone(), LANE, NEVER);
    ears.listen().await;
    let mut beside = PgListener::connect_with(&db.owner).await.unwrap();
    beside.listen("holdfast_ledger").await.unwrap();
    // More than the buffers of a connection hold.
    let many = "select pg_notify('holdfast_ledger', rpad(n::text, 100)) from generate_series(1, 100000) n";
    sqlx::raw_sql(many).execute(&db.owner).await.unwrap();
    for _ in 0..100_000 {
        beside.recv().await.unwrap();
    }
    until("the server is rid of them", async || {
        let rid = "select count(*) from pg_stat_activity where datname = current_database()
            and usename = 'holdfast_worker' and query ilike 'listen %' and backend_xmin is null";
        sqlx::query_scalar::<_, i64>(rid).fetch_one(&db.owner).await.unwrap() == 1
    })
    .await;
    tokio::time::timeout(Duration::from_secs(30), ears.wait()).await.unwrap();
}

/// `scenario lost_notify`: the listening connection dies, or never was; polling goes on.
#[tokio::test]
async fn a_worker_that_has_gone_deaf_polls() {
    let db = Db::new().await;
    let poll = Duration::from_millis(40);
    let mut ears = Ears::new(db.worker.clone(), LANE, poll);
    for heard in [false, true] {
        if heard {
            ears.listen().await;
            let killed = sqlx::query_scalar!(
                r#"select count(pg_terminate_backend(pid)) as "n!" from pg_stat_activity
                where datname = current_database() and query ilike 'listen %'"#
            );
            assert_eq!(killed.fetch_one(&db.owner).await.unwrap(), 1);
        }
        for _ in 0..5 {
            let began = Instant::now();
            tokio::time::timeout(Duration::from_secs(30), ears.wait()).await.unwrap();
            assert!(began.elapsed() < Duration::from_secs(10));
        }
    }
    // It has found its ears again: a nudge ends a wait that would not end by itself.
    let mut ears = Ears::new(db.worker.clone(), LANE, NEVER);
    ears.listen().await;
    db.sql("select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and query ilike 'listen %' and pid <> pg_backend_pid()").await;
    let mut woken = false;
    until("a nudge is heard after the connection was lost", async || {
        nudge(&db.api, LANE).await.unwrap();
        woken = woken || tokio::time::timeout(Duration::from_millis(20), ears.wait()).await.is_ok();
        woken
    })
    .await;
    // That may have been the loss, which is told as well; what comes once that is heard is a nudge.
    while tokio::time::timeout(Duration::from_millis(20), ears.wait()).await.is_ok() {}
    nudge(&db.api, LANE).await.unwrap();
    tokio::time::timeout(Duration::from_secs(30), ears.wait()).await.unwrap();
}

/// While a server waits for rows to copy none of its limits holds: a worker that is stopped just there keeps its
/// locks until another one declares it dead.
#[tokio::test]
async fn a_worker_that_is_stopped_while_it_copies_lets_go_of_its_rows() {
    const STOPPED: &str = "holdfast worker stopped:1";
    let db = Db::new().await;
    let [person, _] = db.people().await;
    let job = db.ask(register(None)).await;
    let stopped = Run::begin(db.worker.clone(), LANE, STOPPED.to_owned()).await.unwrap();
    stopped.note_holding(&[job]).await.unwrap();
    let mut held = db.worker.begin().await.unwrap();
    let named = sqlx::query_scalar!("select set_config('application_name', $1, false)", STOPPED);
    named.fetch_one(&mut *held).await.unwrap();
    let locked = sqlx::query_scalar!("select id from app_user where id = $1 for no key update", person);
    locked.fetch_one(&mut *held).await.unwrap();
    let copying = held.copy_in_raw("copy transfer from stdin (format binary)").await.unwrap();
    let other = Run::begin(db.worker.clone(), LANE, "holdfast worker other:1".to_owned()).await.unwrap();
    let is_free = async || {
        let free = sqlx::query_scalar!("select id from app_user where id = $1 for no key update skip locked", person);
        free.fetch_optional(&db.owner).await.unwrap().is_some()
    };
    // Its heart has stood still for longer than five seconds, but not its transaction, which began later.
    db.sql("update worker_run set beat_at = beat_at - interval '6 seconds' where name like '%stopped%'").await;
    assert_eq!(other.beat().await.unwrap(), [job]);
    assert_eq!(end_of(&db, stopped.id()).await, "unclean");
    assert!(!is_free().await);
    let waited = "select now() - xact_start > interval '5 seconds' from pg_stat_activity where application_name = $1";
    until("the transaction is old", async || {
        sqlx::query_scalar::<_, bool>(waited).bind(STOPPED).fetch_one(&db.owner).await.unwrap()
    })
    .await;
    other.beat().await.unwrap();
    until("the row is free", is_free).await;
    drop(copying);
    db.verified().await;
}

#[tokio::test]
async fn a_worker_knows_whether_it_is_alone() {
    let db = Db::new().await;
    let begin = async |lane, name: &str| Run::begin(db.worker.clone(), lane, name.to_owned()).await.unwrap();
    let one = begin("ledger", "one").await;
    let elsewhere = begin("notify", "elsewhere").await;
    assert!(one.is_alone().await.unwrap());
    let two = begin("ledger", "two").await;
    assert!(!one.is_alone().await.unwrap() && !two.is_alone().await.unwrap());
    one.end().await.unwrap();
    assert!(two.is_alone().await.unwrap() && elsewhere.is_alone().await.unwrap());
}
