//! Who may call what.

use reqwest::Method;
use serde_json::json;

use crate::harness::{Db, SUBMITTER, Site, until};

/// Whatever else stands in `Authorization` opens nothing.
#[tokio::test]
async fn only_a_key_that_is_spelled_right_is_one() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let good = db.key(SUBMITTER, &["submit", "read", "operate", "admin"]).await;
    let bearer = |secret: &str| format!("Bearer {secret}");
    let hashed = hex::encode(::api::key_hash(&good));
    let authorizations = [
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
    for (what, lines) in &authorizations {
        for path in ["/v1/users", "/v1/jobs/7"] {
            let call = if path == "/v1/users" { site.post(path, &json!({})) } else { site.call(Method::GET, path) };
            let call = lines.iter().fold(call.bearer(None), |call, line| call.header("authorization", line));
            let answer = call.answer().await;
            assert_eq!(answer.refusal(), "401 unauthenticated", "{path} with {what}");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(db.traces().await, before);
    assert_eq!(site.post("/v1/users", &json!({})).bearer(Some(&good)).answer().await.status, 202);
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
