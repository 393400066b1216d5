//! What was dropped because of its age, and who did it.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::texts::Id;
use crate::documents::time::Time;
use crate::http::auth::Reader;
use crate::http::problem::Problem;
use crate::state::Api;

/// How many are told of, the newest first: of each 16.8 million jobs there is one.
const RETENTIONS_MAX: i64 = 1_000;

/// What was dropped.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retentions)]
pub(crate) struct RetentionsDocument {
    /// The newest 1000, newest first.
    retentions: Vec<RetentionDocument>,
}

/// The payloads of one partition.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Retention)]
struct RetentionDocument {
    #[schema(value_type = Id)]
    first_job: String,
    #[schema(value_type = Id)]
    last_job: String,
    /// How many jobs lost their payload; each still has its row, its key and its outcome.
    #[schema(minimum = 1)]
    jobs: i64,
    received_from: Time,
    received_to: Time,
    /// When the last of them ended.
    finished_to: Time,
    /// How many calendar months were to be kept.
    #[schema(minimum = 3)]
    months: i32,
    /// The beginning of those months.
    cutoff: Time,
    /// Who did it, as they said.
    by: String,
    /// The login of the database that did it.
    login: String,
    at: Time,
}

/// List retentions
///
/// What was dropped because of its age. `holdfast retain` drops payloads, never a job, a key or an outcome.
#[utoipa::path(
    get, path = "/v1/retentions", tag = "operations", security(("key" = ["read"])),
    responses((status = 200, description = "The newest, newest first", body = RetentionsDocument,
        example = json!({ "retentions": [] }))),
)]
pub(crate) async fn get_retentions(_: Reader, State(api): State<Api>) -> Result<Json<RetentionsDocument>, Problem> {
    let rows = sqlx::query!(
        "
        select first_job, last_job, jobs, received_from, received_to, finished_to, months, cutoff, done_by, login,
            detached_at
        from retention order by detached_at desc, part desc limit $1
        ",
        RETENTIONS_MAX,
    )
    .fetch_all(&api.pool)
    .await?;
    let retentions = rows.into_iter().map(|row| RetentionDocument {
        first_job: row.first_job.to_string(),
        last_job: row.last_job.to_string(),
        jobs: row.jobs,
        received_from: row.received_from.into(),
        received_to: row.received_to.into(),
        finished_to: row.finished_to.into(),
        months: row.months,
        cutoff: row.cutoff.into(),
        by: row.done_by,
        login: row.login,
        at: row.detached_at.into(),
    });
    Ok(Json(RetentionsDocument { retentions: retentions.collect() }))
}
