//! How much one may ask for, and that nobody pays for another.

use std::time::Instant;

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

/// Asks until it is refused for the rate. The refusal.
async fn drained(mut ask: impl AsyncFnMut() -> Answer) -> Answer {
    for _ in 0..200 {
        let answer = ask().await;
        if answer.status == 429 {
            return answer;
        }
    }
    panic!("two hundred requests at once are let in");
}

#[tokio::test]
async fn a_principal_at_its_limit_does_not_slow_another() {
    let db = Db::new().await;
    let site = slow(&db).await;
    let same = db.key(SUBMITTER, &["read"]).await;
    let other = db.key(SUBMITTER + 1, &["read"]).await;
    let read = async |secret: &str| site.call(Method::GET, "/v1/jobs/7").bearer(Some(secret)).answer().await;
    assert_limited(&drained(async || read(&site.secret).await).await, "principal", "q=10;w=10");
    // Another key of the same principal is no way around it.
    let (began, mut let_in) = (Instant::now(), 0);
    drained(async || {
        let answer = read(&same).await;
        let_in += u64::from(answer.status == 404);
        answer
    })
    .await;
    assert!(let_in <= 1 + began.elapsed().as_secs(), "{let_in} were let in");
    // Another principal is not slowed.
    for _ in 0..5 {
        assert_eq!(read(&other).await.status, 404);
    }
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
    // More than the bucket ever holds takes all that it holds: it is not refused for ever.
    let other = db.key(SUBMITTER + 1, &["submit"]).await;
    let ask = async |jobs| site.post("/v1/jobs:batch", &batch(jobs)).bearer(Some(&other)).answer().await.status;
    assert_eq!((ask(30).await, ask(5).await), (202, 429));
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
    assert_eq!(guess().await.refusal(), "401 unauthenticated");
    assert_limited(&drained(guess).await, "address", "q=5;w=5");
    for path in ["/", "/openapi.json", "/docs", "/v1/jobs/7"] {
        drained(async || site.call(Method::GET, path).bearer(None).answer().await).await;
    }
    assert_eq!(site.get("/v1/jobs/7").await.status, 404);
    // Probes and the provider are never kept out.
    for path in ["/livez", "/readyz"] {
        assert_eq!(site.call(Method::GET, path).bearer(None).answer().await.status, 200, "{path}");
    }
    assert_eq!(site.hook(b"{}").answer().await.status, 200);
}
