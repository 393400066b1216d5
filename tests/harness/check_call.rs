//! What every kind that calls must withstand: each of its steps is repeated, its worker dies between any two of them,
//! and what it is answered is lost, delayed, doubled and garbled.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jobs::Reply;
use outbox::Leased;
use settlement::{Caller, Calls, PlannedCall, Planning};
use tokio::sync::Notify;

use super::calls::lease_one;
use super::{Db, until};

/// A step is cut at so many points, a millisecond from each other.
const CUTS_MS: u64 = 6;
/// How often a job is taken up at most until it has ended.
const TURNS_MAX: u32 = 10;

/// A kind that calls, and the world that it calls.
pub(crate) trait CallCase {
    /// The database that its jobs are in.
    fn db(&self) -> &Db;
    /// Asks for a job. Its id.
    async fn ask(&self) -> i64;
    /// A worker whose calls pass through `mischief`.
    async fn worker(&self, mischief: &Mischief) -> Calls;
    /// How often the world was called under the identity of a job to do something, and how often it did it.
    fn seen(&self, job: i64) -> (u32, u32);
    /// How often it must have done it for a job that has settled.
    fn wanted(&self) -> u32;
}

/// What happens to the answers of calls from now on.
#[derive(Clone, Default)]
pub(crate) struct Mischief {
    what: Arc<AtomicU8>,
    called: Arc<Notify>,
}

const NONE: u8 = 0;
const LOST: u8 = 1;
const GARBLED: u8 = 2;
const ENDLESS: u8 = 3;

