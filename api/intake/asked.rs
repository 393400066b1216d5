//! What a POST asks for: a body that says it, and headers that say how.

use std::time::Duration;

use axum::extract::{FromRef, FromRequest, Request};
use axum::http::HeaderMap;
use serde::de::DeserializeOwned;
use sqlx::PgPool;

use crate::http::body::{BODY_BYTES_MAX, read_json};
use crate::http::headers::{Wait, idempotency_key, prefer_wait, trace_parent};
use crate::http::path::Thing;
use crate::http::problem::Problem;
use crate::intake::shape;

/// How long a body may take to arrive.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BodyWithin(pub(crate) Duration);

/// How one job is asked for.
#[derive(Debug)]
pub(crate) struct How {
    pub(crate) key: String,
    pub(crate) trace_parent: Option<String>,
    pub(crate) wait: Option<Wait>,
}

impl How {
    /// # Errors
    /// 400: there is no idempotency key, or none that can be one.
    pub(crate) fn read(headers: &HeaderMap) -> Result<Self, Problem> {
        Ok(Self { key: idempotency_key(headers)?, trace_parent: trace_parent(headers), wait: prefer_wait(headers) })
    }
}

/// What is asked by a POST for one job: a body that says it, and headers that say how.
#[derive(Debug)]
pub(crate) struct Asked<T> {
    pub(crate) body: T,
    pub(crate) how: How,
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Asked<T>
where
    BodyWithin: FromRef<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let headers = &parts.headers;
        let how = How::read(headers)?;
        let BodyWithin(within) = BodyWithin::from_ref(state);
        let text = read_json(headers, body, BODY_BYTES_MAX, within).await?;
        let body = shape::read(&text, serde_json::from_str)?;
        Ok(Self { body, how })
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
