//! What each endpoint does when all is well, from the callback to the last balance.

use expect_test::expect;
use serde_json::{Value, json};

use super::{by, seller_and_buyer, trade_of, with_trade};
use crate::harness::{Db, Site, until};

/// Times differ from run to run: those that are given become `"time"`, the others stay null.
fn untimed(mut document: Value) -> Value {
    for (name, value) in document.as_object_mut().unwrap() {
        let timed = name.ends_with("_at") || ["pay_by", "run_at"].contains(&name.as_str());
        if let (true, Some(text)) = (timed, value.as_str()) {
            assert!(chrono::DateTime::parse_from_rfc3339(text).is_ok(), "{name}: {text}");
            *value = json!("time");
        }
    }
    document
}

#[tokio::test]
async fn a_trade_from_the_deposit_to_the_release() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [seller, buyer] = seller_and_buyer(&site, "0.9").await;
    assert_eq!(site.balance(seller, "btc").await, "available 0.90000000 of 0.90000000, owed 0.00000000");
    assert_eq!(site.found(&format!("/v1/users/{buyer}/balances")).await["balances"], json!([]));

    let answer = site.post("/v1/trades", &trade_of(seller, buyer, "btc", "0.5")).wait(20).answer().await;
    let trade = answer.job();
    assert_eq!((answer.status, answer.header("preference-applied")), (200, Some("wait=20")));
    let path = format!("/v1/trades/{trade}");
    let job = json!({
        "id": trade.to_string(), "kind": "lock-escrow", "state": "settled", "attempts": 1,
        "received_at": "time", "finished_at": "time", "trade_id": trade.to_string(),
        "links": { "self": format!("/v1/jobs/{trade}"), "trade": path },
    });
    assert_eq!(untimed(answer.body), job);
    assert_eq!(untimed(site.found(&format!("/v1/jobs/{trade}")).await), job);
    assert_eq!(site.balance(seller, "btc").await, "available 0.40000000 of 0.90000000, owed 0.00000000");
    let mut document = json!({
        "id": trade.to_string(), "state": "awaiting_payment", "seller_id": seller.to_string(),
        "buyer_id": buyer.to_string(), "asset": "btc", "amount": "0.50000000", "maker": "seller",
        "maker_bps": 20, "taker_bps": 20, "maker_fee": null, "taker_fee": null,
        "opened_at": "time", "pay_by": "time", "paid_at": null, "closed_at": null, "ended_at": null, "extended_at": null, "undone_at": null,
        "links": { "self": path, "lock": format!("/v1/jobs/{trade}"), "history": format!("{path}/history") },
    });
    assert_eq!(untimed(site.found(&path).await), document);

    site.settled(&format!("{path}/mark-paid"), &by(buyer)).await;
    document["state"] = json!("paid");
    document["paid_at"] = json!("time");
    assert_eq!(untimed(site.found(&path).await), document);

    let release = site.settled(&format!("{path}/release"), &by(seller)).await;
    assert_eq!(site.found(&format!("/v1/jobs/{release}")).await["trade_id"], trade.to_string());
    for (member, value) in
        [("state", "released"), ("closed_at", "time"), ("maker_fee", "0.00100000"), ("taker_fee", "0.00100000")]
    {
        document[member] = json!(value);
    }
    assert_eq!(untimed(site.found(&path).await), document);
    assert_eq!(site.balance(seller, "btc").await, "available 0.40000000 of 0.40000000, owed 0.00000000");
    assert_eq!(site.balance(buyer, "btc").await, "available 0.49800000 of 0.49800000, owed 0.00000000");
    assert_eq!(db.house("btc", "fee").await, "0.00200000");
    expect![[r#"
        3   deposit            world btc        v1     -0.90000000 ->    -0.90000000 held 0.00000000
        3                      1 btc            v1      0.90000000 ->     0.90000000 held 0.00000000
        4   open hold 4        1 btc            v2      0.50000000 ->     0.90000000 held 0.50000000
        6   close hold 4       1 btc            v3     -0.50000000 ->     0.90000000 held 0.00000000
        6   trade_settle       1 btc            v4     -0.49800000 ->     0.40200000 held 0.00000000
        6                      2 btc            v1      0.49800000 ->     0.49800000 held 0.00000000
        6   trade_fee          1 btc            v5     -0.00200000 ->     0.40000000 held 0.00000000
        6                      fee btc          v1      0.00200000 ->     0.00200000 held 0.00000000
    "#]]
    .assert_eq(&db.ledger_text().await);
    db.verified().await;
}

#[tokio::test]
async fn a_trade_that_is_given_up() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let refund = site.settled(&format!("/v1/trades/{trade}/refund"), &by(buyer)).await;
    assert_eq!(site.found(&format!("/v1/jobs/{refund}")).await["kind"], "refund");
    let document = site.found(&format!("/v1/trades/{trade}")).await;
    assert_eq!((&document["state"], &document["maker_fee"]), (&json!("refunded"), &Value::Null));
    assert_eq!(site.balance(seller, "btc").await, "available 0.90000000 of 0.90000000, owed 0.00000000");
    assert_eq!(site.balance(buyer, "btc").await, "nothing");
    db.verified().await;
}

