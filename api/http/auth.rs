use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::PrincipalId;
use sqlx::PgPool;
use tokio::time::Instant;

use crate::http::key::key_hash;
use crate::http::peer::Peer;
use crate::http::problem::Problem;
use crate::http::rate::Rates;

/// How long a key that was found good is not looked up again. A revocation takes effect within
/// this time, in every process.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// What decides who is let in: the keys in the database, those that were found good, and the rates.
#[derive(Clone, Debug)]
pub(crate) struct Access {
    pool: PgPool,
    known: Arc<KnownKeys>,
    pub(crate) rates: Arc<Rates>,
}

/// Keys that were found good, and when. Only good ones, so there are never more than exist.
#[derive(Debug, Default)]
struct KnownKeys(Mutex<HashMap<[u8; 32], (Key, Instant)>>);

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

/// Anybody, who asks for what needs no key, at the rate that their address has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visitor;

/// Why a caller is turned away.
#[derive(Debug)]
pub(crate) enum TurnedAway {
    NotLetIn(NotGood),
    Failed(Problem),
}

/// Why a secret opens nothing. That a key has ended is told only to who has its secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotGood {
    Unknown,
    Expired,
    Revoked,
}

impl Access {
    pub(crate) fn new(pool: PgPool, rates: Rates) -> Self {
        Self { pool, known: Arc::default(), rates: Arc::new(rates) }
    }
}

impl<S: Sync> FromRequestParts<S> for Submitter
where
    Access: FromRef<S>,
{
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, TurnedAway> {
        let key = key_of(&Access::from_ref(state), parts).await?;
        if key.may_submit { Ok(Self(key.principal)) } else { Err(TurnedAway::lacks("submit")) }
    }
}

impl<S: Sync> FromRequestParts<S> for Reader
where
    Access: FromRef<S>,
{
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, TurnedAway> {
        let key = key_of(&Access::from_ref(state), parts).await?;
        if key.may_read { Ok(Self) } else { Err(TurnedAway::lacks("read")) }
    }
}

impl<S: Sync> FromRequestParts<S> for Operator
where
    Access: FromRef<S>,
{
    type Rejection = TurnedAway;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, TurnedAway> {
        let key = key_of(&Access::from_ref(state), parts).await?;
        if key.may_operate { Ok(Self(key.principal)) } else { Err(TurnedAway::lacks("operate")) }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor
where
    Access: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        Access::from_ref(state).rates.visitor(Peer::of(&parts.extensions)).map(|()| Self)
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
            Self::NotLetIn(why) => {
                let (code, title, detail) = match why {
                    NotGood::Unknown => (
                        "unauthenticated",
                        "No valid key",
                        "Send Authorization: Bearer and a key that Holdfast gave out",
                    ),
                    NotGood::Expired => ("key_expired", "The key has expired", "Ask the operator for a new key"),
                    NotGood::Revoked => ("key_revoked", "The key was revoked", "Ask the operator for a new key"),
                };
                Problem::new(StatusCode::UNAUTHORIZED, code, title, detail)
                    .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
                    .into_response()
            }
        }
    }
}

/// The key of a request, which has had its share of what the key's principal may ask for. Who has
/// no good key has a share by address, so that guessing cannot keep the database busy.
async fn key_of(access: &Access, parts: &Parts) -> Result<Key, TurnedAway> {
    let peer = Peer::of(&parts.extensions);
    let Some(secret) = bearer(&parts.headers) else {
        access.rates.visitor(peer).map_err(TurnedAway::Failed)?;
        return Err(TurnedAway::NotLetIn(NotGood::Unknown));
    };
    let hash = key_hash(secret);
    let known = access.known.get(&hash);
    let key = match known {
        Some((key, since)) if since.elapsed() < TRUSTED_FOR => key,
        Some(_) | None => {
            if known.is_none() {
                access.rates.visitor(peer).map_err(TurnedAway::Failed)?;
            }
            look_up_again(access, hash).await?
        }
    };
    access.rates.request(key.principal).map_err(TurnedAway::Failed)?;
    Ok(key.logged())
}

async fn look_up_again(access: &Access, hash: [u8; 32]) -> Result<Key, TurnedAway> {
    // Taken before the look-up: the answer is as old as the question.
    let asked = Instant::now();
    let found = look_up(&access.pool, &hash).await.map_err(|error| TurnedAway::Failed(error.into()))?;
    match found {
        Ok(key) => {
            access.known.put(hash, key, asked);
            Ok(key)
        }
        Err(why) => {
            access.known.forget(&hash);
            Err(TurnedAway::NotLetIn(why))
        }
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

async fn look_up(pool: &PgPool, hash: &[u8; 32]) -> Result<Result<Key, NotGood>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select principal_id, scopes, revoked_at is not null as "revoked!",
            coalesce(expires_at <= (select clock()), false) as "expired!"
        from api_key where secret_hash = $1
        "#,
        hash.as_slice(),
    )
    .fetch_optional(pool)
    .await?;
    Ok(match row {
        None => Err(NotGood::Unknown),
        Some(row) if row.revoked => Err(NotGood::Revoked),
        Some(row) if row.expired => Err(NotGood::Expired),
        Some(row) => Ok(Key::new(PrincipalId(row.principal_id), &row.scopes)),
    })
}

impl Key {
    /// Every line of the request's log says from here on who asks.
    fn logged(self) -> Self {
        tracing::Span::current().record("principal", self.principal.0);
        self
    }

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
    fn known(&self) -> MutexGuard<'_, HashMap<[u8; 32], (Key, Instant)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key as it was last looked up, and when.
    fn get(&self, hash: &[u8; 32]) -> Option<(Key, Instant)> {
        self.known().get(hash).copied()
    }

    fn put(&self, hash: [u8; 32], key: Key, since: Instant) {
        self.known().insert(hash, (key, since));
    }

    fn forget(&self, hash: &[u8; 32]) {
        self.known().remove(hash);
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
