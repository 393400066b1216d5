//! Operating over HTTP.

use std::collections::BTreeSet;

use jobs::PauseScope;
use serde_json::{Value, json};

use crate::harness::{Answer, Db, OTHER, SUBMITTER, Site, lock, pause, register, until};

/// A site with a worker, and the keys of two operators.
pub(super) async fn operated() -> (Db, Site, [String; 2]) {
    let db = Db::new().await;
    let keys = db.operators().await;
    let mut site = Site::working(&db).await;
    site.employ_operator(&db).await;
    (db, site, keys)
}

async fn post(site: &Site, key: &str, path: &str, body: &Value) -> Answer {
    site.post(path, body).bearer(Some(key)).wait(20).answer().await
}

fn pause_of(scope: &str, name: &str, paused: bool) -> Value {
    json!({ "scope": scope, "name": name, "paused": paused, "reason": "the coin's chain has stopped" })
}

fn ids(page: &Value) -> Vec<String> {
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_pause_is_shown_with_who_and_why_and_ends() {
    let (db, site, [ann, _]) = operated().await;
    assert_eq!(site.found("/v1/pauses").await, json!({ "pauses": [], "changes": [] }));
    let paused = post(&site, &ann, "/v1/pauses", &pause_of("asset", "btc", true)).await;
    assert_eq!((paused.status, &paused.body["result"]), (200, &json!({ "changed": true })));
    let shown = site.found("/v1/pauses").await;
    let pause = &shown["pauses"][0];
    assert_eq!((&pause["scope"], &pause["name"], &pause["by"]), (&json!("asset"), &json!("btc"), &json!("tests")));
    assert_eq!(pause["reason"], "the coin's chain has stopped");
    assert_eq!(pause["job_id"], paused.job().to_string());
    let again = post(&site, &ann, "/v1/pauses", &pause_of("asset", "btc", true)).await;
    assert_eq!(again.body["result"], json!({ "changed": false }));
    let resumed = post(&site, &ann, "/v1/pauses", &pause_of("asset", "btc", false)).await;
    assert_eq!(resumed.body["result"], json!({ "changed": true }));
    let shown = site.found("/v1/pauses").await;
    assert_eq!(shown["pauses"], json!([]));
    let changes: Vec<&Value> = shown["changes"].as_array().unwrap().iter().map(|change| &change["paused"]).collect();
    assert_eq!(changes, [false, true]);
    db.verified().await;
}

#[tokio::test]
async fn what_cannot_be_paused_is_refused_before_it_is_a_job() {
    let (db, site, [ann, _]) = operated().await;
    let before = db.traces().await;
    for (scope, name, refusal) in [
        ("lane", "operate", "422 pause_unknown name"),
        ("lane", "fast", "422 pause_unknown name"),
        ("kind", "pause", "422 pause_unknown name"),
        ("kind", "verify", "422 pause_unknown name"),
        ("asset", "xmr", "422 pause_unknown name"),
        ("rail", "snail", "422 pause_unknown name"),
        ("planet", "earth", "422 payload_invalid scope"),
    ] {
        assert_eq!(post(&site, &ann, "/v1/pauses", &pause_of(scope, name, true)).await.refusal(), refusal, "{name}");
    }
    for reason in [String::new(), "  ".to_owned(), "x".repeat(501)] {
        let body = json!({ "scope": "asset", "name": "btc", "paused": true, "reason": reason });
        assert_eq!(post(&site, &ann, "/v1/pauses", &body).await.refusal(), "422 reason_length reason");
    }
    assert_eq!(db.traces().await, before);
}

/// Only a key that may operate operates, and no batch of a submitter's smuggles such a job in.
#[tokio::test]
async fn operating_needs_the_scope() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let job = db.ask(register(None)).await;
    let before = db.traces().await;
    let because = json!({ "reason": "why" });
    let calls = [
        ("/v1/pauses".to_owned(), pause_of("asset", "btc", true)),
        (format!("/v1/jobs/{job}/retry"), because.clone()),
        (format!("/v1/jobs/{job}/cancel"), because),
        ("/v1/integrity".to_owned(), json!({})),
    ];
    for scopes in [["submit", "read"].as_slice(), &["read"]] {
        let key = db.key(SUBMITTER, scopes).await;
        for (path, body) in &calls {
            let answer = site.post(path, body).bearer(Some(&key)).answer().await;
            assert_eq!(answer.refusal(), "403 scope_missing", "{path}");
        }
        for path in ["/v1/jobs", "/v1/pauses", "/v1/integrity"] {
            let answer = site.call(reqwest::Method::GET, path).bearer(Some(&key)).answer().await;
            assert_eq!(answer.status, 200, "{path}");
        }
    }
    let admin = db.key(SUBMITTER, &["admin"]).await;
    let jobs: Vec<Value> = [("pause", calls[0].1.clone()), ("verify", json!({}))]
        .into_iter()
        .map(|(kind, payload)| json!({ "kind": kind, "key": kind, "payload": payload }))
        .collect();
    let batch = site.post("/v1/jobs:batch", &json!({ "jobs": jobs })).bearer(Some(&admin)).answer().await;
    for answer in batch.body["jobs"].as_array().unwrap() {
        assert_eq!((&answer["status"], &answer["error"]["code"]), (&json!("invalid"), &json!("kind_unknown")));
    }
    assert_eq!(db.traces().await, before);
    let (path, body) = &calls[0];
    assert_eq!(site.post(path, body).bearer(Some(&admin)).answer().await.status, 202);
}

