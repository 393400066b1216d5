use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::PrincipalId;
use sqlx::PgPool;
use tokio::time::Instant;

use crate::app::Api;
use crate::key::key_hash;
use crate::problem::Problem;

/// How long a key that was found good is not looked up again. A revocation takes effect within
/// this time, in every process.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// Keys that were found good a moment ago. Only good ones, so there are never more than exist.
#[derive(Debug, Default)]
pub(crate) struct KnownKeys(Mutex<HashMap<[u8; 32], (Key, Instant)>>);

/// Whose key it is and what it may do.
#[derive(Clone, Copy, Debug)]
struct Key {
    principal: PrincipalId,
    may_submit: bool,
    may_read: bool,
    may_operate: bool,
}

/// A caller whose key may submit: the principal, never anything that the payload says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Submitter(pub(crate) PrincipalId);

/// A caller whose key may read. Holdfast serves one exchange, so it may read everything.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader;

/// A caller whose key may operate: the person or service that is answerable for what they ask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Operator(pub(crate) PrincipalId);

/// Why a caller is turned away.
#[derive(Debug)]
pub(crate) enum TurnedAway {
    Unknown,
    Failed(Problem),
}

impl FromRequestParts<Api> for Submitter {
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, TurnedAway> {
        let key = key_of(api, &parts.headers).await?;
        if key.may_submit { Ok(Self(key.principal)) } else { Err(TurnedAway::lacks("submit")) }
    }
}

impl FromRequestParts<Api> for Reader {
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, TurnedAway> {
        let key = key_of(api, &parts.headers).await?;
        if key.may_read { Ok(Self) } else { Err(TurnedAway::lacks("read")) }
    }
}

impl FromRequestParts<Api> for Operator {
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, TurnedAway> {
        let key = key_of(api, &parts.headers).await?;
        if key.may_operate { Ok(Self(key.principal)) } else { Err(TurnedAway::lacks("operate")) }
    }
}

impl TurnedAway {
    fn lacks(scope: &str) -> Self {
        Self::Failed(Problem::new(
            StatusCode::FORBIDDEN,
            "scope_missing",
            "The key may not do this",
            format!("The key lacks the scope {scope}"),
        ))
    }
}

impl IntoResponse for TurnedAway {
    fn into_response(self) -> Response {
        match self {
            Self::Failed(problem) => problem.into_response(),
            Self::Unknown => {
                let problem = Problem::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthenticated",
                    "No valid key",
                    "Send Authorization: Bearer and a key that is neither expired nor revoked",
                );
                let mut response = problem.into_response();
                response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
                response
            }
        }
    }
}

async fn key_of(api: &Api, headers: &HeaderMap) -> Result<Key, TurnedAway> {
    let secret = bearer(headers).ok_or(TurnedAway::Unknown)?;
    let hash = key_hash(secret);
    if let Some(key) = api.keys.get(&hash) {
        return Ok(key);
    }
    // Taken before the look-up: the answer is as old as the question.
    let asked = Instant::now();
    match look_up(&api.pool, &hash).await {
        Ok(Some(key)) => {
            api.keys.put(hash, key, asked);
            Ok(key)
        }
        Ok(None) => Err(TurnedAway::Unknown),
        Err(error) => Err(TurnedAway::Failed(Problem::database(&error))),
    }
}

/// The secret of a request that carries exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut given = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (given.next(), given.next()) else {
        return None;
    };
    let (scheme, secret) = value.to_str().ok()?.split_once(' ')?;
    let secret = secret.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !secret.is_empty()).then_some(secret)
}

async fn look_up(pool: &PgPool, hash: &[u8; 32]) -> Result<Option<Key>, sqlx::Error> {
    let row = sqlx::query!(
        "
        select principal_id, scopes from api_key
        where secret_hash = $1 and revoked_at is null and (expires_at is null or expires_at > (select clock()))
        ",
        hash.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(|row| Key::new(PrincipalId(row.principal_id), &row.scopes)))
}

impl Key {
    /// `admin` implies every scope, `operate` implies `read`.
    fn new(principal: PrincipalId, scopes: &[String]) -> Self {
        let has = |any: &[&str]| scopes.iter().any(|scope| any.contains(&scope.as_str()));
        Self {
            principal,
            may_submit: has(&["submit", "admin"]),
            may_read: has(&["read", "operate", "admin"]),
            may_operate: has(&["operate", "admin"]),
        }
    }
}

impl KnownKeys {
    fn get(&self, hash: &[u8; 32]) -> Option<Key> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).filter(|(_, since)| since.elapsed() < TRUSTED_FOR).map(|(key, _)| *key)
    }

    fn put(&self, hash: [u8; 32], key: Key, since: Instant) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (_, since)| since.elapsed() < TRUSTED_FOR);
        known.insert(hash, (key, since));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::http::{HeaderMap, header};
    use jobs::PrincipalId;

    use super::{Key, bearer};

    #[test]
    fn a_secret_comes_once_and_as_a_bearer() {
        let secret = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::AUTHORIZATION, line.parse().unwrap());
            }
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(secret(&["Bearer abc"]).as_deref(), Some("abc"));
        assert_eq!(secret(&["bearer  abc"]).as_deref(), Some("abc"));
        assert_eq!(secret(&["Basic abc"]), None);
        assert_eq!(secret(&["Bearer "]), None);
        assert_eq!(secret(&["Bearer a", "Bearer a"]), None);
        assert_eq!(secret(&[]), None);
    }

    #[test]
    fn scopes_imply_one_another() {
        let may = |scope: &str| {
            let key = Key::new(PrincipalId(100), &[scope.to_owned()]);
            (key.may_submit, key.may_read, key.may_operate)
        };
        assert_eq!(may("submit"), (true, false, false));
        assert_eq!(may("read"), (false, true, false));
        assert_eq!(may("operate"), (false, true, true));
        assert_eq!(may("admin"), (true, true, true));
    }
}
