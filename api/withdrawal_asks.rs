//! What is asked about withdrawals: that money may leave, and what is decided about it.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use jobs::{AnyJob, DecisionName, Kind, PrincipalId, UserId, WithdrawalDecision, WithdrawalId, WithdrawalRequest};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use utoipa::ToSchema;

use crate::answers::{Submitted, WithdrawalUnknown};
use crate::app::Api;
use crate::auth::{Operator, Submitter};
use crate::body::{BODY_BYTES_MAX, read_json};
use crate::headers::idempotency_key;
use crate::job::{id_in_path, is_job_of};
use crate::params::Asking;
use crate::problem::Problem;
use crate::shape;
use crate::submit::submit;

/// Ask for a withdrawal
///
/// Sets the amount and the fee aside in the person's wallet until it is paid out, refused or called
/// off. The withdrawal's id is the id of the job. Whoever asks for it can never approve it.
#[utoipa::path(
    post, path = "/v1/withdrawals", tag = "withdrawals", security(("key" = ["submit"])), params(Asking),
    request_body(content = WithdrawalRequest, example = json!({
        "user_id": "1", "asset": "btc", "amount": "0.05", "address": "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq",
    })),
    responses(Submitted),
)]
pub(crate) async fn post_withdrawal(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let text = read_json(&headers, body, BODY_BYTES_MAX, api.body_within).await?;
    let payload = shape::read(&text, serde_json::from_str)?;
    submit(&api, submitter, key, &headers, AnyJob::WithdrawalRequest(payload)).await
}

/// What is approved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalApprovalAsk)]
struct Approval {
    /// The `content_hash` of the withdrawal that the approver saw.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    content_hash: String,
}

/// Why it is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalRejectionAsk)]
struct Rejection {
    /// Shown to the person; 1 to 400 bytes.
    reason: String,
}

/// Who calls it off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalCancellationAsk)]
struct Cancellation {
    /// The person whose money it is.
    user_id: UserId,
}

/// Approve a withdrawal
///
/// Bound to the content that the approver saw, and for a time. Who approves is the key's principal:
/// neither the one that asked for the withdrawal nor the person who would receive it.
#[utoipa::path(
    post, path = "/v1/withdrawals/{id}/approve", tag = "withdrawals", security(("key" = ["operate"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal"), Asking),
    request_body(content = Approval, example = json!({
        "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    })),
    responses(Submitted, WithdrawalUnknown),
)]
pub(crate) async fn post_withdrawal_approve(
    Operator(operator): Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let decision = |asked: Approval, id| WithdrawalDecision {
        content_hash: Some(asked.content_hash),
        ..nothing_said(id, DecisionName::Approve)
    };
    decide(&api, operator, &id, &headers, body, decision).await
}

/// Refuse a withdrawal
///
/// The money goes back to the person. An approved one may be refused until its payout begins.
#[utoipa::path(
    post, path = "/v1/withdrawals/{id}/reject", tag = "withdrawals", security(("key" = ["operate"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal"), Asking),
    request_body(content = Rejection, example = json!({ "reason": "the address belongs to somebody else" })),
    responses(Submitted, WithdrawalUnknown),
)]
pub(crate) async fn post_withdrawal_reject(
    Operator(operator): Operator,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let decision = |asked: Rejection, id| WithdrawalDecision {
        reason: Some(asked.reason),
        ..nothing_said(id, DecisionName::Reject)
    };
    decide(&api, operator, &id, &headers, body, decision).await
}

/// Call a withdrawal off
///
/// The person may, until its payout begins; the money goes back to them.
#[utoipa::path(
    post, path = "/v1/withdrawals/{id}/cancel", tag = "withdrawals", security(("key" = ["submit"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal"), Asking),
    request_body(content = Cancellation, example = json!({ "user_id": "1" })),
    responses(Submitted, WithdrawalUnknown),
)]
pub(crate) async fn post_withdrawal_cancel(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let decision = |asked: Cancellation, id| WithdrawalDecision {
        user_id: Some(asked.user_id),
        ..nothing_said(id, DecisionName::Cancel)
    };
    decide(&api, submitter, &id, &headers, body, decision).await
}

/// A decision without what only one of them says.
const fn nothing_said(withdrawal_id: WithdrawalId, decision: DecisionName) -> WithdrawalDecision {
    WithdrawalDecision { withdrawal_id, decision, content_hash: None, user_id: None, reason: None }
}

async fn decide<A: DeserializeOwned>(
    api: &Api,
    submitter: PrincipalId,
    id: &str,
    headers: &HeaderMap,
    body: Body,
    decision: fn(A, WithdrawalId) -> WithdrawalDecision,
) -> Result<Response, Problem> {
    let key = idempotency_key(headers)?;
    let id: WithdrawalId = id_in_path(id, "withdrawal_unknown")?;
    let text = read_json(headers, body, BODY_BYTES_MAX, api.body_within).await?;
    let asked: A = shape::read(&text, serde_json::from_str)?;
    let known = is_job_of(&api.pool, id.0, WithdrawalRequest::NAME).await;
    if !known.map_err(|error| Problem::database(&error))? {
        return Err(unknown());
    }
    submit(api, submitter, key, headers, AnyJob::WithdrawalDecision(decision(asked, id))).await
}

/// 404 for an id that names no withdrawal.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("withdrawal_unknown", "No such withdrawal")
}
