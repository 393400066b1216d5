//! Two recordings under way at once, and one that ends otherwise than it looked: a 202 is said after
//! the commit and never before.

use axum::http::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::{seller_and_buyer, trade_of};
use crate::harness::{Answer, Db, Site, until};

/// Sends each body in a recording of its own, both under way at once, and lets them go together.
async fn at_once(db: &Db, site: &Site, path: &str, key: &str, bodies: [&Value; 2]) -> Vec<Answer> {
    let mut held = db.owner.begin().await.unwrap();
    sqlx::raw_sql("lock table request in exclusive mode").execute(&mut *held).await.unwrap();
    let mut calls = JoinSet::new();
    for (body, waiting) in bodies.into_iter().zip(1..) {
        calls.spawn(site.post(path, body).key(key).answer());
        until("it is under way", async || db.recorders_waiting().await == waiting).await;
    }
    held.rollback().await.unwrap();
    calls.join_all().await
}

#[tokio::test]
async fn one_key_in_two_recordings_is_one_job() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    for number in 0..20 {
        let key = format!("key {number}");
        let answers = at_once(&db, &site, "/v1/users", &key, [&json!({}), &json!({})]).await;
        assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
        assert_eq!(answers[0].job(), answers[1].job());
        let replayed = answers.iter().filter(|answer| answer.header("idempotency-replayed") == Some("true")).count();
        assert_eq!(replayed, 1, "{answers:?}");
    }
    let traces = db.traces().await;
    assert_eq!((traces.requests, traces.jobs, traces.queued), (20, 20, 20));
}

#[tokio::test]
async fn one_key_with_two_bodies_in_two_recordings_is_a_job_and_a_conflict() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [seller, buyer] = seller_and_buyer(&site, "1").await;
    let before = db.traces().await;
    let bodies = [trade_of(seller, buyer, "btc", "0.01"), trade_of(seller, buyer, "btc", "0.02")];
    let answers = at_once(&db, &site, "/v1/trades", "one key", [&bodies[0], &bodies[1]]).await;
    let mut told: Vec<String> = answers.iter().map(Answer::refusal).collect();
    told.sort_unstable();
    assert_eq!(told, ["202 no problem", "422 idempotency_conflict"], "{answers:?}");
    assert_eq!(db.traces().await.requests, before.requests + 1);
}

/// What a recording comes to that fails when it commits, after its rows were sent.
async fn fails_late(how: &str, refusal: &str) {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    assert_eq!(site.post("/v1/users", &json!({})).answer().await.status, 202);
    let before = db.traces().await;
    db.sql(&format!(
        "create function late() returns trigger language plpgsql security definer as $$ begin {how}; return null; end $$;
        create constraint trigger late after insert on request deferrable initially deferred
            for each row execute function late()"
    ))
    .await;
    let answer = site.post("/v1/users", &json!({})).key("late").answer().await;
    assert_eq!(answer.refusal(), refusal);
    assert_eq!(db.traces().await, before, "nothing is left of it");
    db.sql("drop trigger late on request").await;
    let again = site.post("/v1/users", &json!({})).key("late").answer().await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, None));
}

#[tokio::test]
async fn a_commit_that_is_refused_is_no_202() {
    fails_late("raise exception 'late' using errcode = '23514'", "500 internal").await;
}

#[tokio::test]
async fn a_connection_that_is_lost_in_its_commit_is_no_202() {
    fails_late("perform pg_terminate_backend(pg_backend_pid())", "503 database_unavailable").await;
}

/// A server that ends a connection while it rests has lost nothing that was asked for.
#[tokio::test]
async fn after_the_connections_were_lost_there_are_new_ones() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let first = site.post("/v1/users", &json!({})).key("key").answer().await;
    db.sql(
        "select pg_terminate_backend(pid) from pg_stat_activity
        where datname = current_database() and usename = 'holdfast_api'",
    )
    .await;
    until("it is recorded", async || {
        let answer = site.post("/v1/users", &json!({})).key("another").answer().await;
        assert!([202, 503].contains(&answer.status), "{answer:?}");
        answer.status == 202
    })
    .await;
    let again = site.post("/v1/users", &json!({})).key("key").answer().await;
    assert_eq!((again.header("idempotency-replayed"), again.job()), (Some("true"), first.job()));
    assert_eq!(site.call(Method::GET, "/readyz").bearer(None).answer().await.status, 200);
    assert_eq!(db.traces().await.requests, 2);
}

/// The database gives up on a recording long before a deadline's grace is over, whatever the process
/// that asked for it does.
#[tokio::test]
async fn a_recording_is_given_up_in_time() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let mut held = db.owner.begin().await.unwrap();
    sqlx::raw_sql("lock table request in exclusive mode").execute(&mut *held).await.unwrap();
    let answer = site.post("/v1/users", &json!({})).answer().await;
    assert_eq!(answer.refusal(), "503 database_unavailable");
    held.rollback().await.unwrap();
    assert_eq!(db.traces().await.requests, 0);
}
