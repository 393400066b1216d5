//! What the API says of jobs whose payloads are gone: all that it said before, but for what only they
//! told, and that it is gone.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{age, old_scene, retain};
use crate::harness::{Db, Site, payment};

/// Everything that can be read of jobs, people, trades, withdrawals and money, by its path.
async fn everything(db: &Db, site: &Site) -> BTreeMap<String, Value> {
    let ids = async |sql: &'static str| -> Vec<i64> { sqlx::query_scalar(sql).fetch_all(&db.owner).await.unwrap() };
    let mut paths: Vec<String> =
        ids("select id from job order by id").await.into_iter().map(|id| format!("/v1/jobs/{id}")).collect();
    for id in ids("select id from trade").await {
        paths.extend([format!("/v1/trades/{id}"), format!("/v1/trades/{id}/history?limit=200")]);
    }
    for id in ids("select id from withdrawal").await {
        paths.extend([format!("/v1/withdrawals/{id}"), format!("/v1/withdrawals/{id}/history?limit=200")]);
    }
    for id in ids("select id from app_user").await {
        let of =
            ["", "/balances", "/flags", "/referrals", "/commissions", "/transactions?limit=200", "/transactions.csv"];
        paths.extend(of.map(|of| format!("/v1/users/{id}{of}")));
    }
    let lists = ["/v1/trades", "/v1/withdrawals", "/v1/jobs", "/v1/jobs?state=settled", "/v1/jobs?state=rejected"];
    paths.extend(lists.map(|list| format!("{list}{}limit=200", if list.contains('?') { "&" } else { "?" })));
    paths.push("/v1/pauses".to_owned());
    let mut found = BTreeMap::new();
    for path in paths {
        let body = site.found(&path).await;
        found.insert(path, body);
    }
    found
}

/// Takes out of a document what a payload alone tells, and what says that it is gone. How often the
/// latter was said.
fn strip(value: &mut Value) -> usize {
    match value {
        Value::Array(items) => items.iter_mut().map(strip).sum(),
        Value::Object(members) => {
            if members.contains_key("kind") {
                if members["kind"] == json!("user-flag") {
                    members.remove("user_id");
                    members["links"].as_object_mut().map(|links| links.remove("balances"));
                }
                if members.contains_key("event") {
                    members["event"] = Value::Null;
                    members.remove("actor");
                }
            }
            let gone = usize::from(members.remove("payload_dropped_at").is_some());
            gone + members.values_mut().map(strip).sum::<usize>()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[tokio::test]
async fn every_read_is_what_it_was_and_says_what_is_gone() {
    let scene = old_scene().await;
    let db = &scene.db;
    let site = Site::new(db).await;
    let mut before = everything(db, &site).await;
    let history = format!("/v1/trades/{}/history?limit=200", scene.names["released"]);
    let told = |all: &BTreeMap<String, Value>| all[&history]["jobs"][1].clone();
    let mark = told(&before);
    assert_eq!((&mark["event"], &mark["actor"]["by"]), (&json!("mark-paid"), &json!("user")));
    assert!(mark.get("payload_dropped_at").is_none());
    assert_eq!(site.found("/v1/retentions").await, json!({ "retentions": [] }));
    let jobs = retain(db).await;
    let record = &site.found("/v1/retentions").await["retentions"][0];
    assert_eq!((record["jobs"].as_i64(), &record["by"]), (Some(jobs), &json!("ann")));
    let mut after = everything(db, &site).await;
    let mark = told(&after);
    assert_eq!(
        (&mark["kind"], &mark["event"], &mark["actor"]["by"]),
        (&json!("trade-event"), &json!(null), &json!("principal"))
    );
    for (path, body) in &mut before {
        assert_eq!(strip(body), 0, "{path}");
    }
    for (path, body) in &mut after {
        let said = strip(body);
        let jobs = body["jobs"].as_array().map_or(usize::from(path.starts_with("/v1/jobs/")), Vec::len);
        assert_eq!(said, jobs, "each job says so: {path}");
    }
    assert_eq!(after, before);
    // What never came to be has no row but its payload.
    for (path, job) in [("trades", "refused_lock"), ("withdrawals", "refused_withdrawal")] {
        let job = scene.names[job];
        let gone = site.get(&format!("/v1/{path}/{job}")).await;
        assert_eq!(gone.refusal(), "410 payload_dropped");
        let kept = site.found(&format!("/v1/jobs/{job}")).await;
        assert_eq!(kept["state"], "rejected");
    }
    db.verified().await;
}

/// Over HTTP as well, a replay is answered with the job as it stands, and another body is refused.
#[tokio::test]
async fn a_replay_is_answered_and_another_body_is_refused() {
    let db = Db::new().await;
    let mut site = Site::new(&db).await;
    let [seller, buyer] = db.people().await;
    let paid = payment(seller, "btc", "0.9");
    site.told(&paid).await;
    let ask = |amount: &str| {
        let body = json!({ "seller_id": seller.to_string(), "buyer_id": buyer.to_string(), "asset": "btc",
            "amount": amount, "maker": "seller" });
        site.post("/v1/trades", &body).key("of long ago")
    };
    let trade = ask("0.5").answer().await.job();
    let refused = site.post("/v1/users", &json!({ "referrer_id": "999999" })).key("refused").answer().await.job();
    db.drain().await;
    age(&db).await;
    retain(&db).await;
    let again = ask("0.5").wait(5).answer().await;
    assert_eq!((again.status, again.job(), again.header("idempotency-replayed")), (200, trade, Some("true")));
    assert_eq!(again.body["state"], "settled");
    assert!(again.body["payload_dropped_at"].is_string(), "{again:?}");
    assert_eq!(ask("0.4").answer().await.refusal(), "422 idempotency_conflict");
    let again = site.post("/v1/users", &json!({ "referrer_id": "999999" })).key("refused").answer().await;
    assert_eq!((again.status, again.job(), again.body["state"].as_str()), (202, refused, Some("rejected")));
    site.told(&paid).await;
    db.drain().await;
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000 held 0.50000000");
    // The trade of long ago goes on as ever.
    site.employ(&db).await;
    site.settled(&format!("/v1/trades/{trade}/refund"), &json!({ "user_id": buyer.to_string() })).await;
    let young = site
        .settled(
            "/v1/trades",
            &json!({ "seller_id": seller.to_string(), "buyer_id": buyer.to_string(),
        "asset": "btc", "amount": "0.9", "maker": "seller" }),
        )
        .await;
    let young = site.found(&format!("/v1/jobs/{young}")).await;
    assert!(young.get("payload_dropped_at").is_none());
    db.verified().await;
}
