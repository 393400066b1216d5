//! How much one may ask for, and that nobody pays for another.

use ::api::{Limits, Rate};
use reqwest::Method;
use serde_json::{Value, json};

use crate::harness::{Answer, Db, SUBMITTER, Site, until};

/// A site with a burst of ten for principals and of five for addresses, which hardly refill.
async fn slow(db: &Db) -> Site {
    // The slowest that there is: one a second.
    Site::limited(db, Limits { rate: Rate::new(1, 10), visitor_rate: Rate::new(1, 5), ..Limits::default() }).await
}

fn batch(jobs: usize) -> Value {
    let jobs: Vec<Value> = (0..jobs)
        .map(|number| json!({ "kind": "user-register", "key": format!("batch of {jobs}, {number}"), "payload": {} }))
        .collect();
    json!({ "jobs": jobs })
}

/// Says when to come back, and how much there is.
fn assert_limited(answer: &Answer, whose: &str, policy: &str) {
    assert_eq!(answer.refusal(), "429 rate_limited");
    let seconds: u32 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=10).contains(&seconds), "{answer:?}");
    assert_eq!(answer.header("ratelimit"), Some(format!("\"{whose}\";r=0;t={seconds}").as_str()));
    assert_eq!(answer.header("ratelimit-policy"), Some(format!("\"{whose}\";{policy}").as_str()));
}

#[tokio::test]
async fn a_principal_at_its_limit_does_not_slow_another() {
    let db = Db::new().await;
    let site = slow(&db).await;
    let read = async |secret: &str| site.call(Method::GET, "/v1/jobs/7").bearer(Some(secret)).answer().await;
    let mut last = read(&site.secret).await;
    for _ in 0..100 {
        if last.status == 429 {
            break;
        }
        assert_eq!(last.status, 404);
        last = read(&site.secret).await;
    }
    assert_limited(&last, "principal", "q=10;w=10");
    // Another key of the same principal is no way around it, and another principal is not slowed.
    assert_eq!(read(&db.key(SUBMITTER, &["read"]).await).await.status, 429);
    let other = db.key(SUBMITTER + 1, &["read"]).await;
    assert_eq!(read(&other).await.status, 404);
    assert_eq!(read(&other).await.status, 404);
    // The bucket fills again.
    until("it is let in again", async || read(&site.secret).await.status == 404).await;
}

/// A batch counts as many as it has jobs, and is recorded whole or not at all.
#[tokio::test]
async fn a_batch_counts_its_jobs() {
    let db = Db::new().await;
    let site = slow(&db).await;
    let first = site.post("/v1/jobs:batch", &batch(6)).answer().await;
    assert_eq!(first.status, 202, "{first:?}");
    let before = db.traces().await;
    let second = site.post("/v1/jobs:batch", &batch(9)).answer().await;
    assert_limited(&second, "principal", "q=10;w=10");
    assert_eq!(db.traces().await, before);
    // More than the bucket ever holds takes all of it: it is not refused for ever.
    let whole = db.key(SUBMITTER + 1, &["submit"]).await;
    let large = site.post("/v1/jobs:batch", &batch(30)).bearer(Some(&whole)).answer().await;
    assert_eq!(large.status, 429, "the request itself has taken one of the ten");
}

/// Guessing at keys is slowed by address; whoever has shown a good key is not.
#[tokio::test]
async fn who_has_no_key_has_a_share_by_address() {
    let db = Db::new().await;
    let site = slow(&db).await;
    assert_eq!(site.get("/v1/jobs/7").await.status, 404, "the site's key is known from here on");
    let guess = async || {
        let (unknown, _) = ::api::new_key();
        site.call(Method::GET, "/v1/jobs/7").bearer(Some(&unknown)).answer().await
    };
    let mut last = guess().await;
    for _ in 0..100 {
        if last.status == 429 {
            break;
        }
        assert_eq!(last.refusal(), "401 unauthenticated");
        last = guess().await;
    }
    assert_limited(&last, "address", "q=5;w=5");
    for path in ["/openapi.json", "/v1/jobs/7"] {
        assert_eq!(site.call(Method::GET, path).bearer(None).answer().await.status, 429, "{path}");
    }
    assert_eq!(site.get("/v1/jobs/7").await.status, 404);
    // Probes and the provider are never kept out.
    assert_eq!(site.call(Method::GET, "/livez").bearer(None).answer().await.status, 200);
    assert_eq!(site.call(Method::GET, "/readyz").bearer(None).answer().await.status, 200);
    assert_eq!(site.hook(b"{}").answer().await.status, 200);
}
