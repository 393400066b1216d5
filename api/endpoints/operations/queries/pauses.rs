//! What is paused, and who paused and resumed what.

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::texts::Id;
use crate::documents::time::Time;
use crate::http::auth::Reader;
use crate::http::problem::Problem;
use crate::state::Api;

/// How many changes are told of, the newest first.
const CHANGES_MAX: i64 = 50;

/// What is paused now, and the newest changes.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Pauses)]
pub(crate) struct PausesDocument {
    pauses: Vec<PauseDocument>,
    /// The newest 50, newest first.
    changes: Vec<ChangeDocument>,
}

/// One thing that is paused.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PauseInForce)]
struct PauseDocument {
    /// `lane`, `kind`, `asset` or `rail`.
    scope: String,
    name: String,
    reason: String,
    since: Time,
    /// The principal that paused it.
    by: String,
    #[schema(value_type = Id)]
    job_id: String,
}

/// One pause or resumption.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PauseChange)]
struct ChangeDocument {
    scope: String,
    name: String,
    /// True for a pause, false for a resumption.
    paused: bool,
    reason: String,
    at: Time,
    by: String,
    #[schema(value_type = Id)]
    job_id: String,
}

/// List pauses
///
/// What is paused, and the newest changes, with who made them and why.
#[utoipa::path(
    get, path = "/v1/pauses", tag = "operations", security(("key" = ["read"])),
    responses((status = 200, description = "What is paused now, and the newest changes", body = PausesDocument,
        example = json!({ "pauses": [], "changes": [] }))),
)]
pub(crate) async fn get_pauses(_: Reader, State(api): State<Api>) -> Result<Json<PausesDocument>, Problem> {
    Ok(Json(read(&api.pool).await?))
}

async fn read(pool: &PgPool) -> Result<PausesDocument, sqlx::Error> {
    let pauses = sqlx::query_as!(
        PauseDocument,
        r#"
        select u.scope, u.name, u.reason, u.since, p.name as "by", u.job_id::text as "job_id!"
        from pause u join principal p on p.id = u.principal_id order by u.scope, u.name
        "#
    );
    let changes = sqlx::query_as!(
        ChangeDocument,
        r#"
        select c.scope, c.name, c.paused, c.reason, c.at, p.name as "by", c.job_id::text as "job_id!"
        from pause_change c join principal p on p.id = c.principal_id order by c.number desc limit $1
        "#,
        CHANGES_MAX,
    );
    Ok(PausesDocument { pauses: pauses.fetch_all(pool).await?, changes: changes.fetch_all(pool).await? })
}
