//! Whom a person brought to the exchange, and what they were paid for it.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::{Assets, UserId};
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

/// Whom a person brought, newest first; `next_cursor` is null on the last page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Referrals)]
pub(crate) struct ReferralsDocument {
    #[schema(value_type = Id)]
    user_id: String,
    referrals: Vec<Brought>,
    /// What they were paid so far, one entry for each asset. On the first page only: it does not
    /// depend on the page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Vec<CommissionTotal>)]
    commissions: Option<Vec<CommissionTotal>>,
    next_cursor: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Referral)]
struct Brought {
    #[schema(value_type = Id)]
    user_id: String,
    registered_at: Time,
}

#[derive(Debug, Serialize, ToSchema)]
struct CommissionTotal {
    #[schema(value_type = AssetCode)]
    asset: String,
    #[schema(value_type = AmountText)]
    amount: String,
    /// How many they were; one of nothing, on dust, counts as well.
    #[schema(minimum = 1)]
    count: i64,
}

/// List referrals
///
/// Whom a person brought, newest first, and what that brought them.
#[utoipa::path(
    get, path = "/v1/users/{id}/referrals", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Turned),
    responses(
        (status = 200, description = "One page", body = ReferralsDocument, example = json!({
            "user_id": "1", "referrals": [{ "user_id": "2", "registered_at": "2026-01-05T12:00:00.012345Z" }],
            "commissions": [{ "asset": "btc", "amount": "0.00004000", "count": 1 }], "next_cursor": null,
        })),
        QueryRefused, UserUnknown,
    ),
)]
pub(crate) async fn get_referrals(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<ReferralsDocument>, Problem> {
    let page = query.page(Referrals(id))?;
    require_user(&api.pool, id).await?;
    let is_first = page.is_first();
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let assets = api.assets.current().await;
    let commissions = if is_first { Some(totals(&api.pool, id, &assets).await?) } else { None };
    let referrals =
        rows.into_iter().map(|row| Brought { user_id: row.id.to_string(), registered_at: row.registered_at.into() });
    Ok(Json(ReferralsDocument { user_id: id.to_string(), referrals: referrals.collect(), commissions, next_cursor }))
}

/// Whom this person brought.
#[derive(Clone, Copy, Debug)]
struct Referrals(UserId);

#[derive(Debug)]
struct BroughtRow {
    id: i64,
    registered_at: DateTime<Utc>,
}

impl List for Referrals {
    type Row = BroughtRow;
    type Place = i64;

    fn name(&self) -> ListName {
        ListName::of("referrals").with(Some(self.0))
    }

    async fn read(
        &self,
        pool: &PgPool,
        from: Option<i64>,
        limit: Limit,
    ) -> Result<(Vec<BroughtRow>, Option<i64>), Problem> {
        let rows = sqlx::query_as!(
            BroughtRow,
            "
            select id, registered_at from app_user
            where referrer_id = $1 and id < $2 order by id desc limit $3
            ",
            self.0.0,
            from.unwrap_or(i64::MAX),
            limit.rows_max(),
        )
        .fetch_all(pool)
        .await?;
        Ok(limit.cut(rows, |row| row.id))
    }
}

/// Reads every commission of the person: 0.12 s for 100 000 of them.
async fn totals(pool: &PgPool, id: UserId, assets: &Assets) -> Result<Vec<CommissionTotal>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select t.asset, sum(c.amount)::text as "amount!", count(*) as "count!"
        from commission c join trade t on t.id = c.trade_id
        where c.referrer_id = $1
        group by t.asset order by t.asset
        "#,
        id.0,
    )
    .fetch_all(pool)
    .await?;
    let totals = rows.into_iter().map(|row| {
        let asset = asset_of(assets, row.asset)?;
        let amount = asset.format_signed(minor(&row.amount)?);
        Ok(CommissionTotal { asset: asset.code.clone(), amount, count: row.count })
    });
    totals.collect()
}
