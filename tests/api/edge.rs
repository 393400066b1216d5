//! What every answer has, and what a site says of itself.

use std::time::Duration;

use ::api::{Config, Limits};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::{Db, Site, ipn_secrets, until};

#[tokio::test]
async fn every_answer_carries_the_id_of_its_request() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let longest = "x".repeat(64);
    for (method, path) in
        [(Method::GET, "/livez"), (Method::GET, "/v1/jobs/7"), (Method::GET, "/nowhere"), (Method::PUT, "/livez")]
    {
        for own in ["a-1.2_Z", "7", &longest] {
            let answer = site.call(method.clone(), path).header("x-request-id", own).answer().await;
            assert_eq!(answer.header("x-request-id"), Some(own), "{method} {path}");
        }
        let mut given = Vec::new();
        for unsafe_one in ["", "a b", "a\"b", "<script>", "ä", &"x".repeat(65)] {
            let answer = site.call(method.clone(), path).header("x-request-id", unsafe_one).answer().await;
            let id = answer.header("x-request-id").unwrap().to_owned();
            assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()), "{unsafe_one}: {id}");
            given.push(id);
        }
        given.dedup();
        assert_eq!(given.len(), 6, "each request has an id of its own");
    }
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_too() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    for (method, path, refusal) in [
        ("POST", "/", "405 method_not_allowed"),
        ("GET", "/v1", "404 route_unknown"),
        ("GET", "/v2/users", "404 route_unknown"),
        ("POST", "/v1/jobs", "405 method_not_allowed"),
        ("POST", "/v1/users/", "404 route_unknown"),
        ("POST", "/v1/trades/7/steal", "404 route_unknown"),
        ("POST", "/v1/trades/7/refund/", "404 route_unknown"),
        ("GET", "/v1/users", "405 method_not_allowed"),
        ("GET", "/v1/jobs:batch", "405 method_not_allowed"),
        ("PUT", "/v1/trades", "405 method_not_allowed"),
        ("DELETE", "/v1/jobs/7", "405 method_not_allowed"),
        ("PATCH", "/v1/trades/7", "405 method_not_allowed"),
        ("POST", "/v1/users/7/balances", "405 method_not_allowed"),
        ("GET", "/webhooks/nowpayments", "405 method_not_allowed"),
        ("POST", "/livez", "405 method_not_allowed"),
        ("GET", "/v1/jobs/0", "404 job_unknown"),
        ("GET", "/v1/jobs/x", "404 job_unknown"),
        ("GET", "/v1/jobs/007", "404 job_unknown"),
        ("GET", "/v1/jobs/999999", "404 job_unknown"),
        ("GET", "/v1/jobs/9223372036854775807", "404 job_unknown"),
        ("GET", "/v1/jobs/9223372036854775808", "404 job_unknown"),
        ("GET", "/v1/trades/x", "404 trade_unknown"),
        ("GET", "/v1/trades/999999", "404 trade_unknown"),
    ] {
        let answer = site.call(method.parse().unwrap(), path).answer().await;
        assert_eq!(answer.refusal(), refusal, "{method} {path}");
        assert_eq!(answer.header("allow").is_some(), answer.status == 405, "{method} {path}");
    }
    let person = site.post("/v1/users", &json!({})).answer().await.job();
    assert_eq!(site.get(&format!("/v1/trades/{person}")).await.refusal(), "404 trade_unknown");
}

/// Alive is the process, ready is what it needs; neither needs a key.
#[tokio::test]
async fn a_site_says_whether_it_can_work() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_api", 4).await;
    let site = Site::with(&db, Config::new(pool.clone(), ipn_secrets())).await;
    let probe = async |path: &'static str| site.call(Method::GET, path).bearer(None).answer().await;
    assert_eq!(probe("/livez").await.body, json!({ "status": "live" }));
    assert_eq!(probe("/readyz").await.body, json!({ "status": "ready" }));
    let version = outbox::SCHEMA_VERSION;
    let as_it_was = format!("update schema set oldest_binary = {version}, version = {version}");
    for (harm, mend) in [
        ("update schema set oldest_binary = 1000, version = 1000", as_it_was.as_str()),
        ("update schema set oldest_binary = 1, version = 1", as_it_was.as_str()),
        ("revoke insert on request from holdfast_api", "grant insert on request to holdfast_api"),
        ("grant insert on entry to holdfast_api", "revoke insert on entry from holdfast_api"),
    ] {
        db.sql(harm).await;
        until(harm, async || probe("/readyz").await.refusal() == "503 not_ready").await;
        assert_eq!(probe("/livez").await.status, 200, "{harm}");
        db.sql(mend).await;
        until(mend, async || probe("/readyz").await.status == 200).await;
    }
    pool.close().await;
    until("it is not ready", async || probe("/readyz").await.refusal() == "503 not_ready").await;
    assert_eq!(probe("/livez").await.status, 200);
}

/// Without the database nothing is promised: everything says so and when to try again.
#[tokio::test]
async fn without_the_database_nothing_is_accepted() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_api", 4).await;
    let site = Site::with(&db, Config::new(pool.clone(), ipn_secrets())).await;
    pool.close().await;
    // What has connections of its own gets none either; it does not hold for superusers.
    db.sql("do $$ begin execute format('alter database %I connection limit 0', current_database()); end $$").await;
    let before = db.traces().await;
    let calls = [
        site.post("/v1/users", &json!({})),
        site.post("/v1/jobs:batch", &json!({ "jobs": [{ "kind": "user-register", "key": "k", "payload": {} }] })),
        site.call(Method::GET, "/v1/jobs/7"),
        site.call(Method::GET, "/v1/users/7/balances"),
        site.hook(crate::harness::payment(1, "btc", "0.5").body().as_bytes()),
    ];
    for call in calls {
        let answer = call.answer().await;
        assert_eq!((answer.refusal().as_str(), answer.header("retry-after")), ("503 database_unavailable", Some("1")));
    }
    assert_eq!(db.traces().await, before);
}

/// Whoever sends half a body does not keep the other half of a connection for long.
#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let db = Db::new().await;
    let limits = Limits { body_within: Duration::from_millis(50), ..Limits::default() };
    let site = Site::limited(&db, limits).await;
    let mut stream = TcpStream::connect(&site.address).await.unwrap();
    let head = format!(
        "POST /v1/users HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\nidempotency-key: slow\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{",
        site.secret
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains(r#""code":"body_timeout""#), "{answer}");
    assert_eq!(db.traces().await.requests, 0);
}
