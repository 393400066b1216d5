//! Withdrawals over HTTP: asked for, approved, refused, called off, and read.

use serde_json::{Value, json};

use super::seller_and_buyer;
use crate::harness::{Answer, Db, Site};

/// A site with a worker, two operators with a key each, and a person who has 0.9 bitcoin and may
/// withdraw it.
struct Stage {
    db: Db,
    site: Site,
    user: i64,
    operators: [(i64, String); 2],
}

async fn stage() -> Stage {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, _] = seller_and_buyer(&site, "0.9").await;
    let operators = [operator(&db).await, operator(&db).await];
    let stage = Stage { db, site, user, operators };
    let known =
        stage.decide(0, &format!("/v1/users/{user}/flags"), &json!({ "kyc": 3, "reason": "papers seen" })).await;
    assert_eq!((known.status, &known.body["user_id"]), (200, &json!(user.to_string())), "{known:?}");
    assert_eq!(known.body["links"]["balances"], format!("/v1/users/{user}/balances"));
    stage
}

/// Another principal and a key of theirs that may operate.
async fn operator(db: &Db) -> (i64, String) {
    let principal = db.another_operator().await;
    (principal, db.key(principal, &["operate"]).await)
}

impl Stage {
    /// An operator decides, and waits for what comes of it.
    async fn decide(&self, operator: usize, path: &str, body: &Value) -> Answer {
        let (_, secret) = &self.operators[operator];
        self.site.post(path, body).bearer(Some(secret)).wait(20).answer().await
    }

    async fn ask(&self, amount: &str) -> i64 {
        self.site.settled("/v1/withdrawals", &self.asked(amount)).await
    }

    fn asked(&self, amount: &str) -> Value {
        json!({ "user_id": self.user.to_string(), "asset": "btc", "amount": amount, "address": "bc1q-somewhere" })
    }

    async fn withdrawal(&self, id: i64) -> Value {
        self.site.found(&format!("/v1/withdrawals/{id}")).await
    }

    async fn approve(&self, operator: usize, id: i64) -> Answer {
        let hash = self.withdrawal(id).await["content_hash"].clone();
        self.decide(operator, &format!("/v1/withdrawals/{id}/approve"), &json!({ "content_hash": hash })).await
    }

    /// The ids of a list, page by page.
    async fn list(&self, query: &str, limit: usize) -> Vec<i64> {
        let (mut ids, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.site.found(&format!("/v1/withdrawals?limit={limit}{query}{cursor}")).await;
            let withdrawals = page["withdrawals"].as_array().unwrap();
            ids.extend(withdrawals.iter().map(|row| row["id"].as_str().unwrap().parse::<i64>().unwrap()));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return ids,
            }
        }
    }
}

#[tokio::test]
async fn a_large_one_takes_two_approvals_and_shows_them() {
    let stage = stage().await;
    let id = stage.ask("0.2").await;
    let before = stage.withdrawal(id).await;
    assert_eq!(
        before["links"],
        json!({
            "self": format!("/v1/withdrawals/{id}"), "request": format!("/v1/jobs/{id}"),
            "history": format!("/v1/withdrawals/{id}/history"), "user": format!("/v1/users/{}", stage.user),
        })
    );
    let shown = |document: &Value| {
        let valid = document["approvals"].as_array().unwrap().iter().filter(|one| one["valid"] == true).count();
        (document["state"].as_str().unwrap().to_owned(), document["approvals_needed"].as_i64().unwrap(), valid)
    };
    assert_eq!(shown(&before), ("awaiting_approval".to_owned(), 2, 0));
    assert_eq!((&before["rail"], &before["network"]), (&json!("crypto"), &json!("bitcoin")));
    assert_eq!((&before["amount"], &before["fee"]), (&json!("0.20000000"), &json!("0.00002000")));
    let first = stage.approve(0, id).await;
    assert_eq!((first.status, &first.body["withdrawal_id"]), (200, &json!(id.to_string())), "{first:?}");
    assert_eq!(first.body["links"]["withdrawal"], format!("/v1/withdrawals/{id}"));
    assert_eq!(stage.approve(0, id).await.refusal(), "409 already_approved");
    assert_eq!(shown(&stage.withdrawal(id).await), ("awaiting_approval".to_owned(), 2, 1));
    assert_eq!(stage.approve(1, id).await.status, 200);
    let approved = stage.withdrawal(id).await;
    assert_eq!(shown(&approved), ("approved".to_owned(), 2, 2));
    let approvers: Vec<&str> =
        approved["approvals"].as_array().unwrap().iter().map(|one| one["approver"].as_str().unwrap()).collect();
    assert_eq!(approvers, stage.operators.each_ref().map(|(principal, _)| principal.to_string()));
    stage.db.pass("25 hours").await;
    assert_eq!(shown(&stage.withdrawal(id).await), ("approved".to_owned(), 2, 0), "an approval counts for a day");
    stage.db.verified().await;
}

