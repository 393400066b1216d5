//! Many jobs in one request: each is answered for itself, in order.

use serde_json::{Value, json};

use super::{trade_of, with_trade};
use crate::harness::{Db, Site, fresh_key};

fn item(kind: &str, key: &str, payload: &Value) -> Value {
    json!({ "kind": kind, "key": key, "payload": payload })
}

fn registrations(count: usize, key: &str) -> Value {
    let items: Vec<Value> =
        (0..count).map(|number| item("user-register", &format!("{key} {number}"), &json!({}))).collect();
    json!({ "jobs": items })
}

/// The answers to a batch that is taken.
async fn asked(site: &Site, body: &Value) -> Vec<Value> {
    let answer = site.post("/v1/jobs:batch", body).without_key().answer().await;
    assert_eq!(answer.status, 202, "{answer:?}");
    answer.body["jobs"].as_array().unwrap().clone()
}

/// What became of an item: `invalid amount_zero amount`.
fn told(answer: &Value) -> String {
    let status = answer["status"].as_str().unwrap();
    let error = &answer["error"];
    if error.is_null() {
        assert!(answer["job_id"].is_string(), "{answer}");
        return status.to_owned();
    }
    assert_eq!(answer["job_id"].is_string(), status == "conflict", "{answer}");
    for member in ["type", "title", "detail", "code", "request_id"] {
        assert!(error[member].is_string(), "{answer}");
    }
    assert!(error["status"].is_number() && error["retryable"] == false, "{answer}");
    let text = |member: &str| error[member].as_str().unwrap_or_default();
    format!("{status} {} {}", text("code"), text("field")).trim_end().to_owned()
}

#[tokio::test]
async fn each_job_of_a_batch_is_answered_for_itself() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let person = site.post("/v1/users", &json!({})).key("sent before").answer().await.job();
    let before = db.traces().await;
    let lock = |amount: &str| trade_of(seller, buyer, "btc", amount);
    let act = |trade: i64, user: i64| json!({ "trade_id": trade.to_string(), "user_id": user.to_string() });
    let event = json!({ "trade_id": trade.to_string(), "user_id": buyer.to_string(), "event": "mark-paid" });
    let referred = json!({ "referrer_id": seller.to_string() });
    let long = "k".repeat(256);
    let items = [
        (item("user-register", "a", &json!({})), "new"),
        (item("user-register", "sent before", &json!({})), "replay"),
        (item("user-register", "sent before", &referred), "conflict idempotency_conflict key"),
        (item("lock-escrow", "sent before", &lock("0.1")), "new"),
        (item("lock-escrow", "b", &lock("0.2")), "new"),
        (item("lock-escrow", "b", &lock("0.2")), "replay"),
        (item("lock-escrow", "b", &lock("0.3")), "conflict idempotency_conflict key"),
        (item("trade-event", "c", &event), "new"),
        (item("release", "d", &act(trade, seller)), "new"),
        (item("refund", "d", &act(trade, buyer)), "new"),
        (item("release", "e", &act(999_999, seller)), "invalid trade_unknown trade_id"),
        (item("refund", "e", &act(person, seller)), "invalid trade_unknown trade_id"),
        (item("lock-escrow", "e", &lock("0")), "invalid amount_zero amount"),
        (item("lock-escrow", "e", &lock("0.123456789")), "invalid amount_too_fine amount"),
        (item("lock-escrow", "e", &trade_of(seller, seller, "btc", "0.1")), "invalid self_trade buyer_id"),
        (item("lock-escrow", "e", &trade_of(seller, buyer, "btc\0", "0.1")), "invalid text_not_storable"),
        (item("lock-escrow", "e", &json!([])), "invalid payload_invalid"),
        (item("lock-escrow", "e", &json!({})), "invalid payload_invalid seller_id"),
        (item("trade-event", "e", &act(trade, buyer)), "invalid payload_invalid event"),
        (item("deposit-credit", "e", &json!({ "inbox_id": "1" })), "invalid kind_unknown kind"),
        (item("Release", "e", &act(trade, seller)), "invalid kind_unknown kind"),
        (item("", "e", &json!({})), "invalid kind_unknown kind"),
        (item("user-register", "", &json!({})), "invalid idempotency_key_malformed key"),
        (item("user-register", "a\nb", &json!({})), "invalid idempotency_key_malformed key"),
        (item("user-register", "ä", &json!({})), "invalid idempotency_key_malformed key"),
        (item("user-register", &long, &json!({})), "invalid idempotency_key_malformed key"),
        (json!({ "kind": "user-register", "payload": {} }), "invalid payload_invalid key"),
        (json!({ "kind": "user-register", "key": 7, "payload": {} }), "invalid payload_invalid key"),
        (json!({ "kind": "user-register", "key": "e" }), "invalid payload_invalid payload"),
        (
            json!({ "kind": "user-register", "key": "e", "payload": {}, "submitter": 1 }),
            "invalid payload_invalid submitter",
        ),
        (json!(["user-register", "e", {}]), "invalid payload_invalid"),
        (json!(null), "invalid payload_invalid"),
        (item("user-register", "z", &referred), "new"),
    ];
    let (bodies, expected): (Vec<Value>, Vec<&str>) = items.into_iter().unzip();
    let body = json!({ "jobs": bodies });
    let answers = asked(&site, &body).await;
    let statuses: Vec<String> = answers.iter().map(told).collect();
    assert_eq!(statuses, expected);
    assert_eq!(answers[1]["job_id"], person.to_string());
    assert_eq!((&answers[2]["job_id"], &answers[5]["job_id"]), (&answers[1]["job_id"], &answers[4]["job_id"]));
    for (sent, answer) in bodies.iter().zip(&answers) {
        let key = sent["key"].as_str().filter(|_| !told(answer).contains("malformed") && answer["key"].is_string());
        assert_eq!(answer["key"].as_str(), key, "{answer}");
    }
    let new = statuses.iter().filter(|status| *status == "new").count();
    assert_eq!(db.traces().await.requests, before.requests + i64::try_from(new).unwrap());
    // The same batch again: what was new is a replay of the same job, all else is as it was.
    let again = asked(&site, &body).await;
    for (first, again) in answers.iter().zip(&again) {
        assert_eq!((told(again), &again["job_id"]), (told(first).replace("new", "replay"), &first["job_id"]));
    }
    db.drain().await;
    db.verified().await;
}