impl Mischief {
    /// Puts it between a worker and a caller.
    pub(crate) fn between(&self, caller: impl Caller + 'static) -> impl Caller + 'static {
        Between { caller, mischief: self.clone() }
    }

    fn will(&self, what: u8) {
        self.what.store(what, Ordering::SeqCst);
    }
}

struct Between<C> {
    caller: C,
    mischief: Mischief,
}

impl<C: Caller> Caller for Between<C> {
    fn call<'a>(&'a self, planned: &'a PlannedCall) -> BoxFuture<'a, Reply<String>> {
        async move {
            let reply = self.caller.call(planned).await;
            match self.mischief.what.load(Ordering::SeqCst) {
                LOST => Reply::Unknown("the answer was lost".to_owned()),
                GARBLED => Reply::Answered("<html>moved</html>".to_owned()),
                ENDLESS => {
                    self.mischief.called.notify_one();
                    std::future::pending().await
                }
                _ => reply,
            }
        }
        .boxed()
    }
}

/// Takes a kind through all of it. What was seen of each, in lines.
pub(crate) async fn check_call(case: &impl CallCase) -> String {
    let mut seen = String::new();
    let scenes: [(&str, Scene); 12] = [
        ("nothing happens", Scene::Nothing),
        ("planned twice", Scene::PlannedTwice),
        ("called twice", Scene::CalledTwice),
        ("recorded twice", Scene::RecordedTwice),
        ("killed before it plans", Scene::KilledBeforePlan),
        ("killed before it calls", Scene::KilledBeforeCall),
        ("killed while it calls", Scene::KilledInCall),
        ("killed before it records", Scene::KilledBeforeRecord),
        ("the answer is lost", Scene::Lost),
        ("the answer is garbled", Scene::Garbled),
        ("the answer comes when another worker has taken over", Scene::Late),
        ("the answer comes when another worker has ended it", Scene::TooLate),
    ];
    for (name, scene) in scenes {
        let job = case.ask().await;
        play(case, scene, job).await;
        let turns = finish(case, job).await;
        let (outcome, (calls, done)) = (case.db().outcome(job).await, case.seen(job));
        assert!(done <= case.wanted(), "{name}: done {done} times");
        match outcome.as_str() {
            "settled" => assert_eq!(done, case.wanted(), "{name}: settled, and done {done} times"),
            // A person looks: nothing is claimed of what has happened.
            parked if parked.starts_with("parked") => {}
            ended => assert_eq!(done, 0, "{name}: {ended}, and done {done} times"),
        }
        writeln!(seen, "{name}: {outcome}, called {calls}, done {done}, turns {turns}").unwrap();
    }
    for ms in 0..CUTS_MS {
        cut(case, Duration::from_millis(ms)).await;
    }
    case.db().verified().await;
    seen
}

/// A worker dies while it plans, and another one while it records, so long after it began.
async fn cut(case: &impl CallCase, after: Duration) {
    let [plan_cut, record_cut] = [case.ask().await, case.ask().await];
    let worker = case.worker(&Mischief::default()).await;
    for job in [plan_cut, record_cut] {
        let leased = lease_one(&worker).await.expect("it is due");
        assert_eq!(leased.job_id, job);
        if job == plan_cut {
            // In time or not: the planned call is never made.
            drop(tokio::time::timeout(after, worker.plan(leased)).await);
        } else {
            let planned = plan(&worker, leased).await;
            let reply = worker.call(&planned).await;
            drop(tokio::time::timeout(after, worker.record(&planned, &reply)).await);
        }
    }
    for job in [plan_cut, record_cut] {
        finish(case, job).await;
        let (outcome, (_, done)) = (case.db().outcome(job).await, case.seen(job));
        let wanted = if outcome == "settled" { case.wanted() } else { 0 };
        assert_eq!(done, wanted, "cut after {after:?}: {outcome}");
    }
}

#[derive(Clone, Copy)]
enum Scene {
    Nothing,
    PlannedTwice,
    CalledTwice,
    RecordedTwice,
    KilledBeforePlan,
    KilledBeforeCall,
    KilledInCall,
    KilledBeforeRecord,
    Lost,
    Garbled,
    Late,
    TooLate,
}

#[expect(clippy::wildcard_enum_match_arm, reason = "in the other scenes nothing happens at that point")]
async fn play(case: &impl CallCase, scene: Scene, job: i64) {
    let mischief = Mischief::default();
    let worker = case.worker(&mischief).await;
    let leased = lease_one(&worker).await.expect("it is due");
    assert_eq!(leased.job_id, job);
    match scene {
        Scene::KilledBeforePlan => return,
        Scene::Lost => mischief.will(LOST),
        Scene::Garbled => mischief.will(GARBLED),
        Scene::KilledInCall => mischief.will(ENDLESS),
        _ => mischief.will(NONE),
    }
    let planned = plan(&worker, leased).await;
    match scene {
        Scene::KilledBeforeCall => return,
        Scene::PlannedTwice => {
            let again = worker.plan(leased).await.unwrap();
            assert!(matches!(again, Planning::Lost), "planned twice under one lease: {again:?}");
        }
        Scene::KilledInCall => {
            tokio::select! {
                reply = worker.call(&planned) => panic!("{reply:?}"),
                () = mischief.called.notified() => return,
            }
        }
        _ => {}
    }
    let reply = worker.call(&planned).await;
    match scene {
        Scene::KilledBeforeRecord => return,
        Scene::CalledTwice => {
            let again = worker.call(&planned).await;
            assert!(worker.record(&planned, &again).await.unwrap().is_some());
            return;
        }
        Scene::Late => {
            let other = case.worker(&Mischief::default()).await;
            let (taken, others) = take_over(case, &other, leased).await;
            assert!(worker.record(&planned, &reply).await.unwrap().is_none(), "a late answer was recorded");
            assert_eq!(case.db().outcome(job).await, "queued", "the other worker is at it");
            assert_eq!(taken.attempt, leased.attempt + 1);
            let reply = other.call(&others).await;
            assert!(other.record(&others, &reply).await.unwrap().is_some());
            return;
        }
        Scene::TooLate => {
            case.db().pass("1 day").await;
            finish(case, job).await;
            let outcome = case.db().outcome(job).await;
            assert!(worker.record(&planned, &reply).await.unwrap().is_none(), "a late answer was recorded");
            assert_eq!(case.db().outcome(job).await, outcome);
            return;
        }
        _ => {}
    }
    assert!(worker.record(&planned, &reply).await.unwrap().is_some(), "the fence holds nobody up who has the lease");
    if matches!(scene, Scene::RecordedTwice | Scene::Lost) {
        assert!(worker.record(&planned, &reply).await.unwrap().is_none(), "recorded twice");
    }
}

async fn plan(worker: &Calls, leased: Leased) -> PlannedCall {
    match worker.plan(leased).await.unwrap() {
        Planning::Call(planned) => planned,
        other @ (Planning::Ended(_) | Planning::Lost) => panic!("{other:?}"),
    }
}

/// Another worker takes a job over when its lease is over.
async fn take_over(case: &impl CallCase, other: &Calls, from: Leased) -> (Leased, PlannedCall) {
    assert_eq!(lease_one(other).await, None, "it is leased");
    case.db().pass("1 day").await;
    let taken = lease_one(other).await.expect("its lease is over");
    assert_eq!(taken.job_id, from.job_id);
    (taken, plan(other, taken).await)
}

/// Works with new workers until the job has ended or is parked. How often it was taken up.
async fn finish(case: &impl CallCase, job: i64) -> u32 {
    for turn in 0..TURNS_MAX {
        if case.db().outcome(job).await != "queued" {
            return turn;
        }
        case.db().pass("1 day").await;
        let worker = case.worker(&Mischief::default()).await;
        // Another job may be due before it, and the server may not be through yet with what was cut.
        let mut due = None;
        until("something is due", async || {
            due = lease_one(&worker).await;
            due.is_some()
        })
        .await;
        let leased = due.expect("something is due");
        let storm = |error: &sqlx::Error| panic!("{error}");
        worker.run(leased, std::future::pending(), storm).await.unwrap();
    }
    panic!("job {job} does not end: {}", case.db().queue_text().await);
}
