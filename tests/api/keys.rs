//! Idempotency: a key names one request for ever, whoever is asked and however often.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{by, trade_of, with_trade};
use crate::harness::{Answer, Db, SUBMITTER, Site, payment, until};

const TRADE: &str = r#"{"seller_id":"1","buyer_id":"2","asset":"btc","amount":"0.5","maker":"seller"}"#;

/// The principal after the one that the tests ask as.
const OTHER_SUBMITTER: i64 = SUBMITTER + 1;

#[tokio::test]
async fn the_same_request_is_a_replay_and_another_one_a_conflict() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let first = site.post_text("/v1/trades", TRADE).key("k").answer().await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, None));
    let respelled = r#" { "maker":"seller", "amount" : "0.5","asset":"\u0062tc", "buyer_id":"2","seller_id":"1" }"#;
    for same in [TRADE, respelled] {
        let again = site.post_text("/v1/trades", same).key("k").answer().await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")), "{same}");
        assert_eq!(again.body, first.body, "{same}");
    }
    for (from, to) in
        [("0.5", "0.6"), ("0.5", "0.50"), ("btc", "eth"), (r#"_id":"2"#, r#"_id":"3"#), ("\"seller\"", "\"buyer\"")]
    {
        let other = TRADE.replacen(from, to, 1);
        let refused = site.post_text("/v1/trades", &other).key("k").answer().await;
        assert_eq!(refused.refusal(), "422 idempotency_conflict", "{other}");
        assert_eq!(refused.header("location"), None);
    }
    // What is not valid is refused for that, and does not touch the key.
    let bad = site.post_text("/v1/trades", &TRADE.replacen("0.5", "0", 1)).key("k").answer().await;
    assert_eq!(bad.refusal(), "422 amount_zero amount");
    let traces = db.traces().await;
    assert_eq!((traces.requests, traces.jobs, traces.queued), (1, 1, 1));
}

/// RULES 1: a key belongs to a submitter and a kind, and what it names includes the path.
#[tokio::test]
async fn a_key_is_one_per_kind_and_submitter() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let other_trade = site.settled("/v1/trades", &trade_of(seller, buyer, "btc", "0.1")).await;
    let before = db.traces().await.requests;
    let path = |trade: i64, action: &str| format!("/v1/trades/{trade}/{action}");
    let mut jobs = Vec::new();
    for (path, body) in [
        ("/v1/users".to_owned(), json!({})),
        ("/v1/trades".to_owned(), trade_of(seller, buyer, "btc", "0.1")),
        (path(trade, "mark-paid"), by(buyer)),
        (path(trade, "release"), by(seller)),
        (path(trade, "refund"), by(buyer)),
    ] {
        let answer = site.post(&path, &body).key("k").answer().await;
        assert_eq!((answer.status, answer.header("idempotency-replayed")), (202, None), "{path}");
        jobs.push(answer.job());
    }
    for action in ["mark-paid", "release", "refund"] {
        let user = if action == "release" { seller } else { buyer };
        let answer = site.post(&path(other_trade, action), &by(user)).key("k").answer().await;
        assert_eq!(answer.refusal(), "422 idempotency_conflict", "another trade's answer is never replayed");
    }
    let other = db.key(OTHER_SUBMITTER, &["submit"]).await;
    let theirs = site.post("/v1/users", &json!({})).key("k").bearer(Some(&other)).answer().await;
    assert_eq!((theirs.status, theirs.header("idempotency-replayed")), (202, None));
    jobs.push(theirs.job());
    // The principal survives the rotation of its keys.
    let rotated = db.key(SUBMITTER, &["submit"]).await;
    let ours = site.post("/v1/users", &json!({})).key("k").bearer(Some(&rotated)).answer().await;
    assert_eq!((ours.header("idempotency-replayed"), ours.job()), (Some("true"), jobs[0]));
    jobs.sort_unstable();
    jobs.dedup();
    assert_eq!(jobs.len(), 6);
    assert_eq!(db.traces().await.requests, before + 6);
    let asked_by = sqlx::query_scalar!("select submitted_by from job where id = $1", theirs.job());
    assert_eq!(asked_by.fetch_one(&db.owner).await.unwrap(), OTHER_SUBMITTER);
    db.drain().await;
    db.verified().await;
}

/// One answer is new, the others are replays of it.
fn assert_one_job(answers: &[Answer]) -> i64 {
    let job = answers[0].job();
    let replays = answers.iter().filter(|answer| answer.header("idempotency-replayed").is_some()).count();
    assert!(answers.iter().all(|answer| answer.status == 202 && answer.job() == job), "{answers:?}");
    assert_eq!(replays, answers.len() - 1);
    job
}

/// `scenario in_memory_idempotency`: from two processes at once, after a restart of both, and
/// with another body.
#[tokio::test]
async fn fifty_at_once_from_two_processes_are_one_job() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let sites = [Site::new(&db).await, Site::new(&db).await];
    let body = trade_of(seller, buyer, "btc", "0.5");
    let before = db.traces().await.jobs;
    let ask = |site: &Site| site.post("/v1/trades", &body).key("the same").answer();
    let one_process = join_all((0..50).map(|_| sites[0].post("/v1/trades", &body).key("one process").answer())).await;
    let two_processes = join_all((0..50).map(|number| ask(&sites[number % 2]))).await;
    let trade = assert_one_job(&two_processes);
    assert_ne!(assert_one_job(&one_process), trade);
    assert_eq!(db.traces().await.jobs, before + 2);
    for site in sites {
        site.stop().await;
    }
    db.drain().await;
    let restarted = Site::new(&db).await;
    let again = ask(&restarted).await;
    assert_eq!((again.job(), again.header("idempotency-replayed")), (trade, Some("true")));
    assert_eq!(again.body["state"], "rejected", "the first one took the money: its present state is told");
    let mut other = body.clone();
    other["amount"] = json!("0.4");
    let other = restarted.post("/v1/trades", &other).key("the same").answer().await;
    assert_eq!(other.refusal(), "422 idempotency_conflict");
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000 held 0.50000000");
    db.verified().await;
}

