//! Bad input: what each piece is refused with, and that none leaves a trace.

use super::{by, trade_of};
use crate::harness::{Db, Site};

const GOOD: &str = r#"{"seller_id":"1","buyer_id":"2","asset":"btc","amount":"0.5","maker":"seller"}"#;

/// The good body with one thing replaced.
fn but(from: &str, to: &str) -> String {
    assert_eq!(GOOD.matches(from).count(), 1, "{from}");
    GOOD.replacen(from, to, 1)
}

/// The good body with another amount, which is written as it stands.
fn amount(token: &str) -> String {
    but(r#""0.5""#, token)
}

fn amounts() -> Vec<(String, &'static str)> {
    let nines = "9".repeat(29);
    let fine = format!("0.{}", "1".repeat(29));
    let endless = "1".repeat(30_000);
    let texts = [
        ("0", "422 amount_zero amount"),
        ("0.00", "422 amount_zero amount"),
        ("0.000000000", "422 amount_zero amount"),
        ("-0.5", "422 amount_negative amount"),
        ("-0", "422 amount_negative amount"),
        ("0.000000001", "422 amount_too_fine amount"),
        ("0.500000001", "422 amount_too_fine amount"),
        (&fine, "422 amount_too_fine amount"),
        (&nines, "422 amount_out_of_range amount"),
        ("792281625142643375935.43950336", "422 amount_out_of_range amount"),
        (&endless, "422 amount_out_of_range amount"),
        ("1e400", "422 amount_malformed amount"),
        ("1e-1", "422 amount_malformed amount"),
        ("NaN", "422 amount_malformed amount"),
        ("Infinity", "422 amount_malformed amount"),
        ("", "422 amount_malformed amount"),
        (" 1", "422 amount_malformed amount"),
        ("1 ", "422 amount_malformed amount"),
        ("+1", "422 amount_malformed amount"),
        ("--1", "422 amount_malformed amount"),
        (".5", "422 amount_malformed amount"),
        ("1.", "422 amount_malformed amount"),
        ("01", "422 amount_malformed amount"),
        ("1,5", "422 amount_malformed amount"),
        ("1_000", "422 amount_malformed amount"),
        ("0x1", "422 amount_malformed amount"),
        ("1.2.3", "422 amount_malformed amount"),
        ("\u{ff11}", "422 amount_malformed amount"),
    ];
    texts.into_iter().map(|(text, refusal)| (amount(&format!("\"{text}\"")), refusal)).collect()
}

fn tokens() -> Vec<(String, &'static str)> {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    vec![
        (amount("0.5"), "422 payload_invalid amount"),
        (amount("1"), "422 payload_invalid amount"),
        (amount("-1"), "422 payload_invalid amount"),
        (amount(&"9".repeat(60)), "422 payload_invalid amount"),
        (amount("null"), "422 payload_invalid amount"),
        (amount("true"), "422 payload_invalid amount"),
        (amount(r#"["0.5"]"#), "422 payload_invalid amount"),
        (amount(r#"{"value":"0.5"}"#), "422 payload_invalid amount"),
        (amount("1e400"), "422 text_not_storable"),
        (amount(&deep(1_000)), "422 text_not_storable"),
        (amount(&deep(30_000)), "422 text_not_storable"),
        (amount(&"[".repeat(30_000)), "400 json_malformed"),
        (amount("NaN"), "400 json_malformed"),
        (amount("-Infinity"), "400 json_malformed"),
        (amount("01"), "400 json_malformed"),
        (amount(".5"), "400 json_malformed"),
        (amount("'0.5'"), "400 json_malformed"),
    ]
}

fn texts() -> Vec<(String, &'static str)> {
    vec![
        (but("btc", "xmr"), "422 asset_unknown asset"),
        (but("btc", "BTC"), "422 asset_unknown asset"),
        (but("btc", ""), "422 asset_unknown asset"),
        (but("btc", "b'tc"), "422 asset_unknown asset"),
        (but("btc", r"\u0000"), "422 text_not_storable"),
        (but("btc", r"btc\u0000"), "422 text_not_storable"),
        (but("btc", r"\ud800"), "422 text_not_storable"),
        (but("btc", r"\udc00\ud800"), "422 text_not_storable"),
        (but("btc", "\0"), "400 json_malformed"),
        (but("btc", r"\x00"), "400 json_malformed"),
        (but(r#""2""#, r#""1""#), "422 self_trade buyer_id"),
        (but(r#""1""#, "1"), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""0""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""01""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""-1""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#"" 1""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""1.0""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""9223372036854775808""#), "422 payload_invalid seller_id"),
        (but(r#""1""#, r#""\u0000""#), "422 payload_invalid seller_id"),
        (but(r#""seller"}"#, r#""nobody"}"#), "422 payload_invalid maker"),
        (but(r#""seller"}"#, r#""Seller"}"#), "422 payload_invalid maker"),
    ]
}

fn shapes() -> Vec<(String, &'static str)> {
    let whole = |text: &str| text.to_owned();
    vec![
        (but("{", r#"{"price":"7","#), "422 payload_invalid price"),
        (but("{", r#"{"asset":"btc","#), "422 payload_invalid asset"),
        (but("{", r#"{"":"","#), "422 payload_invalid"),
        (but("{", r#"{"\u0000":"","#), "422 payload_invalid \0"),
        (but(r#","maker":"seller""#, ""), "422 payload_invalid maker"),
        (but("amount", "Amount"), "422 payload_invalid Amount"),
        (whole("{}"), "422 payload_invalid seller_id"),
        (whole("[]"), "422 payload_invalid"),
        (format!("[{GOOD}]"), "422 payload_invalid"),
        (whole(r#"["1","2","btc","0.5","seller"]"#), "422 payload_invalid"),
        (whole("null"), "422 payload_invalid"),
        (whole("7"), "422 payload_invalid"),
        (whole(r#""text""#), "422 payload_invalid"),
        ("[".repeat(60_000), "400 json_malformed"),
        (format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)), "422 payload_invalid"),
        (format!(r#"{}7{}"#, r#"{"a":"#.repeat(9_000), "}".repeat(9_000)), "422 text_not_storable"),
        (whole(""), "400 json_malformed"),
        (whole("   "), "400 json_malformed"),
        (whole("{"), "400 json_malformed"),
        (whole("nonsense"), "400 json_malformed"),
        (format!("{GOOD}{GOOD}"), "400 json_malformed"),
        (format!("{GOOD},"), "400 json_malformed"),
        (format!("\u{feff}{GOOD}"), "400 json_malformed"),
        (GOOD.replace('"', "'"), "400 json_malformed"),
        (but("}", ",}"), "400 json_malformed"),
        (but("}", "/* */}"), "400 json_malformed"),
    ]
}

#[tokio::test]
async fn a_trade_that_cannot_be_asked_for_leaves_no_trace() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let before = db.traces().await;
    for (body, refusal) in [amounts(), tokens(), texts(), shapes()].concat() {
        let answer = site.post_text("/v1/trades", &body).wait(5).answer().await;
        let shown: String = body.chars().take(200).collect();
        assert_eq!(answer.refusal(), refusal, "{shown}: {answer:?}");
        assert_eq!((answer.header("location"), answer.header("preference-applied")), (None, None), "{shown}");
    }
    assert_eq!(db.traces().await, before);
    // The body that all of these are made of is good, and so are the ends of the range.
    let ends = ["0.5", "0.00000001", "792281625142643375935.43950335", "0.50000000000000000000000000000000000000"];
    for good in ends.map(|text| amount(&format!("\"{text}\""))) {
        assert_eq!(site.post_text("/v1/trades", &good).answer().await.status, 202, "{good}");
    }
    let number = site.post_text("/v1/trades", &amount("0.5")).answer().await;
    assert!(number.body["detail"].as_str().unwrap().contains("must be a string, not a number"), "{number:?}");
}

#[tokio::test]
async fn every_other_body_is_read_as_strictly() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let trade = site.post_text("/v1/trades", GOOD).answer().await.job();
    let before = db.traces().await;
    let actions = [
        ("", "400 json_malformed"),
        ("[]", "422 payload_invalid"),
        ("{}", "422 payload_invalid user_id"),
        (r#"{"user_id":1}"#, "422 payload_invalid user_id"),
        (r#"{"user_id":"x"}"#, "422 payload_invalid user_id"),
        (r#"{"user_id":"\u0000"}"#, "422 payload_invalid user_id"),
        (r#"{"user_id":null}"#, "422 payload_invalid user_id"),
        (r#"{"user_id":"1","trade_id":"7"}"#, "422 payload_invalid trade_id"),
        (r#"{"user_id":"1","event":"release"}"#, "422 payload_invalid event"),
    ];
    for action in ["mark-paid", "release", "refund"] {
        for (body, refusal) in actions {
            let answer = site.post_text(&format!("/v1/trades/{trade}/{action}"), body).answer().await;
            assert_eq!(answer.refusal(), refusal, "{action} {body}");
        }
        let user = site.post_text("/v1/users", "{}").answer().await.job().to_string();
        for nobody in ["0", "-1", "07", "x", "1.0", "%00", "999999", "9223372036854775808", &user] {
            let answer = site.post(&format!("/v1/trades/{nobody}/{action}"), &by(1)).answer().await;
            assert_eq!(answer.refusal(), "404 trade_unknown", "{action} {nobody}");
        }
    }
    for (body, refusal) in [
        ("", "400 json_malformed"),
        ("[]", "422 payload_invalid"),
        (r#"{"referrer_id":1}"#, "422 payload_invalid referrer_id"),
        (r#"{"referrer_id":"0"}"#, "422 payload_invalid referrer_id"),
        (r#"{"name":"x"}"#, "422 payload_invalid name"),
        (r#"{"id":"7"}"#, "422 payload_invalid id"),
    ] {
        assert_eq!(site.post_text("/v1/users", body).answer().await.refusal(), refusal, "{body}");
    }
    let after = db.traces().await;
    assert_eq!((after.requests, after.jobs, after.queued), (before.requests + 3, before.jobs + 3, before.queued + 3));
}

#[tokio::test]
async fn a_body_is_json_and_not_too_large() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let before = db.traces().await;
    for content_type in
        ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp", "text/json", "json"]
    {
        let answer = site.post_text("/v1/trades", "").body(content_type, GOOD).answer().await;
        assert_eq!(answer.refusal(), "415 content_type_unsupported", "{content_type:?}");
    }
    let not_utf8 = [GOOD.as_bytes(), b"\xff"].concat();
    let answer = site.post_text("/v1/trades", "").body("application/json", not_utf8).answer().await;
    assert_eq!(answer.refusal(), "400 json_malformed");
    let padded = |length: usize| format!("{GOOD}{}", " ".repeat(length - GOOD.len()));
    for length in [64 * 1024 + 1, 10 * 1024 * 1024] {
        let announced = site.post_text("/v1/trades", &padded(length)).answer().await;
        assert_eq!(announced.refusal(), "413 body_too_large", "{length}");
        let chunks = padded(length).into_bytes().chunks(8 * 1024).map(|chunk| Ok(chunk.to_vec())).collect::<Vec<_>>();
        let stream = futures_util::stream::iter(chunks.into_iter().map(|chunk: Result<_, std::io::Error>| chunk));
        let chunked = site.post_text("/v1/trades", "").body("application/json", reqwest::Body::wrap_stream(stream));
        assert_eq!(chunked.answer().await.refusal(), "413 body_too_large", "{length} in chunks");
    }
    assert_eq!(db.traces().await, before);
    let largest = site.post_text("/v1/trades", &padded(64 * 1024)).answer().await;
    assert_eq!(largest.status, 202, "{largest:?}");
    for content_type in ["application/json; charset=utf-8", "Application/JSON"] {
        let body = trade_of(1, 2, "btc", "0.5").to_string();
        let answer = site.post_text("/v1/trades", "").body(content_type, body).answer().await;
        assert_eq!(answer.status, 202, "{content_type}");
    }
}
