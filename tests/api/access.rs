//! Who may call what.

use reqwest::Method;
use serde_json::json;

use super::{by, trade_of};
use crate::harness::{Answer, Db, SUBMITTER, Site, until};

/// Every endpoint that needs a key, and the scope that it needs.
const ENDPOINTS: [(&str, &str, &str); 10] = [
    ("POST", "/v1/jobs:batch", "submit"),
    ("POST", "/v1/users", "submit"),
    ("POST", "/v1/trades", "submit"),
    ("POST", "/v1/trades/7/mark-paid", "submit"),
    ("POST", "/v1/trades/7/release", "submit"),
    ("POST", "/v1/trades/7/refund", "submit"),
    ("GET", "/v1/jobs/7", "read"),
    ("GET", "/v1/trades/7", "read"),
    ("GET", "/v1/users/7/balances", "read"),
    ("GET", "/v1/users/7/transactions", "read"),
];

/// A request that would be recorded if it were let in.
fn body_for(path: &str) -> String {
    match path {
        "/v1/jobs:batch" => json!({"jobs": [{"kind": "user-register", "key": "batch", "payload": {}}]}).to_string(),
        "/v1/users" => "{}".to_owned(),
        "/v1/trades" => trade_of(1, 2, "btc", "0.5").to_string(),
        _ => by(1).to_string(),
    }
}

/// Calls an endpoint with these lines of `Authorization`.
async fn called(site: &Site, (method, path, _): (&str, &str, &str), authorization: &[&str]) -> Answer {
    let method: Method = method.parse().unwrap();
    let mut call = site.call(method, path).bearer(None).key(&format!("access {path}"));
    for line in authorization {
        call = call.header("authorization", line);
    }
    call.body("application/json", body_for(path)).answer().await
}

#[tokio::test]
async fn without_a_valid_key_nothing_is_told_and_nothing_recorded() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let all = ["submit", "read", "operate", "admin"];
    let [good, revoked, expired] =
        [db.key(SUBMITTER, &all).await, db.key(SUBMITTER, &all).await, db.key(SUBMITTER, &all).await];
    let hash = |secret: &str| format!("'\\x{}'", hex::encode(::api::key_hash(secret)));
    db.sql(&format!("update api_key set revoked_at = clock() where secret_hash = {}", hash(&revoked))).await;
    db.sql(&format!("update api_key set expires_at = clock() where secret_hash = {}", hash(&expired))).await;
    let (unknown, _) = ::api::new_key();
    let bearer = |secret: &str| format!("Bearer {secret}");
    let hashed = hex::encode(::api::key_hash(&good));
    let authorizations = [
        ("none", vec![]),
        ("an unknown key", vec![bearer(&unknown)]),
        ("a revoked key", vec![bearer(&revoked)]),
        ("an expired key", vec![bearer(&expired)]),
        ("the hash of a good key", vec![bearer(&hashed)]),
        ("a part of a good key", vec![bearer(&good[..good.len() - 1])]),
        ("a good key in capitals", vec![bearer(&good.to_uppercase())]),
        ("a good key of another scheme", vec![format!("Basic {good}")]),
        ("a good key of no scheme", vec![good.clone()]),
        ("nothing of the right scheme", vec!["Bearer".to_owned(), "Bearer ".to_owned()]),
        ("two keys", vec![bearer(&good), bearer(&good)]),
        ("no text", vec![bearer("ä")]),
        ("a quote", vec![bearer("' or true --")]),
    ];
    let before = db.traces().await;
    for endpoint in ENDPOINTS {
        for (what, lines) in &authorizations {
            let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
            let answer = called(&site, endpoint, &lines).await;
            assert_eq!(answer.refusal(), "401 unauthenticated", "{endpoint:?} with {what}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(db.traces().await, before);
}

#[tokio::test]
async fn a_scope_opens_what_it_names() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let keys = [("submit", "submit"), ("read", "read"), ("operate", "read"), ("admin", "submit read")];
    for (scope, opens) in keys {
        let secret = format!("Bearer {}", db.key(SUBMITTER, &[scope]).await);
        for endpoint in ENDPOINTS {
            let (_, path, needs) = endpoint;
            let before = db.traces().await;
            let answer = called(&site, endpoint, &[&secret]).await;
            if opens.contains(needs) {
                assert!(answer.status == 202 || answer.status == 404, "{scope} {path}: {answer:?}");
                continue;
            }
            assert_eq!(answer.refusal(), "403 scope_missing", "{scope} {path}");
            assert!(answer.body["detail"].as_str().unwrap().contains(needs));
            assert_eq!(db.traces().await, before);
        }
    }
}

/// A key that is revoked or expires in use is refused soon, in every process that has seen it.
#[tokio::test]
async fn a_key_that_ends_in_use_ends_everywhere() {
    let db = Db::new().await;
    let sites = [Site::new(&db).await, Site::new(&db).await];
    let ways = ["update api_key set revoked_at = clock()", "update clock_shift set shift = shift + interval '2 hours'"];
    for end in ways {
        let secret = db.key(SUBMITTER, &["read"]).await;
        db.sql("update api_key set expires_at = clock() + interval '1 hour' where revoked_at is null").await;
        let status =
            async |site: &Site| site.call(Method::GET, "/v1/jobs/7").bearer(Some(&secret)).answer().await.status;
        for site in &sites {
            assert_eq!(status(site).await, 404);
        }
        db.sql(end).await;
        for site in &sites {
            until("the key is refused", async || status(site).await == 401).await;
        }
    }
}

/// Every key that may read sees everything: one database serves one exchange.
#[tokio::test]
async fn a_reader_sees_the_jobs_of_every_submitter() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let job = site.post("/v1/users", &json!({})).answer().await.job();
    let other = db.key(SUBMITTER + 1, &["read"]).await;
    let seen = site.call(Method::GET, &format!("/v1/jobs/{job}")).bearer(Some(&other)).answer().await;
    assert_eq!((seen.status, &seen.body["state"]), (200, &json!("queued")));
}
