//! What a person was paid for whom they brought to the exchange.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::UserId;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::amounts::asset_of;
use crate::documents::amounts::minor;
use crate::documents::texts::{AmountText, AssetCode, Id};
use crate::documents::time::Time;
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Turned};
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::http::query::InQuery;
use crate::openapi::answers::{QueryRefused, UserUnknown};
use crate::state::Api;

/// What a person was paid out of the fees of those whom they brought, newest first; `next_cursor` is
/// null on the last page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Commissions)]
pub(crate) struct CommissionsDocument {
    #[schema(value_type = Id)]
    user_id: String,
    commissions: Vec<CommissionDocument>,
    next_cursor: Option<String>,
}

/// A commission. Amounts are decimal text in the asset's scale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Commission)]
struct CommissionDocument {
    #[schema(value_type = Id)]
    job_id: String,
    #[schema(value_type = Id)]
    trade_id: String,
    at: Time,
    /// 1: they brought the trader.
    #[schema(minimum = 1, maximum = 3)]
    level: i16,
    #[schema(value_type = AssetCode)]
    asset: String,
    /// The fees that it is a share of.
    #[schema(value_type = AmountText)]
    base: String,
    /// The share, in basis points, as it was fixed when the trade was locked.
    bps: i16,
    /// What they were paid: the share, rounded down.
    #[schema(value_type = AmountText)]
    amount: String,
}

/// List commissions
///
/// What a person was paid for whom they brought, newest first.
#[utoipa::path(
    get, path = "/v1/users/{id}/commissions", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Turned),
    responses(
        (status = 200, description = "One page", body = CommissionsDocument, example = json!({
            "user_id": "1", "commissions": [{
                "job_id": "9", "trade_id": "4", "at": "2026-01-05T12:00:00.012345Z", "level": 1, "asset": "btc",
                "base": "0.00020000", "bps": 2000, "amount": "0.00004000",
            }], "next_cursor": null,
        })),
        QueryRefused, UserUnknown,
    ),
)]
pub(crate) async fn get_commissions(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<CommissionsDocument>, Problem> {
    let page = query.page(Commissions(id))?;
    require_user(&api.pool, id).await?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let assets = api.assets.current().await;
    let shown = rows.into_iter().map(|row| {
        let asset = asset_of(&assets, row.asset)?;
        Ok(CommissionDocument {
            job_id: row.job_id.to_string(),
            trade_id: row.trade_id.to_string(),
            at: row.finished_at.into(),
            level: row.level,
            asset: asset.code.clone(),
            base: asset.format_signed(minor(&row.base)?),
            bps: row.bps,
            amount: asset.format_signed(minor(&row.amount)?),
        })
    });
    let commissions = shown.collect::<Result<_, sqlx::Error>>()?;
    Ok(Json(CommissionsDocument { user_id: id.to_string(), commissions, next_cursor }))
}

/// What this person was paid.
#[derive(Clone, Copy, Debug)]
struct Commissions(UserId);

#[derive(Debug)]
struct CommissionRow {
    job_id: i64,
    trade_id: i64,
    level: i16,
    base: String,
    bps: i16,
    amount: String,
    asset: i16,
    finished_at: DateTime<Utc>,
}

impl List for Commissions {
    type Row = CommissionRow;
    type Place = i64;

    fn name(&self) -> ListName {
        ListName::of("commissions").with(Some(self.0))
    }

    async fn read(
        &self,
        pool: &PgPool,
        from: Option<i64>,
        limit: Limit,
    ) -> Result<(Vec<CommissionRow>, Option<i64>), Problem> {
        let rows = sqlx::query_as!(
            CommissionRow,
            r#"
            select c.job_id, c.trade_id, c.level, c.base::text as "base!", c.bps, c.amount::text as "amount!",
                t.asset, x.finished_at
            from (
                select * from commission where referrer_id = $1 and job_id < $2 order by job_id desc limit $3
            ) c
            join trade t on t.id = c.trade_id
            join outcome x on x.job_id = c.job_id
            order by c.job_id desc
            "#,
            self.0.0,
            from.unwrap_or(i64::MAX),
            limit.rows_max(),
        )
        .fetch_all(pool)
        .await?;
        Ok(limit.cut(rows, |row| row.job_id))
    }
}
