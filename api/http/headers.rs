use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, header};

use crate::http::problem::Problem;

pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
pub(crate) const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");
const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// The longest key, in bytes.
const KEY_BYTES_MAX: usize = 255;
/// The longest wait for an outcome, in seconds. A client that prefers a longer one is told, by
/// `Preference-Applied`, that it gets this one.
const WAIT_MAX_S: u32 = 30;

/// Whether a text may be a client's key: 1 to 255 printable ASCII characters.
pub(crate) fn is_key(text: &str) -> bool {
    (1..=KEY_BYTES_MAX).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// The refusal of a key that is none.
pub(crate) fn malformed_key() -> Problem {
    Problem::bad_request("idempotency_key_malformed", "A key is 1 to 255 printable ASCII characters, given once")
}

/// The client's key for what it asks.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
    match (given.next(), given.next()) {
        (None, _) => Err(Problem::bad_request(
            "idempotency_key_missing",
            "Every POST needs an Idempotency-Key header: a text of your own that names this request for ever",
        )),
        (Some(key), None) => match key.to_str() {
            Ok(key) if is_key(key) => Ok(key.to_owned()),
            Ok(_) | Err(_) => Err(malformed_key()),
        },
        (Some(_), Some(_)) => Err(malformed_key()),
    }
}

/// How long the client prefers to wait for the outcome (RFC 7240): `wait=` and whole seconds.
/// What it does not mean that way is ignored, as the RFC has it, and so is not applied.
pub(crate) fn prefer_wait(headers: &HeaderMap) -> Option<Wait> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut waits = preferences.flat_map(|line| line.split(',')).filter_map(|preference| {
        // Parameters after a semicolon would qualify the preference; wait has none.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let seconds = waits.next()?;
    if seconds.is_empty() || !seconds.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(Wait { seconds: seconds.parse().map_or(WAIT_MAX_S, |seconds: u32| seconds.min(WAIT_MAX_S)) })
}

/// A wait for an outcome, 0 to 30 whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wait {
    pub(crate) seconds: u32,
}

impl Wait {
    pub(crate) fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.seconds))
    }
}

/// The W3C trace context, if it is one of version 00.
pub(crate) fn trace_parent(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, parent, flags] = parts.as_slice() else {
        return None;
    };
    let hex = |part: &str, length: usize| {
        part.len() == length && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |part: &str| part.bytes().any(|byte| byte != b'0');
    (*version == "00" && hex(trace, 32) && set(trace) && hex(parent, 16) && set(parent) && hex(flags, 2))
        .then(|| text.to_owned())
}

/// Whether the body claims to be JSON.
pub(crate) fn is_json(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|text| text.split(';').next()).map(str::trim);
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::http::{HeaderMap, HeaderName, HeaderValue};

    use super::{Wait, idempotency_key, is_json, prefer_wait, trace_parent};

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    #[test]
    fn a_key_is_printable_ascii_and_given_once() {
        let code = |lines: &[(&'static str, &str)]| idempotency_key(&headers(lines)).map_err(|problem| problem.code());
        let longest = "k".repeat(255);
        assert_eq!(code(&[]), Err("idempotency_key_missing"));
        assert_eq!(code(&[("idempotency-key", "pay 7/ä")]), Err("idempotency_key_malformed"));
        assert_eq!(code(&[("idempotency-key", "")]), Err("idempotency_key_malformed"));
        assert_eq!(code(&[("idempotency-key", "a\tb")]), Err("idempotency_key_malformed"));
        assert_eq!(code(&[("idempotency-key", &"k".repeat(256))]), Err("idempotency_key_malformed"));
        assert_eq!(code(&[("idempotency-key", "a"), ("idempotency-key", "a")]), Err("idempotency_key_malformed"));
        assert_eq!(code(&[("idempotency-key", &longest)]), Ok(longest.clone()));
    }

    #[test]
    fn a_wait_is_whole_seconds_and_at_most_thirty() {
        let wait = |lines: &[(&'static str, &str)]| prefer_wait(&headers(lines)).map(|Wait { seconds }| seconds);
        assert_eq!(wait(&[("prefer", "wait=5")]), Some(5));
        assert_eq!(wait(&[("prefer", "respond-async, Wait = 0")]), Some(0));
        assert_eq!(wait(&[("prefer", "respond-async"), ("prefer", "wait=\"7\"")]), Some(7));
        assert_eq!(wait(&[("prefer", "wait=31")]), Some(30));
        assert_eq!(wait(&[("prefer", "wait=99999999999999999999")]), Some(30));
        for ignored in ["wait", "wait=", "wait=1.5", "wait=-1", "wait=+1", "wait=x", "waits=3"] {
            assert_eq!(wait(&[("prefer", ignored)]), None, "{ignored}");
        }
    }

    #[test]
    fn a_trace_context_is_taken_whole_or_not_at_all() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(trace_parent(&headers(&[("traceparent", good)])).as_deref(), Some(good));
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(trace_parent(&headers(&[("traceparent", bad)])), None, "{bad}");
        }
    }

    #[test]
    fn only_json_is_json() {
        assert!(is_json(&headers(&[("content-type", "Application/JSON; charset=utf-8")])));
        assert!(!is_json(&headers(&[("content-type", "text/json")])));
        assert!(!is_json(&headers(&[])));
    }
}
