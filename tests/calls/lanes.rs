//! The lanes of calls: room by endpoint, leases, suspects, the order to stop.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jobs::{AnyJob, Call, Lane, Reply, Verify};
use outbox::Run;
use settlement::{Caller, Outside, PlannedCall, Planning, Settings};
use tokio::sync::{Semaphore, oneshot};
use workers::Options;

use super::kind::{SENDS, Send, Slow};
use super::world::{Http, Manner, World};
use crate::harness::{Db, OTHER, SUBMITTER, cancel_parked, lease_one, refusal, run, until};

/// Answers when it is let.
struct Gate(Arc<Semaphore>);

impl Caller for Gate {
    fn call<'a>(&'a self, _: &'a PlannedCall) -> BoxFuture<'a, Reply<String>> {
        async {
            self.0.acquire().await.unwrap().forget();
            Reply::Answered("null".to_owned())
        }
        .boxed()
    }
}

/// Returns when it is told.
async fn told(order: oneshot::Receiver<()>) {
    order.await.unwrap();
}

async fn options(db: &Db, outside: Outside) -> Options {
    Options {
        url: db.url("holdfast_worker").await,
        lane: Lane::Provider,
        calls: SENDS,
        outside,
        settings: Settings::default(),
        name: "a worker of the tests".to_owned(),
        poll: Duration::from_millis(50),
        grace: Duration::from_secs(20),
        verify_every: None,
        metrics: None,
        traces: false,
    }
}

