//! What operators set on a person.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::{Tier, UserId};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::texts::Id;
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Turned};
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

/// List flags of a user
///
/// What operators set on them, newest first.
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
    let page = query.page(Flags(id))?;
    require_user(&api.pool, id).await?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
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

/// What was set on this person.
#[derive(Clone, Copy, Debug)]
struct Flags(UserId);

#[derive(Debug)]
struct Row {
    job_id: i64,
    principal_id: i64,
    frozen: bool,
    tier: String,
    kyc: i16,
    reason: String,
    set_at: DateTime<Utc>,
}

impl List for Flags {
    type Row = Row;
    type Place = i64;

    fn name(&self) -> ListName {
        ListName::of("flags").with(Some(self.0))
    }

    async fn read(&self, pool: &PgPool, from: Option<i64>, limit: Limit) -> Result<(Vec<Row>, Option<i64>), Problem> {
        let rows = sqlx::query_as!(
            Row,
            "
            select job_id, principal_id, frozen, tier, kyc, reason, set_at from user_flag
            where user_id = $1 and job_id < $2 order by job_id desc limit $3
            ",
            self.0.0,
            from.unwrap_or(i64::MAX),
            limit.rows_max(),
        )
        .fetch_all(pool)
        .await?;
        Ok(limit.cut(rows, |row| row.job_id))
    }
}
