//! What is paused, and who paused and resumed what.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use jobs::{AnyJob, Pause};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::app::Api;
use crate::documents::texts::Id;
use crate::documents::time::Time;
use crate::http::auth::{Operator, Reader};
use crate::http::problem::Problem;
use crate::intake::extract::Asked;
use crate::intake::submit::submit;
use crate::openapi::answers::Submitted;
use crate::openapi::params::Asking;

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

/// Pause something, or let it go on
///
/// A lane, a kind of job, an asset or a rail. What is paused is put off, never refused; every
/// worker notices within a second. The result says whether anything changed.
#[utoipa::path(
    post, path = "/v1/pauses", tag = "operating", security(("key" = ["operate"])), params(Asking),
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
    submit(&api, operator, how, AnyJob::Pause(body)).await
}

/// What is paused
///
/// And the newest changes, with who made them and why.
#[utoipa::path(
    get, path = "/v1/pauses", tag = "operating", security(("key" = ["read"])),
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
