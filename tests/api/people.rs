//! People: who they are to the exchange, what is set on them, and whom they brought.

use serde_json::{Value, json};

use super::{by, trade_of};
use crate::harness::{Db, SUBMITTER, Site, until};

/// The rows of a list, page by page, from a cursor on.
async fn rows(site: &Site, path: &str, member: &str, limit: usize, cursor: Option<&str>) -> Vec<Value> {
    let mut all = Vec::new();
    let mut from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
    loop {
        let page = site.found(&format!("{path}?limit={limit}{from}")).await;
        let rows = page[member].as_array().unwrap();
        all.extend(rows.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(rows.len(), limit, "a page that is not the last one is full");
                from = format!("&cursor={next}");
            }
            None => return all,
        }
    }
}

/// The list is the same whatever the size of its pages, and `more` puts one row before the first
/// page and shifts none of what follows it.
async fn never_shifts(site: &Site, path: &str, member: &str, more: impl AsyncFn()) {
    let whole = rows(site, path, member, 200, None).await;
    assert!(whole.len() > 2, "{whole:?}");
    for limit in [1, 2, whole.len(), whole.len() + 1] {
        assert_eq!(rows(site, path, member, limit, None).await, whole, "{path} by {limit}");
    }
    let first = site.found(&format!("{path}?limit=1")).await;
    more().await;
    let rest = rows(site, path, member, 1, first["next_cursor"].as_str()).await;
    assert_eq!(rest, whole[1..], "{path}");
    let now = rows(site, path, member, 200, None).await;
    assert_eq!(now[1..], whole, "{path}");
}

/// What the person may withdraw of an asset today: used and max.
fn limit(user: &Value, asset: &str) -> (String, String) {
    let limits = user["withdrawal_limits"].as_array().unwrap();
    let limit = limits.iter().find(|limit| limit["asset"] == asset).unwrap();
    let text = |member: &str| limit[member].as_str().unwrap().to_owned();
    (text("used"), text("max"))
}

#[tokio::test]
async fn a_person_with_their_limits_and_flags() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [referrer, other] = site.people().await;
    let user = site.settled("/v1/users", &json!({ "referrer_id": referrer.to_string() })).await;
    let path = format!("/v1/users/{user}");
    let shown = site.found(&path).await;
    assert_eq!((&shown["referrer_id"], &shown["tier"]), (&json!(referrer.to_string()), &json!("standard")));
    assert_eq!((&shown["kyc"], &shown["frozen"]), (&json!(0), &json!(false)));
    assert_eq!(limit(&shown, "btc"), ("0.00000000".to_owned(), "0.00000000".to_owned()));
    assert_eq!(shown["withdrawal_limits"].as_array().unwrap().len(), 16);
    assert_eq!(site.found(&format!("/v1/users/{other}")).await["referrer_id"], json!(null));

    let principal = db.another_operator().await;
    let operator = db.key(principal, &["operate"]).await;
    let flags = format!("{path}/flags");
    let set = async |body: &Value| site.post(&flags, body).bearer(Some(&operator)).wait(20).answer().await;
    assert_eq!(set(&json!({ "kyc": 2, "reason": "papers seen" })).await.status, 200);
    site.fund(user, "btc", "0.5").await;
    let asked = json!({ "user_id": user.to_string(), "asset": "btc", "amount": "0.02", "address": "there" });
    site.settled("/v1/withdrawals", &asked).await;
    let shown = site.found(&path).await;
    assert_eq!(limit(&shown, "btc"), ("0.02000000".to_owned(), "0.10000000".to_owned()));
    db.pass("24 hours").await;
    let tomorrow = site.found(&path).await;
    assert_eq!(limit(&tomorrow, "btc"), ("0.00000000".to_owned(), "0.10000000".to_owned()));
    assert!(tomorrow["limits_day"].as_str() > shown["limits_day"].as_str());

    assert_eq!(set(&json!({ "tier": "golden", "frozen": true, "reason": "a friend, and watched" })).await.status, 200);
    assert_eq!(set(&json!({ "frozen": false, "reason": "cleared" })).await.status, 200);
    let shown = site.found(&path).await;
    assert_eq!((&shown["kyc"], &shown["tier"], &shown["frozen"]), (&json!(2), &json!("golden"), &json!(false)));
    let history = rows(&site, &flags, "flags", 50, None).await;
    let told: Vec<_> = history.iter().map(|row| (&row["reason"], &row["frozen"], &row["set_by"])).collect();
    let (yes, no, who) = (json!(true), json!(false), json!(principal.to_string()));
    let [cleared, watched, seen] = ["cleared", "a friend, and watched", "papers seen"].map(|reason| json!(reason));
    assert_eq!(told, [(&cleared, &no, &who), (&watched, &yes, &who), (&seen, &no, &who)]);
    never_shifts(&site, &flags, "flags", async || {
        assert_eq!(set(&json!({ "kyc": 1, "reason": "papers expired" })).await.status, 200);
    })
    .await;
    db.verified().await;
}