#[tokio::test]
async fn a_parked_job_explains_itself_and_takes_two_people_to_cancel() {
    let (db, site, [ann, ben]) = operated().await;
    let [seller, buyer] = site.people().await;
    site.fund(seller, "btc", "0.9").await;
    db.ask_as(SUBMITTER, pause(PauseScope::Lane, "ledger")).await;
    until("the lane is paused", async || site.found("/v1/pauses").await["pauses"] != json!([])).await;
    let job = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    db.park(job, 2).await;
    let shown = site.found(&format!("/v1/jobs/{job}")).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("parked"), &json!("poison")));
    let parked = &shown["parked"];
    assert_eq!((&parked["detail"], &parked["cancel_needs_two"]), (&json!("a test"), &json!(true)));
    assert_eq!(parked["waits_for_second"], false);
    let explanation = parked["explanation"].as_str().unwrap();
    assert!(explanation.contains("retry it") && explanation.contains("two principals"), "{explanation}");

    let because = json!({ "reason": "asked for by mistake" });
    let path = format!("/v1/jobs/{job}/cancel");
    let first = post(&site, &ann, &path, &because).await;
    assert_eq!((first.status, &first.body["result"]), (200, &json!({ "needs": "second_principal" })));
    assert_eq!(site.found(&format!("/v1/jobs/{job}")).await["parked"]["waits_for_second"], true);
    assert_eq!(post(&site, &ann, &path, &because).await.refusal(), "409 same_principal");
    let second = post(&site, &ben, &path, &because).await;
    assert_eq!((second.status, &second.body["result"]), (200, &json!({ "carried_out": "cancel" })));
    let shown = site.found(&format!("/v1/jobs/{job}")).await;
    assert_eq!((&shown["state"], &shown["reason"]), (&json!("cancelled"), &json!("cancelled_by_operator")));
    assert_eq!(shown["parked"], Value::Null);
    assert_eq!(post(&site, &ben, &format!("/v1/jobs/{job}/retry"), &because).await.refusal(), "409 not_parked");
    for nothing in ["999999", "0", "x"] {
        let answer = post(&site, &ben, &format!("/v1/jobs/{nothing}/retry"), &because).await;
        assert_eq!(answer.refusal(), "404 job_unknown");
    }
    db.verified().await;
}

