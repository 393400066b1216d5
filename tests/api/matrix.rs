//! Who may call what: every operation that is described, asked with every sort of key.

use serde_json::Value;

use crate::harness::{Answer, Db, SUBMITTER, Site, document, fresh_key, lock, operations, withdraw};

/// The sorts of keys: the columns of the table.
const KEYS: [&str; 8] = ["none", "unknown", "revoked", "expired", "submit", "read", "operate", "admin"];

/// What each is answered. 2 stands for a success; what is refused is refused with its exact status.
#[rustfmt::skip]
const TABLE: &[(&str, &str, [u16; 8])] = &[
    //                                             none unknown revoked expired submit read operate admin
    ("GET",  "/",                                   [2,   2,   2,   2,   2,   2,   2,   2]),
    ("GET",  "/livez",                              [2,   2,   2,   2,   2,   2,   2,   2]),
    ("GET",  "/readyz",                             [2,   2,   2,   2,   2,   2,   2,   2]),
    ("GET",  "/docs",                               [2,   2,   2,   2,   2,   2,   2,   2]),
    ("GET",  "/metrics",                            [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/openapi.json",                       [2,   2,   2,   2,   2,   2,   2,   2]),
    ("GET",  "/v1/jobs/{id}",                       [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/jobs",                            [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/jobs/{id}/retry",                 [401, 401, 401, 401, 403, 403, 2,   2]),
    ("POST", "/v1/jobs/{id}/cancel",                [401, 401, 401, 401, 403, 403, 2,   2]),
    ("GET",  "/v1/pauses",                          [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/pauses",                          [401, 401, 401, 401, 403, 403, 2,   2]),
    ("GET",  "/v1/integrity",                       [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/integrity",                       [401, 401, 401, 401, 403, 403, 2,   2]),
    ("GET",  "/v1/retentions",                      [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/jobs:batch",                      [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades",                          [401, 401, 401, 401, 2,   403, 403, 2]),
    ("GET",  "/v1/trades/{id}",                     [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/trades/{id}/mark-paid",           [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades/{id}/undo",                [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades/{id}/extend",              [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades/{id}/cancel",              [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades/{id}/refund",              [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/trades/{id}/release",             [401, 401, 401, 401, 2,   403, 403, 2]),
    ("POST", "/v1/users",                           [401, 401, 401, 401, 2,   403, 403, 2]),
    ("GET",  "/v1/users/{id}/balances",             [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/users/{id}/transactions",         [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/fees",                            [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/trades",                          [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/trades/{id}/history",             [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/users/{id}",                      [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/users/{id}/commissions",          [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/users/{id}/flags",                [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/users/{id}/flags",                [401, 401, 401, 401, 403, 403, 2,   2]),
    ("GET",  "/v1/users/{id}/transactions.csv",     [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/users/{id}/referrals",            [401, 401, 401, 401, 403, 2,   2,   2]),
    ("GET",  "/v1/withdrawals",                     [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/withdrawals",                     [401, 401, 401, 401, 2,   403, 403, 2]),
    ("GET",  "/v1/withdrawals/{id}",                [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/withdrawals/{id}/approve",        [401, 401, 401, 401, 403, 403, 2,   2]),
    ("POST", "/v1/withdrawals/{id}/cancel",         [401, 401, 401, 401, 2,   403, 403, 2]),
    ("GET",  "/v1/withdrawals/{id}/history",        [401, 401, 401, 401, 403, 2,   2,   2]),
    ("POST", "/v1/withdrawals/{id}/reject",         [401, 401, 401, 401, 403, 403, 2,   2]),
    // A key of ours is no signature of the provider's.
    ("POST", "/webhooks/nowpayments",               [401, 401, 401, 401, 401, 401, 401, 401]),
    // Not described, so not there, whoever asks.
    ("GET",  "/v1/keys",                            [404, 404, 404, 404, 404, 404, 404, 404]),
];

/// The example of an operation's body: its own, or that of its schema.
fn example(operation: &Value) -> Option<Value> {
    let content = operation.pointer("/requestBody/content/application~1json")?;
    let own = content.get("example").cloned();
    own.or_else(|| {
        let name = content.pointer("/schema/$ref")?.as_str()?.rsplit('/').next()?;
        document().pointer(&format!("/components/schemas/{name}/examples/0")).cloned()
    })
}

/// Asks for an operation with a key, the example of its body and the id of something that is there.
async fn asked(site: &Site, (method, path): (&str, &str), there: [i64; 3], secret: Option<&str>) -> Answer {
    let [user, trade, withdrawal] = there;
    let id = match path.split('/').nth(2) {
        Some("users") => user,
        Some("withdrawals") => withdrawal,
        _ => trade,
    };
    let call = site.call(method.parse().unwrap(), &path.replace("{id}", &id.to_string())).bearer(secret);
    if method != "POST" {
        return call.answer().await;
    }
    let described =
        operations().into_iter().find(|(said, template, _)| (said.as_str(), template.as_str()) == (method, path));
    let body = described.and_then(|(_, _, operation)| example(operation)).unwrap_or_default();
    call.key(&fresh_key()).body("application/json", body.to_string()).answer().await
}

/// The table and the description have the same operations.
#[test]
fn every_operation_is_in_the_table() {
    let mut described: Vec<(String, String)> =
        operations().into_iter().map(|(method, path, _)| (method, path)).collect();
    let there = TABLE.iter().filter(|(_, _, answers)| *answers != [404; 8]);
    let mut table: Vec<(String, String)> =
        there.map(|(method, path, _)| ((*method).to_owned(), (*path).to_owned())).collect();
    described.sort_unstable();
    table.sort_unstable();
    assert_eq!(described, table);
}

/// A column by column, row by row; what is refused leaves no trace.
#[tokio::test]
async fn every_operation_with_every_sort_of_key() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.know(seller, 3).await;
    let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let withdrawal = db.ask(withdraw(seller, "btc", "0.1")).await;
    db.drain().await;
    let mut secrets = vec![None, Some(::api::new_key().0)];
    let ends = ["revoked_at = clock()", "expires_at = clock()"];
    for end in ends {
        let secret = db.key(SUBMITTER, &["submit", "read", "operate", "admin"]).await;
        let hash = hex::encode(::api::key_hash(&secret));
        db.sql(&format!("update api_key set {end} where secret_hash = '\\x{hash}'")).await;
        secrets.push(Some(secret));
    }
    for scope in &KEYS[4..] {
        secrets.push(Some(db.key(SUBMITTER, &[scope]).await));
    }
    for &(method, path, expected) in TABLE {
        for ((kind, secret), expected) in KEYS.into_iter().zip(&secrets).zip(expected) {
            let before = db.traces().await;
            let answer = asked(&site, (method, path), [seller, trade, withdrawal], secret.as_deref()).await;
            let cell = format!("{method} {path} with the key {kind}: {answer:?}");
            if expected == 2 {
                assert!((200..300).contains(&answer.status), "{cell}");
                continue;
            }
            assert_eq!(answer.status, expected, "{cell}");
            assert_eq!(db.traces().await, before, "{cell}");
            let code = match (expected, kind) {
                (404, _) => "route_unknown",
                (403, _) => "scope_missing",
                _ if path.starts_with("/webhooks/") => "missing_signature",
                (_, "revoked") => "key_revoked",
                (_, "expired") => "key_expired",
                (_, _) => "unauthenticated",
            };
            assert_eq!(answer.body["code"], code, "{cell}");
        }
    }
    // What is let in is also what the description says.
    for (method, path, operation) in operations() {
        let Some(scope) = operation.pointer("/security/0/key/0").and_then(Value::as_str) else {
            continue;
        };
        let row = TABLE.iter().find(|(m, p, _)| (*m, *p) == (method.as_str(), path.as_str())).unwrap();
        let column = KEYS.iter().position(|key| *key == scope).unwrap();
        assert_eq!(row.2[column], 2, "{method} {path} is said to need {scope}");
        assert!(column < 5 || row.2[4] != 2, "{method} {path} is said to need {scope}, and lets submit in");
    }
    db.drain().await;
    db.verified().await;
}