/// What a client does from the deposit to the last release, each step under a key of its own: the
/// path and the body. The ids are those that the steps are given in a database of their own.
fn story(seller: i64, buyer: i64, trades: [i64; 2]) -> [(String, Value); 6] {
    let act = |trade: i64, action: &str, user: i64| (format!("/v1/trades/{trade}/{action}"), by(user));
    [
        ("/v1/trades".to_owned(), trade_of(seller, buyer, "btc", "0.5")),
        ("/v1/trades".to_owned(), trade_of(seller, buyer, "btc", "0.3")),
        act(trades[0], "mark-paid", buyer),
        act(trades[0], "release", seller),
        act(trades[1], "mark-paid", buyer),
        act(trades[1], "refund", buyer),
    ]
}

/// `scenario replay_everything`: everything is sent twice to two processes, and again to others
/// when it is long done. Nothing moves but the first time.
#[tokio::test]
async fn everything_twice_and_again_after_a_restart() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let paid = payment(seller, "btc", "0.9");
    let mut jobs = Vec::new();
    let mut ledger = String::new();
    for round in 0..2 {
        let sites = [Site::working(&db).await, Site::working(&db).await];
        for site in [&sites[0], &sites[1], &sites[0]] {
            site.told(&paid).await;
        }
        until("it is credited", async || db.wallet(seller, "btc").await != "nothing").await;
        for step in 0..6 {
            let trades = [jobs.first(), jobs.get(1)].map(|job| job.copied().unwrap_or_default());
            let (path, body) = &story(seller, buyer, trades)[step];
            let ask = |site: &Site| site.post(path, body).key(&format!("step {step}")).wait(20).answer();
            let (one, two) = tokio::join!(ask(&sites[0]), ask(&sites[1]));
            assert_eq!((one.status, two.status, one.job()), (200, 200, two.job()), "{path}: {one:?} {two:?}");
            if round == 0 {
                jobs.push(one.job());
            }
            assert_eq!(one.job(), jobs[step]);
        }
        for site in sites {
            site.stop().await;
        }
        if round == 0 {
            ledger = db.ledger_text().await;
        }
    }
    assert_eq!(db.ledger_text().await, ledger);
    let traces = db.traces().await;
    assert_eq!((traces.jobs, traces.callbacks, traces.queued), (2 + 1 + 6, 6, 0));
    assert_eq!(db.wallet(seller, "btc").await, "0.40000000");
    assert_eq!(db.wallet(buyer, "btc").await, "0.49800000");
    db.verified().await;
}

/// Two bodies race for one key: one job, and everybody hears which body it was.
#[tokio::test]
async fn two_bodies_at_once_under_one_key() {
    let db = Db::new().await;
    let sites = [Site::new(&db).await, Site::new(&db).await];
    let bodies = [TRADE.to_owned(), TRADE.replacen("0.5", "0.6", 1)];
    let asked =
        (0..40).map(|number| sites[number / 2 % 2].post_text("/v1/trades", &bodies[number % 2]).key("k").answer());
    let answers = join_all(asked).await;
    let taken = answers.iter().position(|answer| answer.status == 202).unwrap() % 2;
    for (number, answer) in answers.iter().enumerate() {
        let expected = if number % 2 == taken { 202 } else { 422 };
        assert_eq!(answer.status, expected, "{answer:?}");
    }
    let jobs: Vec<Value> = answers.iter().filter(|answer| answer.status == 202).map(|a| a.body["id"].clone()).collect();
    assert!(jobs.iter().all(|job| *job == jobs[0]));
    let traces = db.traces().await;
    assert_eq!((traces.requests, traces.jobs, traces.queued), (1, 1, 1));
}

#[tokio::test]
async fn a_key_is_needed_and_is_printable_ascii() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let before = db.traces().await;
    let longest = "k".repeat(255);
    let malformed = ["", "a\tb", "ä", &"k".repeat(256), &"k".repeat(10_000)];
    for path in ["/v1/users", "/v1/trades", "/v1/trades/7/mark-paid", "/v1/trades/7/release", "/v1/trades/7/refund"] {
        // Whatever else is wrong with the request.
        for body in [TRADE, "{}", "{"] {
            let none = site.post_text(path, body).without_key().answer().await;
            assert_eq!(none.refusal(), "400 idempotency_key_missing", "{path}");
            for key in malformed {
                let refused = site.post_text(path, body).key(key).answer().await;
                assert_eq!(refused.refusal(), "400 idempotency_key_malformed", "{path} {key}");
            }
            let twice = site.post_text(path, body).header("idempotency-key", "k").answer().await;
            assert_eq!(twice.refusal(), "400 idempotency_key_malformed", "{path}");
        }
    }
    assert_eq!(db.traces().await, before);
    for key in [longest.as_str(), " ~!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}".trim(), "k"] {
        assert_eq!(site.post_text("/v1/trades", TRADE).key(key).answer().await.status, 202, "{key}");
    }
}
