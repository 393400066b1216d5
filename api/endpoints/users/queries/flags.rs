//! What operators set on a person.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::{Tier, UserId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::texts::Id;
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::paging::Turned;
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::http::query::InQuery;
use crate::openapi::answers::{QueryRefused, UserUnknown};
use crate::state::Api;

/// What operators set on a person, newest first; `next_cursor` is null on the last page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserFlags)]
pub(crate) struct FlagsDocument {
    #[schema(value_type = Id)]
    user_id: String,
    flags: Vec<FlagDocument>,
    next_cursor: Option<String>,
}

/// The person as they stood after an operator had set something on them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserFlagged)]
struct FlagDocument {
    #[schema(value_type = Id)]
    job_id: String,
    /// The principal that set it.
    #[schema(value_type = Id)]
    set_by: String,
    set_at: DateTime<Utc>,
    frozen: bool,
    #[schema(value_type = Tier)]
    tier: String,
    #[schema(minimum = 0, maximum = 3)]
    kyc: i16,
    reason: String,
}

/// What operators set on a person
#[utoipa::path(
    get, path = "/v1/users/{id}/flags", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Turned),
    responses((status = 200, description = "One page", body = FlagsDocument), QueryRefused, UserUnknown),
)]
pub(crate) async fn get_user_flags(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<FlagsDocument>, Problem> {
    let page = query.page(&["flags", &id.to_string()])?;
    require_user(&api.pool, id).await?;
    let mut rows = sqlx::query!(
        "
        select job_id, principal_id, frozen, tier, kyc, reason, set_at from user_flag
        where user_id = $1 and job_id < $2 order by job_id desc limit $3
        ",
        id.0,
        page.before(),
        page.rows_max(),
    )
    .fetch_all(&api.pool)
    .await?;
    let next_cursor = page.cut(&mut rows, |row| row.job_id);
    let flags = rows.into_iter().map(|row| FlagDocument {
        job_id: row.job_id.to_string(),
        set_by: row.principal_id.to_string(),
        set_at: row.set_at,
        frozen: row.frozen,
        tier: row.tier,
        kyc: row.kyc,
        reason: row.reason,
    });
    Ok(Json(FlagsDocument { user_id: id.to_string(), flags: flags.collect(), next_cursor }))
}
