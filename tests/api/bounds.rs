//! What is too long, too slow or no HTTP at all: a problem document, or a connection that is
//! closed cleanly; never one that stays open for nothing.

use std::time::Duration;

use ::api::Limits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::harness::{Db, Site};

/// Longest time until a site has closed a connection that it should close at once.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends bytes, and reads until the site closes the connection.
pub(super) async fn sent(site: &Site, bytes: &[u8], ends: bool) -> String {
    let mut stream = TcpStream::connect(&site.address).await.unwrap();
    // A site that has read enough closes while the rest is still being sent.
    let written = stream.write_all(bytes).await;
    if ends && written.is_ok() {
        stream.shutdown().await.unwrap();
    }
    let mut answer = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("the connection stays open");
    // A site that closes with something unread resets the connection; what it said came before.
    drop(read);
    String::from_utf8(answer).unwrap()
}

/// What an answer says: its status and the code of its problem document, which carries the id of
/// its request; `bare` without a document, and `closed` without an answer.
pub(super) fn told(answer: &str) -> String {
    if answer.is_empty() {
        return "closed".to_owned();
    }
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap();
    if body.is_empty() {
        return format!("{status} bare");
    }
    let document: Value = serde_json::from_str(body).unwrap();
    let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap();
    if status.starts_with('2') {
        return status.to_owned();
    }
    assert_eq!(document["request_id"], id, "{answer}");
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    format!("{status} {}", document["code"].as_str().unwrap())
}

#[tokio::test]
async fn what_is_too_long_is_refused() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let get = |path: &str, headers: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n{headers}\r\n").into_bytes()
    };
    let path = |length: usize| format!("/livez?{}", "x".repeat(length - 7));
    let lines = |count: usize| "x-filler: x\r\n".repeat(count - 2);
    let line = |length: usize| format!("x-filler: {}\r\n", "x".repeat(length));
    for (what, request, expected) in [
        ("the longest address", get(&path(8 * 1024), ""), "200"),
        ("a longer address", get(&path(8 * 1024 + 1), ""), "414 uri_too_long"),
        ("an endless address", get(&path(100 * 1024), ""), "431 bare"),
        ("the most headers", get("/livez", &lines(64)), "200"),
        ("one header more", get("/livez", &lines(65)), "431 headers_too_large"),
        ("many more headers", get("/livez", &lines(500)), "431 bare"),
        ("a long header", get("/livez", &line(16_000)), "200"),
        ("a longer header", get("/livez", &line(17_000)), "431 headers_too_large"),
        ("an endless header", get("/livez", &line(100_000)), "431 bare"),
    ] {
        let told = told(&sent(&site, &request, false).await);
        // An answer can be lost with the connection when the site leaves something unread.
        let lost = what.starts_with("an endless") && told == "closed";
        assert!(told == expected || lost, "{what}: {told}");
    }
}

#[tokio::test]
async fn what_is_hardly_http_is_answered_or_closed() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let close = "host: test\r\nconnection: close\r\n";
    let post = |headers: &str, body: &str| {
        format!(
            "POST /v1/users HTTP/1.1\r\n{close}authorization: Bearer {}\r\nidempotency-key: k\r\n\
             content-type: application/json\r\n{headers}\r\n\r\n{body}",
            site.secret
        )
    };
    let before = db.traces().await;
    for (what, request, expected) in [
        ("version 1.0", "GET /livez HTTP/1.0\r\n\r\n".to_owned(), "200"),
        ("version 1.0 and no such path", "GET /nowhere HTTP/1.0\r\n\r\n".to_owned(), "404 route_unknown"),
        ("version 0.9", "GET /livez\r\n\r\n".to_owned(), "400 bare"),
        ("version 2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), "closed"),
        ("a method of no one's", format!("BREW /v1/users HTTP/1.1\r\n{close}\r\n"), "405 method_not_allowed"),
        ("a method for proxies", format!("CONNECT test:80 HTTP/1.1\r\n{close}\r\n"), "404 route_unknown"),
        ("everything", format!("OPTIONS * HTTP/1.1\r\n{close}\r\n"), "404 route_unknown"),
        ("an address of somebody else's", format!("GET http://elsewhere/livez HTTP/1.1\r\n{close}\r\n"), "200"),
        ("no method", format!(" /livez HTTP/1.1\r\n{close}\r\n"), "400 bare"),
        ("a method that is none", format!("G\u{0}T /livez HTTP/1.1\r\n{close}\r\n"), "400 bare"),
        ("a header that is none", format!("GET /livez HTTP/1.1\r\n{close}no colon\r\n\r\n"), "400 bare"),
        ("a header over two lines", format!("GET /livez HTTP/1.1\r\n{close}a: b\r\n c\r\n\r\n"), "400 bare"),
        ("TLS", "\u{16}\u{3}\u{1}\u{0}\u{5}hello\r\n\r\n".to_owned(), "400 bare"),
        ("two lengths", post("content-length: 2\r\ncontent-length: 3", "{}"), "400 bare"),
        ("a length below nothing", post("content-length: -1", "{}"), "400 bare"),
        ("a length of letters", post("content-length: two", "{}"), "400 bare"),
        ("an encoding of no one's", post("transfer-encoding: rot13", "{}"), "400 bare"),
        ("chunks that are none", post("transfer-encoding: chunked", "two\r\n{}\r\n0\r\n\r\n"), "400 body_incomplete"),
        ("too large a body that never comes", post("content-length: 99999999", ""), "413 body_too_large"),
    ] {
        assert_eq!(told(&sent(&site, request.as_bytes(), false).await), expected, "{what}");
    }
    let half = post("content-length: 100", "{");
    assert_eq!(told(&sent(&site, half.as_bytes(), true).await), "400 body_incomplete");
    assert_eq!(db.traces().await, before);
    // One byte less than was sent, and what is left is no request.
    let short = post("content-length: 1", "{}");
    assert_eq!(told(&sent(&site, short.as_bytes(), false).await), "400 json_malformed");
    assert_eq!(db.traces().await, before);
}

/// Whoever sends a head byte by byte, or nothing more, does not keep a connection.
#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let db = Db::new().await;
    let site = Site::limited(&db, Limits { head_within: Duration::from_millis(400), ..Limits::default() }).await;
    for part in ["", "G", "GET /livez HTTP/1.1\r\n", "GET /livez HTTP/1.1\r\nhost: test\r\nx-filler: "] {
        assert_eq!(told(&sent(&site, part.as_bytes(), false).await), "closed", "{part:?}");
    }
    let whole = "GET /livez HTTP/1.1\r\nhost: test\r\n\r\n";
    let answer = sent(&site, whole.as_bytes(), false).await;
    assert_eq!(told(&answer), "200", "it was answered, and then not kept for nothing");
    assert_eq!(site.post("/v1/users", &json!({})).answer().await.status, 202, "others are served all along");
}
