//! What is asked about withdrawals: that money may leave, and what is decided about it.

use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, DecisionName, UserId, WithdrawalDecision, WithdrawalId, WithdrawalRequest};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::auth::{Operator, Submitter};
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::intake::asked::Asked;
use crate::intake::submit::{submit, submit_about};
use crate::openapi::answers::{Submitted, WithdrawalUnknown};
use crate::openapi::params::Asking;
use crate::state::Api;

/// Create a withdrawal
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
    Asked { body, how }: Asked<WithdrawalRequest>,
) -> Result<Response, Problem> {
    submit(&api.intake, submitter, how, AnyJob::WithdrawalRequest(body)).await
}

/// What is approved.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalApprovalAsk)]
pub(crate) struct Approval {
    /// The `content_hash` of the withdrawal that the approver saw.
    #[schema(pattern = "^[0-9a-fA-F]{64}$")]
    content_hash: String,
}

/// Why it is refused.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalRejectionAsk)]
pub(crate) struct Rejection {
    /// Shown to the person; 1 to 400 bytes.
    reason: String,
}

/// Who calls it off.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WithdrawalCancellationAsk)]
pub(crate) struct Cancellation {
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
    InPath(id): InPath<WithdrawalId>,
    Asked { body: Approval { content_hash }, how }: Asked<Approval>,
) -> Result<Response, Problem> {
    let decision = WithdrawalDecision { content_hash: Some(content_hash), ..nothing_said(id, DecisionName::Approve) };
    submit_about(&api.intake, operator, how, id, AnyJob::WithdrawalDecision(decision)).await
}

/// Reject a withdrawal
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
    InPath(id): InPath<WithdrawalId>,
    Asked { body: Rejection { reason }, how }: Asked<Rejection>,
) -> Result<Response, Problem> {
    let decision = WithdrawalDecision { reason: Some(reason), ..nothing_said(id, DecisionName::Reject) };
    submit_about(&api.intake, operator, how, id, AnyJob::WithdrawalDecision(decision)).await
}

/// Cancel a withdrawal
///
/// The person may call it off until its payout begins; the money goes back to them.
#[utoipa::path(
    post, path = "/v1/withdrawals/{id}/cancel", tag = "withdrawals", security(("key" = ["submit"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal"), Asking),
    request_body(content = Cancellation, example = json!({ "user_id": "1" })),
    responses(Submitted, WithdrawalUnknown),
)]
pub(crate) async fn post_withdrawal_cancel(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    InPath(id): InPath<WithdrawalId>,
    Asked { body: Cancellation { user_id }, how }: Asked<Cancellation>,
) -> Result<Response, Problem> {
    let decision = WithdrawalDecision { user_id: Some(user_id), ..nothing_said(id, DecisionName::Cancel) };
    submit_about(&api.intake, submitter, how, id, AnyJob::WithdrawalDecision(decision)).await
}

/// A decision without what only one of them says.
const fn nothing_said(withdrawal_id: WithdrawalId, decision: DecisionName) -> WithdrawalDecision {
    WithdrawalDecision { withdrawal_id, decision, content_hash: None, user_id: None, reason: None }
}
