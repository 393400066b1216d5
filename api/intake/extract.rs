//! What handlers take out of a request: what its path names, what it wants of a list, and the job
//! that it asks for.

use std::str::FromStr;

use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use jobs::{JobRef, Kind, LockEscrow, TradeId, UserId, UserRegister, WithdrawalId, WithdrawalRequest};
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use crate::app::Api;
use crate::http::body::{BODY_BYTES_MAX, read_json};
use crate::http::problem::Problem;
use crate::intake::shape;
use crate::intake::submit::How;

/// Something that a path can name. Its id is the id of the job that brought it into being.
pub(crate) trait Thing: FromStr + Send {
    /// The kind of that job; none where any will do.
    const OPENED_BY: Option<&'static str>;
    const UNKNOWN: &'static str;
    const UNKNOWN_DETAIL: &'static str;

    fn job_id(&self) -> i64;

    /// 404.
    fn unknown() -> Problem {
        Problem::not_found(Self::UNKNOWN, Self::UNKNOWN_DETAIL)
    }
}

impl Thing for JobRef {
    const OPENED_BY: Option<&'static str> = None;
    const UNKNOWN: &'static str = "job_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such job";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for TradeId {
    const OPENED_BY: Option<&'static str> = Some(LockEscrow::NAME);
    const UNKNOWN: &'static str = "trade_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such trade";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for WithdrawalId {
    const OPENED_BY: Option<&'static str> = Some(WithdrawalRequest::NAME);
    const UNKNOWN: &'static str = "withdrawal_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such withdrawal";

    fn job_id(&self) -> i64 {
        self.0
    }
}

impl Thing for UserId {
    const OPENED_BY: Option<&'static str> = Some(UserRegister::NAME);
    const UNKNOWN: &'static str = "user_unknown";
    const UNKNOWN_DETAIL: &'static str = "No such user is registered; a registration counts once it has settled";

    fn job_id(&self) -> i64 {
        self.0
    }
}

/// 404 unless the thing is there or was asked for: a job about it may be on its way before it has
/// settled.
pub(crate) async fn require_asked_for<T: Thing>(pool: &PgPool, thing: &T) -> Result<(), Problem> {
    let known = sqlx::query_scalar!(
        r#"select exists (select from job where id = $1 and ($2::text is null or kind = $2)) as "known!""#,
        thing.job_id(),
        T::OPENED_BY,
    );
    if known.fetch_one(pool).await? { Ok(()) } else { Err(T::unknown()) }
}

/// The thing that the path names by its `{id}`; 404 for what is not spelled as an id, which names
/// nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InPath<T>(pub(crate) T);

impl<T: Thing> FromRequestParts<Api> for InPath<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| T::unknown())?;
        text.parse().map(Self).map_err(|_| T::unknown())
    }
}

/// What the query says; 400 for one that says anything else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<Api> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, api).await {
            Ok(Query(wanted)) => Ok(Self(wanted)),
            Err(error) => Err(Problem::bad_request("query_invalid", error.body_text())),
        }
    }
}

/// What is asked by a POST for one job: a body that says it, and headers that say how.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    pub(crate) body: T,
    pub(crate) how: How,
}

impl<T: DeserializeOwned> FromRequest<Api> for Asked<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, api: &Api) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let how = How::read(headers)?;
        let text = read_json(headers, body, BODY_BYTES_MAX, api.body_within).await?;
        let body = shape::read(&text, serde_json::from_str)?;
        Ok(Self { body, how })
    }
}