#[tokio::test]
async fn it_is_refused_or_called_off_and_the_money_is_back() {
    let stage = stage().await;
    let (refused, off) = (stage.ask("0.2").await, stage.ask("0.1").await);
    let held = stage.site.balance(stage.user, "btc").await;
    assert_eq!(held, "available 0.59996000 of 0.90000000, owed 0.00000000");
    let path = format!("/v1/withdrawals/{refused}/reject");
    assert_eq!(stage.decide(1, &path, &json!({ "reason": "not yours" })).await.status, 200);
    let document = stage.withdrawal(refused).await;
    assert_eq!((&document["state"], &document["close_reason"]), (&json!("rejected"), &json!("not yours")));
    assert_eq!(stage.decide(1, &path, &json!({ "reason": "again" })).await.refusal(), "409 wrong_state");
    let path = format!("/v1/withdrawals/{off}/cancel");
    let other = stage.site.post(&path, &json!({ "user_id": "999" })).wait(20).answer().await;
    assert_eq!(other.refusal(), "409 not_the_beneficiary");
    stage.site.settled(&path, &json!({ "user_id": stage.user.to_string() })).await;
    assert_eq!(stage.withdrawal(off).await["state"], "cancelled");
    let back = stage.site.balance(stage.user, "btc").await;
    assert_eq!(back, "available 0.90000000 of 0.90000000, owed 0.00000000");
    stage.db.verified().await;
}

#[tokio::test]
async fn it_is_there_before_its_money_is_held_and_when_it_never_is() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let [user, _] = db.people().await;
    let body = json!({ "user_id": user.to_string(), "asset": "btc", "amount": "0.5", "address": "there", "memo": "7" });
    let id = site.post("/v1/withdrawals", &body).answer().await.job();
    let document = site.found(&format!("/v1/withdrawals/{id}")).await;
    assert_eq!((&document["state"], &document["amount"]), (&json!("requesting"), &json!("0.50000000")));
    assert_eq!((&document["memo"], document.get("fee")), (&json!("7"), None));
    db.drain().await;
    let document = site.found(&format!("/v1/withdrawals/{id}")).await;
    assert_eq!((&document["state"], &document["reason"]), (&json!("rejected"), &json!("kyc_limit")));
    let list = site.found("/v1/withdrawals").await;
    assert_eq!(list, json!({ "withdrawals": [], "next_cursor": null }));
    let job = site.found(&format!("/v1/jobs/{id}")).await;
    assert_eq!((&job["withdrawal_id"], &job["reason"]), (&json!(id.to_string()), &json!("kyc_limit")));
    db.verified().await;
}

