//! Verification as a job, in worker processes.

use crate::cli::processes::Background;
use crate::harness::{Db, SUBMITTER, lease_one, pause, until};
use jobs::{AnyJob, Call, Lane, PauseScope, Verify};
use settlement::{Calling, Calls, Checks, Outside, Report, Settings, Settler, Watcher, ask_for_verification};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const HOUR: Duration = Duration::from_hours(1);

async fn verifications(db: &Db) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "n!" from verification"#).fetch_one(&db.owner).await.unwrap()
}

async fn asked(db: &Db) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "n!" from job where kind = 'verify'"#).fetch_one(&db.owner).await.unwrap()
}

/// Runs the verification that is due and says what it found.
async fn found(db: &Db) -> &'static str {
    assert!(matches!(db.run_verification().await, Some(Calling::Recorded(Report { settled: 1, .. }))));
    let newest = sqlx::query_scalar!("select clean from verification order by job_id desc limit 1");
    if newest.fetch_one(&db.owner).await.unwrap() { "clean" } else { "not clean" }
}

#[tokio::test]
async fn many_workers_cause_one_verification_in_each_slot() {
    let db = Db::new().await;
    let first = ask_for_verification(&db.worker, HOUR, None).await.unwrap();
    for _ in 0..3 {
        assert_eq!(ask_for_verification(&db.worker, HOUR, None).await.unwrap(), first);
    }
    assert_eq!(asked(&db).await, 1);
    db.pass("1 hour").await;
    ask_for_verification(&db.worker, HOUR, Some(first)).await.unwrap();
    assert_eq!(asked(&db).await, 1, "one at a time is enough");
    assert_eq!(found(&db).await, "clean");
    let second = ask_for_verification(&db.worker, HOUR, Some(first)).await.unwrap();
    assert_eq!((second, asked(&db).await), (first + 1, 2));
    assert_eq!(ask_for_verification(&db.worker, HOUR, Some(second)).await.unwrap(), second);
    assert_eq!(asked(&db).await, 2);
    assert_eq!(found(&db).await, "clean");
    db.verified().await;
}

#[tokio::test]
async fn worker_processes_verify_what_is_asked_and_what_is_due() {
    let db = Db::new().await;
    db.operators().await;
    let url = db.url("holdfast_worker").await;
    let worker = || {
        let arguments = "worker --without-webhooks --verify-every 1d";
        Background::start(arguments, &[("DATABASE_URL_WORKER", &url)])
    };
    let workers = [worker(), worker()];
    until("one is run by itself", async || verifications(&db).await == 1).await;
    let job = db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    until("what was asked for is run", async || db.outcome(job).await == "settled").await;
    assert_eq!(verifications(&db).await, 2, "two workers, one slot, one question");
    let by = sqlx::query_scalar!("select submitted_by from job where kind = 'verify' order by id");
    assert_eq!(by.fetch_all(&db.owner).await.unwrap(), [1, SUBMITTER]);
    for worker in workers {
        worker.stops_in_good_order().await;
    }
    db.verified().await;
}

#[tokio::test]
async fn a_verification_is_given_back_and_begun_again() {
    let db = Db::new().await;
    ask_for_verification(&db.worker, HOUR, None).await.unwrap();
    let verifier = db.verifier().await;
    let leased = lease_one(&verifier).await.unwrap();
    verifier.put_back(leased).await.unwrap();
    assert!(verifier.put_back(leased).await.is_err(), "the fence holds");
    let again = lease_one(&verifier).await.unwrap();
    assert!(again.attempt > leased.attempt);
    let storm = |error: &sqlx::Error| panic!("{error}");
    let stopped = verifier.run(again, std::future::ready(()), storm).await.unwrap();
    assert!(matches!(stopped, Calling::PutBack | Calling::Recorded(_)), "{stopped:?}");
    // Where the checks cannot run it waits.
    db.sql("alter table asset rename to assets").await;
    if stopped == Calling::PutBack {
        let third = lease_one(&verifier).await.unwrap();
        verifier.run(third, std::future::pending(), storm).await.unwrap();
    }
    db.sql("alter table assets rename to asset").await;
    assert_eq!(lease_one(&verifier).await, None);
    db.pass("1 minute").await;
    assert_eq!(found(&db).await, "clean");
    db.verified().await;
}

#[tokio::test]
async fn a_verification_that_never_ends_is_parked_and_a_paused_lane_verifies_nothing() {
    let db = Db::new().await;
    db.operators().await;
    let job = db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    db.ask_as(SUBMITTER, pause(PauseScope::Lane, "verify")).await;
    db.operate().await;
    assert_eq!(db.run_verification().await, None);
    db.ask_as(SUBMITTER, crate::harness::resume(PauseScope::Lane, "verify")).await;
    db.operate().await;
    db.sql(&format!("update outbox set attempt = 20 where job_id = {job}")).await;
    assert_eq!(db.run_verification().await, Some(Calling::Recorded(Report { parked: 1, ..Report::default() })));
    assert_eq!(db.outcome(job).await, "parked attempts");
    db.verified().await;
}

/// An asset that does not add up stands still until an operator lets it go on; the others do not.
#[tokio::test]
async fn an_asset_whose_balances_do_not_sum_to_zero_is_paused() {
    let db = Db::new().await;
    db.operators().await;
    let [ann] = db.people().await;
    for asset in ["btc", "eth"] {
        db.fund(ann, asset, "0.5").await;
    }
    let mend = "set session_replication_role = replica; update entry set posted = posted - 1 where account_id =
        (select id from account where owner <> 0 and asset = 1)";
    db.sql(&mend.replace("- 1", "+ 1")).await;
    for round in 1..=2 {
        let job = db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
        assert_eq!(found(&db).await, "not clean");
        assert_eq!(db.operate().await.settled, 1, "one pause is asked for, however often it is found");
        let paused = sqlx::query!("select scope, name, principal_id from pause").fetch_all(&db.owner).await.unwrap();
        let paused: Vec<String> =
            paused.into_iter().map(|row| format!("{} {} by {}", row.scope, row.name, row.principal_id)).collect();
        assert_eq!(paused, ["asset btc by 1"], "round {round}, job {job}");
    }
    db.sql(mend).await;
    db.ask_as(SUBMITTER, crate::harness::resume(PauseScope::Asset, "btc")).await;
    assert_eq!(db.operate().await.settled, 1);
    db.verified().await;
}

/// Whoever watches is told that something waits for operators' workers, who need not wait for their next look.
#[tokio::test]
async fn what_a_verification_causes_is_told_to_the_lane_that_does_it() {
    let db = Db::new().await;
    db.operators().await;
    let [ann] = db.people().await;
    db.fund(ann, "btc", "0.5").await;
    db.sql(
        "set session_replication_role = replica; update entry set posted = posted + 1 where account_id =
            (select id from account where owner <> 0 and asset = 1)",
    )
    .await;
    let told = Arc::new(Mutex::new(Vec::new()));
    let watcher = {
        let told = Arc::clone(&told);
        Watcher::new(move |committed| told.lock().unwrap().extend(committed.queued_in))
    };
    let settler = Settler::of_lane(Lane::Verify, db.worker.clone(), Settings::default(), 0).await.unwrap();
    let outside = Outside::new().with(Verify::ENDPOINT, Checks(db.worker.clone()));
    let calls = Calls::new(settler.watched(watcher), outside);
    db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    let leased = lease_one(&calls).await.unwrap();
    let storm = |error: &sqlx::Error| panic!("{error}");
    calls.run(leased, std::future::pending(), storm).await.unwrap();
    assert_eq!(*told.lock().unwrap(), ["operate"]);
}
