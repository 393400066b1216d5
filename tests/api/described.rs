//! The description of the API: served as it is, and its examples are true.

use jobs::{KINDS, Origin};
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::{Value, json};

use crate::harness::{Db, Site, document, fresh_key, until};

#[tokio::test]
async fn the_description_and_the_page_need_no_key() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let answer = site.call(Method::GET, "/openapi.json").bearer(None).answer().await;
    assert_eq!((answer.status, &answer.body), (200, document()));
    let page = Client::new().get(format!("http://{}/docs", site.address)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let text = page.text().await.unwrap();
    for (path, item) in document()["paths"].as_object().unwrap() {
        for operation in item.as_object().unwrap().values() {
            let anchor = format!("id=\"{}\"", operation["operationId"].as_str().unwrap());
            assert!(text.contains(&anchor) && text.contains(path), "{path} is not on the page");
        }
    }
}

/// Whoever knows the address alone is told what is there; a browser is sent to the page.
#[tokio::test]
async fn the_root_leads_to_the_documentation() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let answer = site.call(Method::GET, "/").bearer(None).answer().await;
    let said = json!({
        "name": "holdfast", "version": env!("CARGO_PKG_VERSION"), "documentation": "/docs", "openapi": "/openapi.json",
    });
    assert_eq!((answer.status, answer.header("vary"), &answer.body), (200, Some("accept"), &said));
    for path in ["documentation", "openapi"].map(|member| said[member].as_str().unwrap()) {
        assert!(document()["paths"][path]["get"].is_object(), "{path}");
    }
    let browser = Client::builder().redirect(Policy::none()).build().unwrap();
    let asked = browser.get(format!("http://{}/", site.address)).header("accept", "text/html,*/*;q=0.8");
    let sent_on = asked.send().await.unwrap();
    assert_eq!((sent_on.status().as_u16(), &sent_on.headers()["location"]), (303, &"/docs".parse().unwrap()));
    assert!(document()["paths"]["/"]["get"]["responses"]["303"]["headers"]["Location"].is_object());
    assert_eq!(sent_on.json::<Value>().await.unwrap(), said);
}

/// What is the same whenever it is asked: the times are left out.
fn timeless(value: &Value) -> Value {
    match value {
        Value::String(text) if text.len() > 18 && text.ends_with('Z') => json!("a time"),
        Value::Array(items) => items.iter().map(timeless).collect(),
        Value::Object(members) => members.iter().map(|(name, value)| (name.clone(), timeless(value))).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
    }
}

/// The example of what an operation answers with a status.
fn example(method: &str, path: &str, status: u16) -> &'static Value {
    &document()["paths"][path][method]["responses"][status.to_string()]["content"]["application/json"]["example"]
}

/// The example of what it takes.
fn taken(path: &str) -> Value {
    let content = &document()["paths"][path]["post"]["requestBody"]["content"]["application/json"];
    if content["example"].is_object() {
        return content["example"].clone();
    }
    let schema = content["schema"]["$ref"].as_str().unwrap();
    document().pointer(&format!("{}/examples/0", schema.trim_start_matches('#'))).unwrap().clone()
}

/// Whatever a kind refuses a payload for is described: its code stands beside its field in the
/// source of the kind.
#[test]
fn every_code_of_a_payload_that_is_refused_is_described() {
    let codes = &document()["paths"]["/v1/trades"]["post"]["x-codes"]["422"];
    let mut seen = 0;
    let rooms = ["kinds", "policy"].map(|room| format!("{}/jobs/{room}", env!("CARGO_MANIFEST_DIR")));
    for file in rooms.iter().flat_map(|room| std::fs::read_dir(room).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for refusal in text.split("Invalid::new(").skip(1) {
            // The field may be a variable; the code never is.
            let (_, code) = refusal.split_once(',').unwrap();
            let code = code.trim_start().strip_prefix('"').and_then(|code| code.split('"').next()).unwrap();
            assert!(codes.as_array().unwrap().contains(&json!(code)), "{}: {code} is not described", path.display());
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen}");
}

/// A person is registered as the examples say, by a site that knows nobody yet.
#[tokio::test]
async fn the_examples_of_a_registration_are_true() {
    let db = Db::new().await;
    let mut site = Site::new(&db).await;
    let ask = || site.post("/v1/users", &taken("/v1/users")).key("ann");
    let queued = ask().answer().await;
    assert_eq!(timeless(&queued.body), timeless(example("post", "/v1/users", 202)));
    let again = ask();
    site.employ(&db).await;
    let settled = again.wait(20).answer().await;
    assert_eq!(timeless(&settled.body), timeless(example("post", "/v1/users", 200)));
    assert_eq!(timeless(&site.found("/v1/jobs/1").await), timeless(&settled.body));
}

/// The other examples tell one story, and this is it: a site that knows nobody yet answers as
/// they say.
#[tokio::test]
async fn the_examples_of_a_trade_are_true() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let batch = site.post("/v1/jobs:batch", &taken("/v1/jobs:batch")).answer().await;
    assert_eq!(&batch.body, example("post", "/v1/jobs:batch", 202));
    for user in ["/v1/users/1/balances", "/v1/users/2/balances"] {
        until("they are registered", async || site.get(user).await.status == 200).await;
    }
    site.fund(1, "btc", "0.1").await;
    for (path, state) in [
        ("/v1/trades", Some("awaiting_payment")),
        ("/v1/trades/{id}/mark-paid", None),
        ("/v1/trades/{id}/release", None),
    ] {
        let call = site.post(&path.replace("{id}", "4"), &taken(path)).key(&fresh_key()).wait(20);
        let answer = call.answer().await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        if let Some(state) = state {
            let trade = site.found("/v1/trades/4").await;
            assert_eq!(trade["state"], state);
            assert_eq!(timeless(&trade), timeless(example("get", "/v1/trades/{id}", 200)));
        }
    }
    for path in ["/v1/users/{id}/balances", "/v1/users/{id}/transactions"] {
        let found = site.found(&path.replace("{id}", "2")).await;
        assert_eq!(timeless(&found), timeless(example("get", path, 200)), "{path}");
    }
    db.verified().await;
}

/// What operators decide one at a time, under a scope of its own.
const SINGLE: [&str; 2] = ["user-flag", "withdrawal-decision"];

/// A batch takes every kind that submitters may ask for, but for those, and no other.
#[test]
fn every_kind_of_clients_is_described() {
    let items = &document()["components"]["schemas"]["Batch"]["properties"]["jobs"]["items"]["anyOf"][0]["oneOf"];
    let kind = |item: &Value| item["properties"]["kind"]["enum"][0].as_str().unwrap().to_owned();
    let mut described: Vec<String> = items.as_array().unwrap().iter().map(kind).collect();
    let clients = KINDS.iter().filter(|kind| kind.origin == Origin::Client && !SINGLE.contains(&kind.name));
    let mut asked: Vec<String> = clients.map(|kind| kind.name.to_owned()).collect();
    described.sort_unstable();
    asked.sort_unstable();
    assert_eq!(described, asked);
}
