//! `Prefer: wait`: the outcome, if it comes in time.

use futures_util::future::join_all;
use serde_json::json;

use super::{by, trade_of, with_trade};
use crate::harness::{Db, Site, until};

#[tokio::test]
async fn the_status_tells_what_came_of_it() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let stranger = site.settled("/v1/users", &json!({})).await;
    let path = |action: &str| format!("/v1/trades/{trade}/{action}");
    let trades = || "/v1/trades".to_owned();
    let frozen = site.settled("/v1/users", &json!({})).await;
    db.freeze(frozen).await;
    // In this order; the last column is the state that is told.
    let cases = [
        ("released before it is paid", path("release"), by(seller), "409 wrong_state", Some("awaiting_payment")),
        ("paid by the seller", path("mark-paid"), by(seller), "409 not_the_buyer", Some("awaiting_payment")),
        ("paid by a stranger", path("mark-paid"), by(stranger), "409 not_the_buyer", None),
        ("paid", path("mark-paid"), by(buyer), "200 settled", None),
        ("paid twice", path("mark-paid"), by(buyer), "409 wrong_state", Some("paid")),
        ("released by the buyer", path("release"), by(buyer), "409 not_the_seller", Some("paid")),
        ("released", path("release"), by(seller), "200 settled", None),
        ("released twice", path("release"), by(seller), "409 wrong_state", Some("released")),
        ("given up too late", path("refund"), by(buyer), "409 wrong_state", Some("released")),
        ("too much", trades(), trade_of(seller, buyer, "btc", "0.5"), "409 insufficient_funds", None),
        ("a frozen seller", trades(), trade_of(frozen, buyer, "btc", "0.1"), "409 user_frozen", None),
        ("nobody sells", trades(), trade_of(999_999, buyer, "btc", "0.1"), "422 user_unknown", None),
        ("nobody buys", trades(), trade_of(seller, 999_999, "btc", "0.1"), "422 user_unknown", None),
    ];
    for (what, path, body, expected, state) in cases {
        let answer = site.post(&path, &body).wait(20).answer().await;
        assert_eq!(answer.header("preference-applied"), Some("wait=20"), "{what}");
        let job = answer.job();
        if answer.status == 200 {
            assert_eq!(expected, "200 settled", "{what}: {answer:?}");
            continue;
        }
        assert_eq!(answer.refusal(), expected, "{what}");
        assert_eq!(db.outcome(job).await, format!("rejected {}", &expected[4..]), "{what}");
        assert_eq!(answer.body["job"]["result"]["state"].as_str(), state, "{what}: {answer:?}");
    }
    db.verified().await;
}

#[tokio::test]
async fn whoever_waits_in_vain_is_told_that_it_is_recorded() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    for (prefer, applied) in [
        ("wait=1", Some("wait=1")),
        ("wait=0", Some("wait=0")),
        ("respond-async", None),
        ("wait=0.5", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("wait", None),
    ] {
        let answer = site.post("/v1/users", &json!({})).header("prefer", prefer).answer().await;
        assert_eq!((answer.status, answer.header("preference-applied")), (202, applied), "{prefer}");
        assert_eq!((&answer.body["state"], &answer.body["attempts"]), (&json!("queued"), &json!(0)), "{prefer}");
        assert_eq!(db.outcome(answer.job()).await, "queued");
    }
}

/// What is told when a wait is over is how the job stands then.
#[tokio::test]
async fn whoever_waits_for_a_job_that_is_parked_is_told_so() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let waiting = site.post("/v1/users", &json!({})).wait(1);
    let parking = async {
        until("it is recorded", async || db.traces().await.queued == 1).await;
        db.sql(
            "insert into parked (job_id, lane, slot, subject, attempt, reason, detail, parked_at)
                select job_id, lane, slot, subject, 3, 'poison', '', clock() from outbox;
            delete from outbox",
        )
        .await;
    };
    let (answer, ()) = tokio::join!(waiting.answer(), parking);
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("parked")));
    assert_eq!((&answer.body["reason"], &answer.body["attempts"]), (&json!("poison"), &json!(3)));
    assert_eq!(db.outcome(answer.job()).await, "parked poison");
}

/// A wait that is longer than the longest is that one, and is over as soon as there is an outcome.
#[tokio::test]
async fn nobody_waits_longer_than_they_must() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let answer = site.post("/v1/users", &json!({})).wait(4_000_000_000).answer().await;
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=30")));
}

/// Without the preference a replay is a 202 whatever came of it; with it, the status tells.
#[tokio::test]
async fn a_replay_tells_what_came_of_it_long_ago() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let path = format!("/v1/trades/{trade}/mark-paid");
    for (key, user, state, status) in [("settled", buyer, "settled", 200), ("rejected", seller, "rejected", 409)] {
        let call = || site.post(&path, &by(user)).key(key);
        let first = call().wait(20).answer().await;
        assert_eq!(first.status, status);
        let plain = call().answer().await;
        let waited = call().wait(20).answer().await;
        assert_eq!((plain.status, plain.body["state"].as_str()), (202, Some(state)));
        assert_eq!((waited.status, waited.job(), plain.job()), (status, first.job(), first.job()));
        for replay in [plain, waited] {
            assert_eq!(replay.header("idempotency-replayed"), Some("true"));
        }
    }
    db.verified().await;
}

/// Many wait for one job, and all are told.
#[tokio::test]
async fn one_outcome_serves_all_who_wait_for_it() {
    let db = Db::new().await;
    let mut site = Site::new(&db).await;
    let waiting: Vec<_> = (0..30).map(|_| site.post("/v1/users", &json!({})).key("one").wait(20).answer()).collect();
    let working = async {
        // While this one waits in vain, the others have come to wait as well.
        assert_eq!(site.post("/v1/users", &json!({})).wait(1).answer().await.status, 202);
        site.employ(&db).await;
    };
    let (answers, ()) = tokio::join!(join_all(waiting), working);
    let first = answers[0].job();
    assert!(answers.iter().all(|answer| answer.status == 200 && answer.job() == first), "{answers:?}");
    assert_eq!(db.traces().await.requests, 2);
}

/// A site that stops lets those go who wait, with what it knows, and loses nothing.
#[tokio::test]
async fn a_site_that_stops_answers_those_who_wait() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let waiting = site.post("/v1/users", &json!({})).wait(30);
    let stopping = async {
        until("it is recorded", async || db.traces().await.jobs == 1).await;
        site.stop().await;
    };
    let (answer, ()) = tokio::join!(waiting.answer(), stopping);
    assert_eq!((answer.status, &answer.body["state"]), (202, &json!("queued")));
    assert_eq!(db.outcome(answer.job()).await, "queued");
}