#[tokio::test]
async fn jobs_are_listed_by_state_kind_and_subject() {
    let (db, site, [ann, _]) = operated().await;
    let [seller, buyer] = site.people().await;
    site.fund(seller, "btc", "0.9").await;
    let trade = site.settled("/v1/trades", &json!({
        "seller_id": seller.to_string(), "buyer_id": buyer.to_string(), "asset": "btc", "amount": "0.5", "maker": "seller",
    })).await;
    let marked = site.settled(&format!("/v1/trades/{trade}/mark-paid"), &json!({ "user_id": buyer.to_string() })).await;
    let refused = site.post(&format!("/v1/trades/{trade}/release"), &json!({ "user_id": buyer.to_string() }));
    let refused = refused.wait(20).answer().await;
    assert_eq!(refused.refusal(), "409 not_the_seller");
    post(&site, &ann, "/v1/pauses", &pause_of("lane", "ledger", true)).await;
    let queued = db.ask(register(None)).await;
    let parked = db.ask(register(None)).await;
    db.park(parked, 0).await;
    let list = async |query: &str| ids(&site.found(&format!("/v1/jobs?{query}")).await);
    assert_eq!(list("state=parked").await, [parked.to_string()]);
    assert_eq!(list("state=queued").await, [queued.to_string()]);
    assert_eq!(list("state=rejected").await, [refused.job().to_string()]);
    assert_eq!(list("state=cancelled").await, [] as [String; 0]);
    assert_eq!(list(&format!("subject={trade}")).await, [refused.job(), marked, trade].map(|id| id.to_string()));
    assert_eq!(list(&format!("subject={parked}&state=parked")).await, [parked.to_string()]);
    assert_eq!(list("kind=user-register&state=settled").await, [buyer, seller].map(|id| id.to_string()));
    assert_eq!(list("kind=pause").await.len(), 1);

    // Page by page it is the same list.
    let whole = list("limit=200").await;
    assert!(whole.len() > 8);
    for limit in [1, 3, whole.len()] {
        let (mut pages, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = site.found(&format!("/v1/jobs?limit={limit}{cursor}")).await;
            pages.extend(ids(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(pages, whole);
    }
    let once: BTreeSet<&String> = whole.iter().collect();
    assert_eq!(once.len(), whole.len());
    for (query, refusal) in [
        ("state=lost", "400 query_invalid"),
        ("limit=0", "400 query_invalid limit"),
        ("limit=201", "400 query_invalid limit"),
        ("subject=x", "400 query_invalid subject"),
        ("cursor=x", "422 cursor_invalid cursor"),
        ("kind=payday", "422 kind_unknown kind"),
        ("offset=1", "400 query_invalid"),
    ] {
        assert_eq!(site.get(&format!("/v1/jobs?{query}")).await.refusal(), refusal, "{query}");
    }
    db.verified().await;
}

#[tokio::test]
async fn the_integrity_is_told_and_asked_for() {
    let db = Db::new().await;
    let [ann, _] = db.operators().await;
    let site = Site::new(&db).await;
    assert_eq!(site.found("/v1/integrity").await, json!({ "state": "never_run" }));
    let asked = site.post("/v1/integrity", &json!({})).bearer(Some(&ann)).answer().await;
    assert_eq!(asked.status, 202);
    run_verification(&db).await;
    let told = site.found("/v1/integrity").await;
    assert_eq!((&told["state"], &told["last"]["job_id"]), (&json!("clean"), &json!(asked.job().to_string())));
    assert!(told["last"]["checks"].as_i64().unwrap() > 20 && told["last"]["age_s"].as_i64().unwrap() < 60, "{told}");

    db.sql("set session_replication_role = replica; insert into outbox values (999999, 'ledger', 0, 1, now())").await;
    db.ask_as(OTHER, jobs::AnyJob::call(jobs::Verify {})).await;
    run_verification(&db).await;
    let told = site.found("/v1/integrity").await;
    assert_eq!(
        (&told["state"], &told["last"]["failed"][0]["name"]),
        (&json!("failed"), &json!("queue-rows-have-jobs"))
    );
}

async fn run_verification(db: &Db) {
    assert!(db.run_verification().await.is_some());
}