#[tokio::test]
async fn an_endpoint_that_hangs_starves_no_other_and_what_was_called_is_finished_at_the_end() {
    let (db, world) = (Db::new().await, World::new().await);
    let gate = Arc::new(Semaphore::new(0));
    let outside =
        Outside::new().with(Slow::ENDPOINT, Gate(Arc::clone(&gate))).with(Send::ENDPOINT, Http::new(&world.base));
    let slow = db.cause_all(&vec![AnyJob::call(Slow {}); 5]).await;
    let sends = db.cause_all(&vec![AnyJob::call(Send {}); 9]).await;
    let options = options(&db, outside).await;
    let (stop, ordered) = oneshot::channel();
    let meanwhile = async {
        until("what does not hang is sent", async || {
            let mut left = 0;
            for job in &sends {
                left += usize::from(db.outcome(*job).await != "settled");
            }
            left == 0
        })
        .await;
        let leased = sqlx::query_scalar!(r#"select count(*) as "n!" from outbox where attempt > 0"#);
        assert_eq!(leased.fetch_one(&db.owner).await.unwrap(), 2, "as many as the endpoint has room for");
        stop.send(()).unwrap();
        until("the order to stop has come", async || {
            let noted = sqlx::query_scalar!(r#"select cardinality(holding) as "n!" from worker_run"#);
            noted.fetch_one(&db.owner).await.unwrap() == 2
        })
        .await;
        gate.add_permits(5);
    };
    let (worked, ()) = tokio::join!(workers::run(options, told(ordered)), meanwhile);
    worked.unwrap();
    let mut ends = Vec::new();
    for job in slow {
        ends.push(db.outcome(job).await);
    }
    assert_eq!(ends, ["settled", "settled", "queued", "queued", "queued"]);
    let run = sqlx::query_scalar!(r#"select end_kind as "end!" from worker_run"#);
    assert_eq!(run.fetch_one(&db.owner).await.unwrap(), "clean");
    db.verified().await;
}

#[tokio::test]
async fn no_answer_is_unknown_and_only_an_error_of_the_endpoint_itself_is_a_refusal() {
    let (db, world) = (Db::new().await, World::new().await);
    let outside = Outside::new().with(Send::ENDPOINT, Http::new(&world.base));
    let calls = db.calling(Lane::Provider, SENDS, outside).await;
    for (manner, reply, outcome) in [
        (Manner::Refuses, "refused", "rejected wrong_state"),
        (Manner::Fails, "unknown", "queued"),
        (Manner::Forbids, "unknown", "queued"),
        (Manner::Hangs, "unknown", "queued"),
    ] {
        world.behaves(manner);
        let job = db.cause(AnyJob::call(Send {})).await;
        let leased = calls.lease(Send::ENDPOINT, 1).await.unwrap()[0];
        let Planning::Call(planned) = calls.plan(leased).await.unwrap() else { panic!("{manner:?}") };
        let answer = calls.call(&planned).await;
        assert_eq!(answer.end().as_str(), reply, "{manner:?}: {answer:?}");
        assert!(calls.record(&planned, &answer).await.unwrap().is_some());
        assert_eq!(db.outcome(job).await, outcome, "{manner:?}");
        if outcome == "queued" {
            db.pass("2 seconds").await;
            let again = calls.lease(Send::ENDPOINT, 1).await.unwrap()[0];
            let storm = |error: &sqlx::Error| panic!("{error}");
            calls.run(again, std::future::pending(), storm).await.unwrap();
            assert_eq!(db.outcome(job).await, "settled", "{manner:?}: it was asked about");
            assert_eq!(world.seen(job), (1, 1), "{manner:?}");
        }
    }
    db.verified().await;
}

/// A worker that died with it alone, three times, is enough.
#[tokio::test]
async fn a_call_that_kills_its_worker_is_parked() {
    let (db, world) = (Db::new().await, World::new().await);
    let job = db.cause(AnyJob::call(Send {})).await;
    for _ in 0..3 {
        let run = Run::begin(db.worker.clone(), "provider", "one that dies".to_owned()).await.unwrap();
        run.note_holding(&[job]).await.unwrap();
        db.sql(&format!("update worker_run set ended_at = clock(), end_kind = 'unclean' where id = {}", run.id()))
            .await;
    }
    let http = || Http::new(&world.base);
    let outside = Outside::new().with(Send::ENDPOINT, http()).with(Slow::ENDPOINT, http());
    // Only who has seen it knows of it; until the first heartbeat nobody does.
    db.sql("update outbox set run_at = clock() + interval '3 seconds'").await;
    let options = options(&db, outside).await;
    let (stop, ordered) = oneshot::channel();
    let meanwhile = async {
        until("it is parked", async || db.outcome(job).await == "parked crashes").await;
        stop.send(()).unwrap();
    };
    let (worked, ()) = tokio::join!(workers::run(options, told(ordered)), meanwhile);
    worked.unwrap();
    assert_eq!(world.seen(job), (0, 0));
    db.verified().await;
}

#[tokio::test]
async fn a_lane_without_a_kind_says_so() {
    let db = Db::new().await;
    let none = Options { calls: jobs::CALLS, ..options(&db, Outside::new()).await };
    let refused = workers::run(none, std::future::pending()).await;
    assert!(matches!(refused, Err(workers::Error::EmptyLane(Lane::Provider))), "{refused:?}");
    let refused = workers::run(options(&db, Outside::new()).await, std::future::pending()).await;
    assert!(matches!(refused, Err(workers::Error::NoCaller("test-sends"))), "{refused:?}");
    let calls = db.calling(Lane::Provider, SENDS, Outside::new()).await;
    assert!(calls.endpoints().is_empty(), "nobody makes the calls");
    db.cause(AnyJob::call(Send {})).await;
    assert_eq!(calls.settle_strangers().await.unwrap().ended(), 0, "it is no stranger");
    let calls = db.calling(Lane::Provider, SENDS, Outside::new().with(Send::ENDPOINT, Http::new(""))).await;
    assert!(lease_one(&calls).await.is_some());
}

/// What may have happened cannot end as if nothing had; what was refused, or only read, can.
#[tokio::test]
async fn a_parked_job_whose_call_may_have_happened_cannot_be_cancelled() {
    let (db, world) = (Db::new().await, World::new().await);
    db.operators().await;
    let calls = db.calling(Lane::Provider, SENDS, Outside::new().with(Send::ENDPOINT, Http::new(&world.base))).await;
    let job = db.cause(AnyJob::call(Send {})).await;
    let leased = lease_one(&calls).await.unwrap();
    assert!(matches!(calls.plan(leased).await.unwrap(), Planning::Call(_)), "and its worker dies");
    db.pass("1 minute").await;
    let again = lease_one(&calls).await.unwrap();
    let storm = |error: &sqlx::Error| panic!("{error}");
    calls.run(again, std::future::pending(), storm).await.unwrap();
    assert_eq!(db.outcome(job).await, "parked not_sent");
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, "rejected may_have_happened");
    // An older worker, which does not know the rule, is refused by the database.
    let decided = "insert into parked_decision (decision_job, job_id, parked_at, decision, principal_id, reason, needs_two, carried_out, at)
        select 1000000, job_id, parked_at, 'cancel', 100, 'a test', true, false, clock() from parked";
    assert_eq!(refusal(run(&db.worker, decided).await).constraint, "parked_decision_calls_nothing_off");
    let refused = db.cause(AnyJob::call(Send {})).await;
    db.sql(&format!("insert into call values ({refused}, 1, 'test-sends', false, clock())")).await;
    db.sql(&format!("insert into call_end values ({refused}, 1, 'refused', clock())")).await;
    db.park(refused, 1).await;
    let first = db.operated(SUBMITTER, cancel_parked(refused)).await;
    assert_eq!(first, r#"settled {"needs": "second_principal"}"#);
    let verification = db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    db.sql("update outbox set attempt = 19 where lane = 'verify'").await;
    let verifier = db.verifier().await;
    let leased = lease_one(&verifier).await.unwrap();
    assert!(matches!(verifier.plan(leased).await.unwrap(), Planning::Call(_)));
    db.pass("11 minutes").await;
    db.run_verification().await.unwrap();
    assert_eq!(db.outcome(verification).await, "parked attempts");
    assert_eq!(db.operated(OTHER, cancel_parked(verification)).await, r#"settled {"carried_out": "cancel"}"#);
}
