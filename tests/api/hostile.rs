//! One client sends whatever a broken program or an attacker can come up with, to every endpoint
//! that takes a body: each piece is refused with its own code and leaves nothing behind, and
//! another client is served all along.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ::api::Limits;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::bounds::{sent, told};
use super::{by, trade_of};
use crate::harness::{Db, SUBMITTER, Site, fresh_key};

/// How many requests the other client makes, alone and then under attack.
const REQUESTS: u32 = 300;
/// The longest that any of them may take, which no healthy machine comes near.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often each attacker begins something. They share the machine with the site, so attackers
/// without a pause would show how two programs share two cores and not what the site does.
const PACE: Duration = Duration::from_millis(5);

/// What stands in place of a value and is no JSON.
const NOT_JSON: [&str; 11] = ["", "NaN", "Infinity", "-Infinity", "-", "01", "+1", "0x1F", "1e", "'1'", "\"unfinished"];
/// What is JSON and can be kept nowhere: half a character, a number beyond a double.
const NOT_STORABLE: [&str; 5] = [r#""\ud800""#, r#""\udc00\ud800""#, r#""\uDBFF""#, "1e400", "-1e400"];
/// What is JSON of a type that no field has.
const MISSHAPEN: [&str; 7] = ["[]", "{}", r#"{"$ne":null}"#, r#"[["1"]]"#, "false", "-0.0", "0.1e-7"];
/// What is no id, as text or as a number.
const NO_ID: [&str; 12] = [
    r#""\u0000""#,
    r#""""#,
    r#""0""#,
    r#""-1""#,
    r#""1e3""#,
    r#""NaN""#,
    r#""Infinity""#,
    r#""1 or 1=1""#,
    r#""99999999999999999999999999999""#,
    "99999999999999999999999999999",
    "-1",
    "1",
];
/// What is no number of minutes.
const NO_MINUTES: [&str; 8] = ["-1", "1.5", "30.0", "3e1", "65536", "99999999999999999999999999999", r#""30""#, "null"];

/// A request, and what it must be told.
struct Hostile {
    what: String,
    request: Vec<u8>,
    expected: String,
}

/// The requests of one attacker, whose key they carry.
struct Attack<'a> {
    site: &'a Site,
    requests: Vec<Hostile>,
}

impl Attack<'_> {
    /// A POST with these header lines.
    fn push(&mut self, what: &str, path: &str, headers: &str, body: &[u8], expected: &str) {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\nauthorization: Bearer {}\r\n{headers}\
             content-length: {}\r\n\r\n",
            self.site.secret,
            body.len()
        );
        let request = [head.as_bytes(), body].concat();
        self.requests.push(Hostile { what: format!("{path} {what}"), request, expected: expected.to_owned() });
    }

    /// A POST of a body under a key of its own.
    fn body(&mut self, path: &str, body: &str, expected: &str) {
        let headers = format!("idempotency-key: {}\r\ncontent-type: application/json\r\n", fresh_key());
        let shown: String = body.chars().take(200).collect();
        self.push(&shown, path, &headers, body.as_bytes(), expected);
    }

    /// Everything that can be wrong with a body that is good.
    fn on(&mut self, path: &str, good: &Value) {
        for field in good.as_object().unwrap().keys() {
            for (value, expected) in wrong_values(path, field) {
                self.body(path, &with(good, field, &value), &expected);
            }
        }
        let text = good.to_string();
        let deep = |depth: usize| format!("{}1{}", r#"{"user_id":"#.repeat(depth), "}".repeat(depth));
        self.body(path, &text[..text.len() - 1], "400 json_malformed");
        self.body(path, &format!("{text}{text}"), "400 json_malformed");
        self.body(path, &format!("\u{feff}{text}"), "400 json_malformed");
        self.body(path, &format!(")]}}',\n{text}"), "400 json_malformed");
        self.body(path, &"{\"a\":".repeat(10_000), "400 json_malformed");
        self.body(path, &format!("[{text}]"), "422 payload_invalid");
        self.body(path, &text.replacen('{', r#"{"__proto__":{},"#, 1), "422 payload_invalid __proto__");
        self.body(path, &deep(1_000), "422 text_not_storable");
    }

    /// Everything that can be wrong around it.
    fn around(&mut self, path: &str, good: &Value) {
        let good = good.to_string();
        let (json, key) = ("content-type: application/json\r\n", format!("idempotency-key: {}\r\n", fresh_key()));
        let long = format!("idempotency-key: {}\r\n", "k".repeat(256));
        for (what, headers, expected) in [
            ("without a key", json.to_owned(), "400 idempotency_key_missing"),
            ("with two keys", format!("{json}{key}{key}"), "400 idempotency_key_malformed"),
            ("with an empty key", format!("{json}idempotency-key:\r\n"), "400 idempotency_key_malformed"),
            ("with a long key", format!("{json}{long}"), "400 idempotency_key_malformed"),
            ("with a key of no ASCII", format!("{json}idempotency-key: \u{e9}\r\n"), "400 idempotency_key_malformed"),
            ("without a type", key.clone(), "415 content_type_unsupported"),
            ("as text", format!("{key}content-type: text/plain\r\n"), "415 content_type_unsupported"),
            (
                "as a form",
                format!("{key}content-type: multipart/form-data; boundary=x\r\n"),
                "415 content_type_unsupported",
            ),
            ("as XML", format!("{key}content-type: application/xml\r\n"), "415 content_type_unsupported"),
            (
                "as a patch",
                format!("{key}content-type: application/json-patch+json\r\n"),
                "415 content_type_unsupported",
            ),
        ] {
            self.push(what, path, &headers, good.as_bytes(), expected);
        }
        let headers = format!("{json}{key}");
        let not_utf8 = [good.as_bytes(), b"\xc3\x28"].concat();
        self.push("with bytes that are no text", path, &headers, &not_utf8, "400 json_malformed");
        self.push("ten megabytes", path, &headers, &vec![b' '; 10 * 1024 * 1024], "413 body_too_large");
    }
}

/// A body whose field has another value, which is written as it stands.
fn with(good: &Value, field: &str, value: &str) -> String {
    let mut body = good.clone();
    body[field] = json!("in its place");
    body.to_string().replacen(r#""in its place""#, value, 1)
}

/// What a field may not be, and what is said to it.
fn wrong_values(path: &str, field: &str) -> Vec<(String, String)> {
    let invalid = format!("422 payload_invalid {field}");
    let all = |values: &[&str], expected: &str| -> Vec<(String, String)> {
        values.iter().map(|value| ((*value).to_owned(), expected.to_owned())).collect()
    };
    let mut wrong = all(&NOT_JSON, "400 json_malformed");
    wrong.extend(all(&["[".repeat(20_000).as_str()], "400 json_malformed"));
    if field == "jobs" {
        wrong.extend(all(&["[]"], "422 batch_size jobs"));
        wrong.extend(all(&["{}", "null", "1", r#""[]""#], &invalid));
        return wrong;
    }
    wrong.extend(all(&NOT_STORABLE, "422 text_not_storable"));
    wrong.extend(all(&[format!("{}{}", "[".repeat(500), "]".repeat(500)).as_str()], "422 text_not_storable"));
    wrong.extend(all(&MISSHAPEN, &invalid));
    match field {
        "minutes" => wrong.extend(all(&NO_MINUTES, &invalid)),
        "asset" => {
            wrong.extend(all(&[r#""\u0000""#, r#""b\u0000tc""#], "422 text_not_storable"));
            wrong.extend(all(&[r#""BTC""#, r#""';--""#, r#""\u202ectb""#], "422 asset_unknown asset"));
        }
        "amount" => {
            wrong.extend(all(&[r#""\u0000""#], "422 text_not_storable"));
            wrong.extend(all(&[r#""99999999999999999999999999999""#], "422 amount_out_of_range amount"));
            wrong.extend(all(
                &[r#""1e400""#, r#""NaN""#, r#""Infinity""#, r#""-Infinity""#],
                "422 amount_malformed amount",
            ));
            wrong.extend(all(&[r#""-1""#], "422 amount_negative amount"));
        }
        "maker" => wrong.extend(all(&[r#""\u0000""#, r#""""#, "1"], &invalid)),
        _ => {
            assert!(field.ends_with("_id"), "{path} {field}");
            wrong.extend(all(&NO_ID, &invalid));
        }
    }
    wrong
}

/// Everything that the attacker sends.
async fn hostile_requests(site: &Site) -> Vec<Hostile> {
    let trade = site.post("/v1/trades", &trade_of(1, 2, "btc", "0.5")).answer().await.job();
    let mut attack = Attack { site, requests: Vec::new() };
    let item = json!({ "kind": "user-register", "key": "item", "payload": {} });
    let mut endpoints = vec![
        ("/v1/users".to_owned(), json!({ "referrer_id": "1" })),
        ("/v1/trades".to_owned(), trade_of(1, 2, "btc", "0.5")),
        ("/v1/jobs:batch".to_owned(), json!({ "jobs": [item] })),
        (format!("/v1/trades/{trade}/extend"), json!({ "user_id": "1", "minutes": 30 })),
    ];
    for action in ["mark-paid", "undo", "cancel", "release", "refund"] {
        endpoints.push((format!("/v1/trades/{trade}/{action}"), by(1)));
    }
    for (path, good) in &endpoints {
        attack.on(path, good);
        if path != "/v1/jobs:batch" {
            attack.around(path, good);
        }
    }
    attack.requests
}

/// How long each of the other client's jobs took to be recorded.
async fn served(address: &str, secret: &str) -> Vec<Duration> {
    let http = Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
    let url = format!("http://{address}/v1/users");
    let mut took = Vec::new();
    for _ in 0..REQUESTS {
        let call = http.post(&url).bearer_auth(secret).header("idempotency-key", fresh_key()).json(&json!({}));
        let began = Instant::now();
        let answer = call.send().await.unwrap();
        assert_eq!(answer.status(), 202);
        answer.bytes().await.unwrap();
        took.push(began.elapsed());
    }
    took.sort_unstable();
    took
}

/// The median and the 99th percentile of sorted times.
fn figures(took: &[Duration]) -> [Duration; 2] {
    [took[took.len() / 2], took[took.len() * 99 / 100]]
}

/// Opens connections that say half of something and then nothing, until it is over. How many were
/// given up on.
async fn dawdle(site: Arc<Site>, half: String, over: Arc<AtomicBool>) -> usize {
    let mut ended = 0;
    loop {
        let told = told(&sent(&site, half.as_bytes(), false).await);
        assert!(matches!(told.as_str(), "closed" | "408 body_timeout"), "{half}: {told}");
        ended += 1;
        if over.load(Ordering::Relaxed) {
            return ended;
        }
    }
}

/// The pace of an attacker; who falls behind does not make up for it.
fn paced() -> Interval {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pace
}

/// Asks under a key that others use at the same time, each for something else, until it is over.
/// How often somebody else had it.
async fn reuse(site: Arc<Site>, number: usize, over: Arc<AtomicBool>) -> usize {
    let mut attack = Attack { site: &site, requests: Vec::new() };
    let headers = "idempotency-key: everybody's\r\ncontent-type: application/json\r\n";
    let body = json!({ "referrer_id": (number + 1).to_string() }).to_string();
    attack.push("under a key of others", "/v1/users", headers, body.as_bytes(), "422 idempotency_conflict");
    let Hostile { request, expected, .. } = attack.requests.remove(0);
    let (mut refused, mut pace) = (0, paced());
    loop {
        pace.tick().await;
        let told = refusal(&sent(&site, &request, false).await);
        // Whoever came first has it, and is told so for ever.
        assert!(told == expected || told == "202", "{told}");
        refused += usize::from(told == expected);
        if over.load(Ordering::Relaxed) {
            return refused;
        }
    }
}

/// What an answer says, with the field that is at fault.
fn refusal(answer: &str) -> String {
    let told = told(answer);
    let document = answer.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str(body).ok());
    let field = document.and_then(|document: Value| document["field"].as_str().map(str::to_owned));
    format!("{told} {}", field.unwrap_or_default()).trim_end().to_owned()
}

/// What a request is told instead of what it must be.
async fn misjudged(site: &Site, hostile: &Hostile) -> Option<String> {
    let Hostile { what, request, expected } = hostile;
    let told = refusal(&sent(site, request, false).await);
    // A site that has heard enough closes, and its answer can be lost with the connection.
    let lost = request.len() > 1024 * 1024 && told == "closed";
    (told != *expected && !lost).then(|| format!("{what}: {told}, not {expected}"))
}

#[tokio::test]
async fn each_hostile_request_is_refused_for_what_it_is() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let requests = hostile_requests(&site).await;
    let before = db.traces().await;
    let mut wrong = Vec::new();
    for request in &requests {
        wrong.extend(misjudged(&site, request).await);
    }
    assert!(wrong.is_empty(), "{} of {}: {wrong:#?}", wrong.len(), requests.len());
    assert!(requests.len() > 600, "{}", requests.len());
    assert_eq!(db.traces().await, before, "nothing of it is kept");
}

/// All of it at once, with bodies and heads that never come and a key that everybody uses, beside
/// somebody who just works.
#[tokio::test(flavor = "multi_thread")]
async fn another_client_is_served_all_along() {
    let db = Db::new().await;
    let slow = Duration::from_secs(3);
    let site = Arc::new(Site::limited(&db, Limits { body_within: slow, head_within: slow, ..Limits::default() }).await);
    let other = db.key(SUBMITTER + 1, &["submit"]).await;
    let requests = Arc::new(hostile_requests(&site).await);
    let alone = served(&site.address, &other).await;
    let before = db.traces().await;

    let over = Arc::new(AtomicBool::new(false));
    let mut attackers = JoinSet::new();
    for number in 0..4 {
        let (site, requests, over) = (Arc::clone(&site), Arc::clone(&requests), Arc::clone(&over));
        attackers.spawn(async move {
            let (mut sent, mut pace) = (0, paced());
            // Each begins at another place, and has sent everything once before it ends.
            for request in requests.iter().cycle().skip(number * requests.len() / 4) {
                pace.tick().await;
                assert_eq!(misjudged(&site, request).await, None);
                sent += 1;
                if sent >= requests.len() && over.load(Ordering::Relaxed) {
                    break;
                }
            }
            sent
        });
    }
    let head = format!("POST /v1/users HTTP/1.1\r\nhost: test\r\nauthorization: Bearer {}\r\n", site.secret);
    let body = format!("{head}idempotency-key: half\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{{");
    for half in [head, body].iter().cycle().take(64) {
        attackers.spawn(dawdle(Arc::clone(&site), half.clone(), Arc::clone(&over)));
    }
    for number in 0..4 {
        attackers.spawn(reuse(Arc::clone(&site), number, Arc::clone(&over)));
    }
    let attacked = served(&site.address, &other).await;
    over.store(true, Ordering::Relaxed);
    let refused: usize = attackers.join_all().await.into_iter().sum();

    let [[alone_p50, alone_p99], [p50, p99]] = [figures(&alone), figures(&attacked)];
    #[expect(clippy::print_stdout, reason = "the run says what the attack costs another client")]
    {
        println!(
            "hostile: other client p50 {alone_p50:.1?} -> {p50:.1?}, p99 {alone_p99:.1?} -> {p99:.1?}, beside {refused} \
             hostile requests of 4 + 64 + 4 connections"
        );
    }
    let after = db.traces().await;
    let kept = i64::from(REQUESTS) + 1;
    assert_eq!(
        (after.requests - before.requests, after.jobs - before.jobs),
        (kept, kept),
        "its jobs, and one of theirs"
    );
    assert_eq!(after.callbacks, 0);
}
