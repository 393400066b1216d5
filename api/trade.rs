use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jobs::{AnyJob, Kind, LockEscrow, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::answers::{Submitted, TradeUnknown};
use crate::app::Api;
use crate::auth::Submitter;
use crate::body::{BODY_BYTES_MAX, read_json};
use crate::headers::idempotency_key;
use crate::job::id_in_path;
use crate::params::Asking;
use crate::problem::Problem;
use crate::shape;
use crate::submit::submit;

/// Open a trade
///
/// Sets the amount aside in the seller's wallet. The trade's id is the id of the job.
#[utoipa::path(
    post, path = "/v1/trades", tag = "trades", security(("key" = ["submit"])),
    params(Asking), request_body = LockEscrow, responses(Submitted),
)]
pub(crate) async fn post_trade(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let text = read_json(&headers, body, BODY_BYTES_MAX, api.body_within).await?;
    let payload = shape::read(&text, serde_json::from_str)?;
    submit(&api, submitter, key, &headers, AnyJob::LockEscrow(payload)).await
}

/// What is done to a trade, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TradeAction)]
struct Action {
    /// The person who does it.
    user_id: UserId,
}

/// By how much the deadline is put off, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TradeExtension)]
struct Extension {
    /// The seller.
    user_id: UserId,
    /// By how much; 60 at most unless the exchange's rules say otherwise.
    #[schema(minimum = 1, maximum = 10080)]
    minutes: u16,
}

/// Say that the trade is paid
///
/// The buyer may, until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/mark-paid", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_mark_paid(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Action { user_id }| {
        AnyJob::TradeEvent(TradeEvent { trade_id, event: TradeEventName::MarkPaid, user_id, minutes: None })
    })
    .await
}

/// Take a mark-paid back
///
/// The buyer may, once and until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/undo", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_undo(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Action { user_id }| {
        AnyJob::TradeEvent(TradeEvent { trade_id, event: TradeEventName::Undo, user_id, minutes: None })
    })
    .await
}

/// Give the buyer more time
///
/// The seller may, once and until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/extend", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Extension, example = json!({ "user_id": "1", "minutes": 30 })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_extend(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Extension { user_id, minutes }| {
        AnyJob::TradeEvent(TradeEvent { trade_id, event: TradeEventName::Extend, user_id, minutes: Some(minutes) })
    })
    .await
}

/// Call the trade off
///
/// The buyer may; the refund that follows gives the money back to the seller.
#[utoipa::path(
    post, path = "/v1/trades/{id}/cancel", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_cancel(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Action { user_id }| {
        AnyJob::TradeEvent(TradeEvent { trade_id, event: TradeEventName::Cancel, user_id, minutes: None })
    })
    .await
}

/// Release the money to the buyer
///
/// The seller may. The fees of maker and taker come out of the amount.
#[utoipa::path(
    post, path = "/v1/trades/{id}/release", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "1" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_release(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Action { user_id }| {
        AnyJob::Release(Release { trade_id, user_id })
    })
    .await
}

/// Give the trade up
///
/// The buyer may; the money goes back to the seller.
#[utoipa::path(
    post, path = "/v1/trades/{id}/refund", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_refund(
    submitter: Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    act(&api, submitter, &id, &headers, body, |trade_id, Action { user_id }| {
        AnyJob::Refund(Refund { trade_id, user_id: Some(user_id) })
    })
    .await
}

async fn act<A: DeserializeOwned>(
    api: &Api,
    Submitter(submitter): Submitter,
    id: &str,
    headers: &HeaderMap,
    body: Body,
    job: fn(TradeId, A) -> AnyJob,
) -> Result<Response, Problem> {
    let key = idempotency_key(headers)?;
    let id: TradeId = id_in_path(id, "trade_unknown")?;
    let text = read_json(headers, body, BODY_BYTES_MAX, api.body_within).await?;
    let action: A = shape::read(&text, serde_json::from_str)?;
    if known_trades(&api.pool, &[id.0]).await.map_err(|error| Problem::database(&error))?.is_empty() {
        return Err(unknown());
    }
    submit(api, submitter, key, headers, job(id, action)).await
}

/// Those of the ids that name a trade, be it open, over or still to be opened: the ids of
/// lock-escrow jobs.
pub(crate) async fn known_trades(pool: &PgPool, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(Vec::new());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    sqlx::query_scalar!(
        "select id from job where id = any ($1) and id between $3 and $4 and kind = $2",
        ids,
        LockEscrow::NAME,
        first,
        last,
    )
    .fetch_all(pool)
    .await
}

/// 404 for an id that names no trade.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("trade_unknown", "No such trade")
}
