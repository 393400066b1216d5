//! The integrity checks: what they found the last time, and asking for them anew.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::documents::texts::Id;
use crate::documents::time::Time;
use crate::http::auth::Reader;
use crate::http::problem::Problem;
use crate::state::Api;

/// The last verification, or that there was none.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Integrity)]
pub(crate) struct IntegrityDocument {
    /// `clean`, `failed`, or `never_run`: then nothing is known, which is not the same as clean.
    state: IntegrityState,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = VerificationDocument)]
    last: Option<VerificationDocument>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum IntegrityState {
    Clean,
    Failed,
    NeverRun,
}

/// What the checks found.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Verification)]
struct VerificationDocument {
    #[schema(value_type = Id)]
    job_id: String,
    /// The moment whose books were checked.
    at: Time,
    /// How long ago that was.
    age_s: i64,
    took_ms: i64,
    /// How many checks ran.
    checks: i32,
    /// Those that found something: name, what it proves, how many rows, and the first of them.
    #[schema(value_type = Vec<Value>)]
    failed: Value,
}

/// Get integrity check results
///
/// What they found the last time that they ran as a job, and how long ago that was.
#[utoipa::path(
    get, path = "/v1/integrity", tag = "operations", security(("key" = ["read"])),
    responses((status = 200, description = "The last verification, or that there was none", body = IntegrityDocument,
        example = json!({ "state": "never_run" }))),
)]
pub(crate) async fn get_integrity(_: Reader, State(api): State<Api>) -> Result<Json<IntegrityDocument>, Problem> {
    let last = sqlx::query!(
        r#"
        select job_id, at, clean, checks, failed, took_ms,
            extract(epoch from (select clock()) - at)::bigint as "age_s!"
        from verification order by at desc limit 1
        "#
    )
    .fetch_optional(&api.pool)
    .await?;
    let state = match &last {
        None => IntegrityState::NeverRun,
        Some(last) if last.clean => IntegrityState::Clean,
        Some(_) => IntegrityState::Failed,
    };
    let last = last.map(|last| VerificationDocument {
        job_id: last.job_id.to_string(),
        at: last.at.into(),
        age_s: last.age_s,
        took_ms: last.took_ms,
        checks: last.checks,
        failed: last.failed,
    });
    Ok(Json(IntegrityDocument { state, last }))
}