#[tokio::test]
async fn a_batch_is_one_to_a_thousand_jobs() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let before = db.traces().await;
    for (body, refusal) in [
        (registrations(0, "none"), "422 batch_size jobs"),
        (registrations(1_001, "too many"), "422 batch_size jobs"),
        (json!({}), "422 payload_invalid jobs"),
        (json!([]), "422 payload_invalid"),
        (json!({ "jobs": {} }), "422 payload_invalid jobs"),
        (json!({ "jobs": [], "atomic": true }), "422 payload_invalid atomic"),
    ] {
        assert_eq!(site.post("/v1/jobs:batch", &body).answer().await.refusal(), refusal);
    }
    for (text, refusal) in [("", "400 json_malformed"), (r#"{"jobs":[}"#, "400 json_malformed")] {
        assert_eq!(site.post_text("/v1/jobs:batch", text).answer().await.refusal(), refusal);
    }
    let large = format!("{}{}", registrations(1, "large"), " ".repeat(2 * 1024 * 1024));
    assert_eq!(site.post_text("/v1/jobs:batch", &large).answer().await.refusal(), "413 body_too_large");
    assert_eq!(db.traces().await, before);

    let thousand = registrations(1_000, &fresh_key());
    let answers = asked(&site, &thousand).await;
    assert!(answers.len() == 1_000 && answers.iter().all(|answer| told(answer) == "new"));
    let again = asked(&site, &thousand).await;
    for (first, again) in answers.iter().zip(&again) {
        assert_eq!((told(again).as_str(), &again["job_id"]), ("replay", &first["job_id"]));
    }
    assert_eq!(db.traces().await.jobs, before.jobs + 1_000);
    let commits = sqlx::query_scalar!(r#"select count(distinct xmin::text) as "n!" from request"#);
    assert_eq!(commits.fetch_one(&db.owner).await.unwrap(), 1, "a batch is one commit");
    db.drain().await;
    let ended = sqlx::query_scalar!(r#"select count(*) as "n!" from outcome where status = 'settled'"#);
    assert_eq!(ended.fetch_one(&db.owner).await.unwrap(), 1_000);
    db.verified().await;
}