#[tokio::test]
async fn flags_that_are_refused() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user] = site.people().await;
    let admin = db.key(SUBMITTER, &["admin"]).await;
    let flags = format!("/v1/users/{user}/flags");
    for (body, refusal) in [
        (json!({ "reason": "nothing" }), "422 nothing_set frozen"),
        (json!({ "kyc": 4, "reason": "too well" }), "422 kyc_range kyc"),
        (json!({ "kyc": 1 }), "422 payload_invalid reason"),
        (json!({ "kyc": 1, "reason": "" }), "422 text_form reason"),
        (json!({ "tier": "silver", "reason": "x" }), "422 payload_invalid tier"),
        (json!({ "kyc": 1, "reason": "x", "user_id": "7" }), "422 payload_invalid user_id"),
    ] {
        assert_eq!(site.post(&flags, &body).bearer(Some(&admin)).answer().await.refusal(), refusal, "{body}");
    }
    let body = json!({ "kyc": 1, "reason": "x" });
    for nobody in ["0", "x", "999999"] {
        let path = format!("/v1/users/{nobody}/flags");
        assert_eq!(site.post(&path, &body).bearer(Some(&admin)).answer().await.refusal(), "404 user_unknown");
        for list in ["", "/flags", "/referrals", "/commissions"] {
            let answer = site.get(&format!("/v1/users/{nobody}{list}")).await;
            assert_eq!(answer.refusal(), "404 user_unknown", "{nobody}{list}");
        }
    }
    assert_eq!(site.get(&format!("{flags}?limit=201")).await.refusal(), "400 query_invalid limit");
    assert_eq!(site.get(&format!("{flags}?cursor=x")).await.refusal(), "422 cursor_invalid cursor");
}

#[tokio::test]
async fn whom_somebody_brought_and_what_it_brought_them() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [referrer, seller] = site.people().await;
    let mut brought = Vec::new();
    for _ in 0..3 {
        brought.insert(0, site.settled("/v1/users", &json!({ "referrer_id": referrer.to_string() })).await);
    }
    site.fund(seller, "btc", "0.9").await;
    site.fund(seller, "eth", "5").await;
    let trade = async |asset: &str, amount: &str| {
        let trade = site.settled("/v1/trades", &trade_of(seller, brought[0], asset, amount)).await;
        site.settled(&format!("/v1/trades/{trade}/mark-paid"), &by(brought[0])).await;
        site.settled(&format!("/v1/trades/{trade}/release"), &by(seller)).await;
        trade
    };
    let mut trades = Vec::new();
    for (asset, amount) in [("btc", "0.1"), ("eth", "1"), ("btc", "0.2")] {
        trades.insert(0, trade(asset, amount).await);
    }
    let path = format!("/v1/users/{referrer}");
    let commissions = format!("{path}/commissions");
    until("three are paid", async || rows(&site, &commissions, "commissions", 9, None).await.len() == 3).await;
    let list = rows(&site, &commissions, "commissions", 9, None).await;
    let told: Vec<_> =
        list.iter().map(|row| (row["trade_id"].as_str().unwrap(), row["amount"].as_str().unwrap())).collect();
    // A fifth of the taker's 20 basis points.
    let trades: Vec<String> = trades.iter().map(i64::to_string).collect();
    let expected = ["0.00008000", "0.000400000000000000", "0.00004000"];
    assert_eq!(told, trades.iter().map(String::as_str).zip(expected).collect::<Vec<_>>());
    assert_eq!((&list[0]["base"], &list[0]["bps"], &list[0]["level"]), (&json!("0.00040000"), &json!(2000), &json!(1)));

    let page = site.found(&format!("{path}/referrals?limit=2")).await;
    let totals = json!([
        { "asset": "btc", "amount": "0.00012000", "count": 2 },
        { "asset": "eth", "amount": "0.000400000000000000", "count": 1 },
    ]);
    assert_eq!(page["commissions"], totals);
    let next = site.found(&format!("{path}/referrals?cursor={}", page["next_cursor"].as_str().unwrap())).await;
    assert_eq!(next.get("commissions"), None);
    let referrals = rows(&site, &format!("{path}/referrals"), "referrals", 50, None).await;
    let ids: Vec<i64> = referrals.iter().map(|row| row["user_id"].as_str().unwrap().parse().unwrap()).collect();
    assert_eq!(ids, brought);
    // The cursor of one list is none of another.
    let cursor = page["next_cursor"].as_str().unwrap();
    for list in [commissions.clone(), format!("{path}/flags"), format!("/v1/users/{seller}/referrals")] {
        assert_eq!(site.get(&format!("{list}?cursor={cursor}")).await.refusal(), "422 cursor_invalid cursor", "{list}");
    }
    never_shifts(&site, &format!("{path}/referrals"), "referrals", async || {
        site.settled("/v1/users", &json!({ "referrer_id": referrer.to_string() })).await;
    })
    .await;
    never_shifts(&site, &commissions, "commissions", async || {
        trade("btc", "0.1").await;
        until("it is paid", async || rows(&site, &commissions, "commissions", 9, None).await.len() == 4).await;
    })
    .await;

    // What the exchange itself has of all this is apart from what its people have.
    let fees = site.found("/v1/fees").await;
    let btc = &fees["fees"][0];
    // 40 basis points of 0.4 bitcoin in three transfers, less three commissions.
    assert_eq!(btc, &json!({ "asset": "btc", "balance": "0.00144000", "transfers": 6 }));
    assert_eq!(fees["fees"][1]["asset"], "eth");
    db.verified().await;
}
