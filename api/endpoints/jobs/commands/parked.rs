//! Parked jobs: what their reasons mean, and what operators decide about them.

use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, Decision, JobRef, ParkedDecision};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::auth::Operator;
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::intake::asked::Asked;
use crate::intake::submit::submit_about;
use crate::openapi::answers::{JobUnknown, Submitted};
use crate::openapi::params::Asking;
use crate::state::Api;

/// Why somebody decides.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Because {
    /// For whoever looks later; kept for ever.
    #[schema(pattern = "[^\\s\\x00]", min_length = 1, max_length = 500)]
    reason: String,
}

/// Retry a parked job
///
/// It goes back to the queue; its attempts go on from where they stood.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/retry", tag = "operations", security(("key" = ["operate"])),
    params(("id" = JobRef, Path, description = "The parked job"), Asking),
    request_body(content = Because, example = json!({ "reason": "the disk was replaced" })),
    responses(Submitted, JobUnknown),
)]
pub(crate) async fn post_job_retry(
    Operator(operator): Operator,
    State(api): State<Api>,
    InPath(job_id): InPath<JobRef>,
    Asked { body: Because { reason }, how }: Asked<Because>,
) -> Result<Response, Problem> {
    let decision = ParkedDecision { job_id, decision: Decision::Retry, reason };
    submit_about(&api.intake, operator, how, job_id, AnyJob::ParkedDecision(decision)).await
}

/// Cancel a parked job
///
/// It ends without effect. One that may move money takes two: the first decision is put on record
/// and answered with the result `{"needs": "second_principal"}`; the same, asked by another
/// principal within 24 hours, carries it out.
#[utoipa::path(
    post, path = "/v1/jobs/{id}/cancel", tag = "operations", security(("key" = ["operate"])),
    params(("id" = JobRef, Path, description = "The parked job"), Asking),
    request_body(content = Because, example = json!({ "reason": "asked for by mistake" })),
    responses(Submitted, JobUnknown),
)]
pub(crate) async fn post_job_cancel(
    Operator(operator): Operator,
    State(api): State<Api>,
    InPath(job_id): InPath<JobRef>,
    Asked { body: Because { reason }, how }: Asked<Because>,
) -> Result<Response, Problem> {
    let decision = ParkedDecision { job_id, decision: Decision::Cancel, reason };
    submit_about(&api.intake, operator, how, job_id, AnyJob::ParkedDecision(decision)).await
}
