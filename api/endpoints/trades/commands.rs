use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, LockEscrow, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::auth::Submitter;
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::intake::asked::Asked;
use crate::intake::submit::{submit, submit_about};
use crate::openapi::answers::{Submitted, TradeUnknown};
use crate::openapi::params::Asking;
use crate::state::Api;

/// Create a trade
///
/// Sets the amount aside in the seller's wallet. The trade's id is the id of the job.
#[utoipa::path(
    post, path = "/v1/trades", tag = "trades", security(("key" = ["submit"])),
    params(Asking), request_body = LockEscrow, responses(Submitted),
)]
pub(crate) async fn post_trade(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    Asked { body, how }: Asked<LockEscrow>,
) -> Result<Response, Problem> {
    submit(&api.intake, submitter, how, AnyJob::LockEscrow(body)).await
}

/// What is done to a trade, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TradeAction)]
pub(crate) struct Action {
    /// The person who does it.
    user_id: UserId,
}

/// By how much the deadline is put off, and by whom.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = TradeExtension)]
pub(crate) struct Extension {
    /// The seller.
    user_id: UserId,
    /// By how much; 60 at most unless the exchange's rules say otherwise.
    #[schema(minimum = 1, maximum = 10080)]
    minutes: u16,
}

/// Mark a trade as paid
///
/// The buyer may, until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/mark-paid", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_mark_paid(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Action { user_id }, how }: Asked<Action>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, event(trade_id, TradeEventName::MarkPaid, user_id, None)).await
}

/// Undo a payment mark
///
/// The buyer may take their mark-paid back, once and until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/undo", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_undo(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Action { user_id }, how }: Asked<Action>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, event(trade_id, TradeEventName::Undo, user_id, None)).await
}

/// Extend a trade
///
/// The seller may give the buyer more time, once and until the trade's `pay_by`.
#[utoipa::path(
    post, path = "/v1/trades/{id}/extend", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Extension, example = json!({ "user_id": "1", "minutes": 30 })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_extend(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Extension { user_id, minutes }, how }: Asked<Extension>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, event(trade_id, TradeEventName::Extend, user_id, Some(minutes)))
        .await
}

/// Cancel a trade
///
/// The buyer may call it off; the refund that follows gives the money back to the seller.
#[utoipa::path(
    post, path = "/v1/trades/{id}/cancel", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_cancel(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Action { user_id }, how }: Asked<Action>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, event(trade_id, TradeEventName::Cancel, user_id, None)).await
}

/// Release a trade
///
/// The seller may release the money to the buyer. The fees of maker and taker come out of the amount.
#[utoipa::path(
    post, path = "/v1/trades/{id}/release", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "1" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_release(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Action { user_id }, how }: Asked<Action>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, AnyJob::Release(Release { trade_id, user_id })).await
}

/// Refund a trade
///
/// The buyer may give it up; the money goes back to the seller.
#[utoipa::path(
    post, path = "/v1/trades/{id}/refund", tag = "trades", security(("key" = ["submit"])),
    params(("id" = TradeId, Path, description = "The trade"), Asking),
    request_body(content = Action, example = json!({ "user_id": "2" })), responses(Submitted, TradeUnknown),
)]
pub(crate) async fn post_refund(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(trade_id): InPath<TradeId>,
    Asked { body: Action { user_id }, how }: Asked<Action>,
) -> Result<Response, Problem> {
    submit_about(&api.intake, submitter, how, trade_id, AnyJob::Refund(Refund { trade_id, user_id: Some(user_id) }))
        .await
}

fn event(trade_id: TradeId, event: TradeEventName, user_id: UserId, minutes: Option<u16>) -> AnyJob {
    AnyJob::TradeEvent(TradeEvent { trade_id, event, user_id, minutes })
}
