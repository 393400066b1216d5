use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, Tier, UserFlag, UserId, UserRegister};
use serde::Deserialize;
use utoipa::ToSchema;

use crate::http::auth::{Operator, Submitter};
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::intake::asked::Asked;
use crate::intake::submit::{submit, submit_about};
use crate::openapi::answers::{Submitted, UserUnknown};
use crate::openapi::params::Asking;
use crate::state::Api;

/// Create a user
///
/// Registers a person. Their id is the id of the job. It counts once the job has settled.
#[utoipa::path(
    post, path = "/v1/users", tag = "users", security(("key" = ["submit"])),
    params(Asking), request_body = UserRegister, responses(Submitted),
)]
pub(crate) async fn post_user(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    Asked { body, how }: Asked<UserRegister>,
) -> Result<Response, Problem> {
    submit(&api.intake, submitter, how, AnyJob::UserRegister(body)).await
}

/// What is set on a person: at least one of the three, and why. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserFlagAsk)]
pub(crate) struct FlagAsk {
    /// A frozen person may neither lock nor withdraw.
    #[serde(default)]
    #[schema(nullable = false)]
    frozen: Option<bool>,
    /// Referral tier; trades that are locked keep theirs.
    #[serde(default)]
    #[schema(nullable = false)]
    tier: Option<Tier>,
    /// How well they are known.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3, nullable = false)]
    kyc: Option<i16>,
    /// Why, without personal data; 1 to 400 bytes.
    reason: String,
}

/// Set flags of a user
///
/// Freezes them, or changes their referral tier or how well they are known. An operator who is the
/// person themselves may not.
#[utoipa::path(
    post, path = "/v1/users/{id}/flags", tag = "users", security(("key" = ["operate"])),
    params(("id" = UserId, Path, description = "The person"), Asking),
    request_body(content = FlagAsk, example = json!({ "kyc": 1, "reason": "papers seen, case 17" })),
    responses(Submitted, UserUnknown),
)]
pub(crate) async fn post_user_flag(
    Operator(operator): Operator,
    State(api): State<Api>,
    InPath(user_id): InPath<UserId>,
    Asked { body: FlagAsk { frozen, tier, kyc, reason }, how }: Asked<FlagAsk>,
) -> Result<Response, Problem> {
    let flag = UserFlag { user_id, frozen, tier, kyc, reason };
    submit_about(&api.intake, operator, how, user_id, AnyJob::UserFlag(flag)).await
}
