use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use rand::Rng;

/// The header that carries the id, both ways.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What names a request in logs, in problem documents and to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// The client's id if it is 1 to 64 of `A-Za-z0-9._-`, so that it is safe in any log; ours
    /// otherwise, 128 random bits.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        match headers.get(X_REQUEST_ID).and_then(|value| value.to_str().ok()) {
            Some(id) if is_plain(id) => Self(id.to_owned()),
            Some(_) | None => Self::random(),
        }
    }

    fn random() -> Self {
        let mut bits = [0_u8; 16];
        rand::rng().fill_bytes(&mut bits);
        Self(hex::encode(bits))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// As a header; every id is made of characters that a header may have.
    pub(crate) fn header(&self) -> HeaderValue {
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("unprintable"))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn is_plain(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::http::{HeaderMap, HeaderValue};

    use super::{RequestId, X_REQUEST_ID};

    fn id_of(sent: &str) -> RequestId {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, HeaderValue::from_str(sent).unwrap());
        RequestId::of(&headers)
    }

    #[test]
    fn a_plain_id_is_kept_and_any_other_replaced() {
        assert_eq!(id_of("abc-1.2_Z").as_str(), "abc-1.2_Z");
        for bad in ["", "a b", "a\"b", "ä", &"x".repeat(65)] {
            let id = id_of(bad);
            assert_ne!(id.as_str(), bad);
            assert_eq!(id.as_str().len(), 32);
        }
    }
}
