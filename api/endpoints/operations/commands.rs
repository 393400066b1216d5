//! What operators ask for.

use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, Pause, Verify};

use crate::http::auth::Operator;
use crate::http::problem::Problem;
use crate::intake::asked::Asked;
use crate::intake::submit::submit;
use crate::openapi::answers::Submitted;
use crate::openapi::params::Asking;
use crate::state::Api;

/// Pause or resume
///
/// A lane, a kind of job, an asset or a rail. What is paused is put off, never refused; every
/// worker notices within a second. The result says whether anything changed.
#[utoipa::path(
    post, path = "/v1/pauses", tag = "operations", security(("key" = ["operate"])), params(Asking),
    request_body(
        content = Pause,
        example = json!({ "scope": "asset", "name": "btc", "paused": true, "reason": "the chain has stopped" }),
    ),
    responses(Submitted),
)]
pub(crate) async fn post_pause(
    Operator(operator): Operator,
    State(api): State<Api>,
    Asked { body, how }: Asked<Pause>,
) -> Result<Response, Problem> {
    submit(&api.intake, operator, how, AnyJob::Pause(body)).await
}

/// Run the integrity checks
///
/// They read everything and take a while; what they found is at `GET /v1/integrity`.
#[utoipa::path(
    post, path = "/v1/integrity", tag = "operations", security(("key" = ["operate"])), params(Asking),
    request_body(content = Verify, example = json!({})), responses(Submitted),
)]
pub(crate) async fn post_integrity(
    Operator(operator): Operator,
    State(api): State<Api>,
    Asked { body, how }: Asked<Verify>,
) -> Result<Response, Problem> {
    submit(&api.intake, operator, how, AnyJob::call(body)).await
}