/// `scenario seller_cancels_after_paid`.
#[tokio::test]
async fn a_seller_cannot_cancel_once_it_is_paid() {
    let (db, site, [seller, buyer], trade) = with_trade().await;
    let path = format!("/v1/trades/{trade}");
    site.settled(&format!("{path}/mark-paid"), &by(buyer)).await;
    let ledger = db.ledger_text().await;
    let answer = site.post(&format!("{path}/refund"), &by(seller)).wait(20).answer().await;
    assert_eq!(answer.refusal(), "409 not_the_buyer");
    let job = &answer.body["job"];
    assert_eq!((&job["state"], &job["reason"]), (&json!("rejected"), &json!("not_the_buyer")));
    assert_eq!(job["result"], json!({ "state": "paid" }));
    assert_eq!(untimed(site.found(&format!("/v1/jobs/{}", answer.job())).await), untimed(job.clone()));
    assert_eq!(db.ledger_text().await, ledger, "a refusal moves nothing");
    site.settled(&format!("{path}/release"), &by(seller)).await;
    db.verified().await;
}

/// A trade is there as soon as it was asked for, and says what became of that.
#[tokio::test]
async fn a_trade_that_is_not_open_yet_or_never_was() {
    let db = Db::new().await;
    let mut site = Site::new(&db).await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.5").await;
    let [open, refused] = ["0.5", "0.6"].map(|amount| trade_of(seller, buyer, "btc", amount));
    let [open, refused] =
        [site.post("/v1/trades", &open).answer().await.job(), site.post("/v1/trades", &refused).answer().await.job()];
    for (trade, amount) in [(open, "0.50000000"), (refused, "0.60000000")] {
        let path = format!("/v1/trades/{trade}");
        let expected = json!({
            "id": trade.to_string(), "state": "locking", "seller_id": seller.to_string(),
            "buyer_id": buyer.to_string(), "asset": "btc", "amount": amount, "maker": "seller",
            "links": { "self": path, "lock": format!("/v1/jobs/{trade}"), "history": format!("{path}/history") },
        });
        assert_eq!(site.found(&path).await, expected);
        let job = untimed(site.found(&format!("/v1/jobs/{trade}")).await);
        assert_eq!((&job["state"], &job["run_at"], &job["attempts"]), (&json!("queued"), &json!("time"), &json!(0)));
    }
    // The release comes before there is anything to release: it is recorded and told of later.
    let early = site.post(&format!("/v1/trades/{refused}/release"), &by(seller)).answer().await.job();
    site.employ(&db).await;
    let answer = site.post(&format!("/v1/trades/{open}/mark-paid"), &by(buyer)).wait(20).answer().await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(site.found(&format!("/v1/trades/{open}")).await["state"], "paid");
    let never = site.found(&format!("/v1/trades/{refused}")).await;
    assert_eq!((&never["state"], &never["reason"]), (&json!("rejected"), &json!("insufficient_funds")));
    until("the early release is refused", async || db.outcome(early).await == "rejected trade_never_opened").await;
    db.verified().await;
}

#[tokio::test]
async fn a_referrer_is_somebody_who_is_registered() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [referrer] = site.people().await;
    let answer = site.post("/v1/users", &json!({ "referrer_id": referrer.to_string() })).wait(20).answer().await;
    let user = answer.job();
    assert_eq!((answer.status, &answer.body["user_id"]), (200, &json!(user.to_string())));
    assert_eq!(answer.body["links"]["balances"], format!("/v1/users/{user}/balances"));
    for unknown in [user + 1_000_000, i64::MAX] {
        let body = json!({ "referrer_id": unknown.to_string() });
        let answer = site.post("/v1/users", &body).wait(20).answer().await;
        assert_eq!(answer.refusal(), "422 referrer_unknown");
        let never = answer.job();
        assert_eq!(site.get(&format!("/v1/users/{never}/balances")).await.refusal(), "404 user_unknown");
    }
    db.verified().await;
}