#[tokio::test]
async fn lists_have_what_they_are_asked_for_and_never_shift() {
    let stage = stage().await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, stage.ask("0.02").await);
    }
    let off = format!("/v1/withdrawals/{}/cancel", ids[2]);
    stage.site.settled(&off, &json!({ "user_id": stage.user.to_string() })).await;
    let waiting: Vec<i64> = ids.iter().copied().filter(|id| *id != ids[2]).collect();
    let own = format!("&user_id={}", stage.user);
    for limit in [1, 2, 4, 5, 6] {
        for (query, expected) in [
            (String::new(), &ids),
            (own.clone(), &ids),
            ("&state=awaiting_approval".to_owned(), &waiting),
            (format!("{own}&state=awaiting_approval&asset=btc"), &waiting),
            ("&state=cancelled".to_owned(), &vec![ids[2]]),
            ("&asset=eth".to_owned(), &vec![]),
            ("&user_id=999".to_owned(), &vec![]),
        ] {
            assert_eq!(&stage.list(&query, limit).await, expected, "{query} by {limit}");
        }
    }
    for query in ["", &own, "&state=awaiting_approval"] {
        let expected = stage.list(query, 200).await;
        let first = stage.site.found(&format!("/v1/withdrawals?limit=2{query}")).await;
        let newer = stage.ask("0.02").await;
        let rest = stage.list(&format!("{query}&cursor={}", first["next_cursor"].as_str().unwrap()), 200).await;
        assert_eq!(rest, expected[2..], "{query}");
        assert_eq!(stage.list(query, 200).await[0], newer);
    }
    stage.db.verified().await;
}

#[tokio::test]
async fn what_cannot_be_asked() {
    let stage = stage().await;
    let id = stage.ask("0.02").await;
    stage.ask("0.02").await;
    let page = stage.site.found("/v1/withdrawals?limit=1").await;
    let cursor = page["next_cursor"].as_str().unwrap();
    for (query, refusal) in [
        ("limit=0", "400 query_invalid limit"),
        ("limit=ten", "400 query_invalid"),
        ("offset=1", "400 query_invalid"),
        ("state=paid", "422 filter_invalid state"),
        ("state=", "422 filter_invalid state"),
        ("user_id=0", "422 filter_invalid user_id"),
        ("user_id=x", "422 filter_invalid user_id"),
        ("asset=xmr", "422 asset_unknown asset"),
        ("cursor=00", "422 cursor_invalid cursor"),
        (&format!("asset=btc&cursor={cursor}"), "422 cursor_invalid cursor"),
    ] {
        assert_eq!(stage.site.get(&format!("/v1/withdrawals?{query}")).await.refusal(), refusal, "{query}");
    }
    for nothing in ["0", "x", "999999", &stage.user.to_string()] {
        let path = format!("/v1/withdrawals/{nothing}");
        assert_eq!(stage.site.get(&path).await.refusal(), "404 withdrawal_unknown");
        assert_eq!(stage.site.get(&format!("{path}/history")).await.refusal(), "404 withdrawal_unknown");
        let rejected = stage.decide(0, &format!("{path}/reject"), &json!({ "reason": "x" })).await;
        assert_eq!(rejected.refusal(), "404 withdrawal_unknown");
    }
    for (path, body, refusal) in [
        ("approve", json!({ "content_hash": "ab" }), "422 text_form content_hash"),
        ("approve", json!({}), "422 payload_invalid content_hash"),
        ("approve", json!({ "content_hash": "00".repeat(32) }), "409 content_changed"),
        ("reject", json!({ "reason": "" }), "422 text_form reason"),
        ("reject", json!({ "reason": "x", "decision": "approve" }), "422 payload_invalid decision"),
    ] {
        let answer = stage.decide(0, &format!("/v1/withdrawals/{id}/{path}"), &body).await;
        assert_eq!(answer.refusal(), refusal, "{path} {body}");
    }
    for (amount, refusal) in [("0.00009", "422 amount_too_small amount"), ("0.0000001", "422 amount_too_fine amount")] {
        assert_eq!(stage.site.post("/v1/withdrawals", &stage.asked(amount)).answer().await.refusal(), refusal);
    }
    // Nor may who asked for it approve it, whatever else their key may do.
    let asked = stage.withdrawal(id).await;
    stage.db.operator(asked["requested_by"].as_str().unwrap().parse().unwrap()).await;
    let both = stage.db.key(asked["requested_by"].as_str().unwrap().parse().unwrap(), &["operate"]).await;
    let path = format!("/v1/withdrawals/{id}/approve");
    let own = stage.site.post(&path, &json!({ "content_hash": asked["content_hash"] })).bearer(Some(&both));
    assert_eq!(own.wait(20).answer().await.refusal(), "409 same_principal");
    stage.db.verified().await;
}
