use axum::Json;
use axum::extract::State;
use jobs::{Assets, UserId};
use ledger::{AssetId, Balance, Purpose};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::amounts::minor;
use crate::documents::texts::{AssetCode, Id, SignedAmountText};
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::openapi::answers::UserUnknown;
use crate::state::Api;

/// What a person has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Balances)]
pub(crate) struct BalancesDocument {
    #[schema(value_type = Id)]
    user_id: String,
    balances: Vec<AssetBalance>,
}

/// What a person has of one asset, as decimal text in the asset's scale.
#[derive(Debug, Serialize, ToSchema)]
struct AssetBalance {
    #[schema(value_type = AssetCode)]
    asset: String,
    /// All that is theirs.
    #[schema(value_type = SignedAmountText)]
    posted: String,
    /// The part of it that open trades hold.
    #[schema(value_type = SignedAmountText)]
    held: String,
    /// posted − held.
    #[schema(value_type = SignedAmountText)]
    available: String,
    /// What they owe the exchange after a deposit was taken back; later credits repay it.
    #[schema(value_type = SignedAmountText)]
    owed: String,
}

/// Get balances
///
/// What a person has: one entry for each asset that they ever had anything of.
#[utoipa::path(
    get, path = "/v1/users/{id}/balances", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, description = "As committed when it was asked", body = BalancesDocument, example = json!({
            "user_id": "2", "balances": [{
                "asset": "btc", "posted": "0.09960000", "held": "0.00000000", "available": "0.09960000",
                "owed": "0.00000000",
            }],
        })),
        UserUnknown,
    ),
)]
pub(crate) async fn get_balances(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
) -> Result<Json<BalancesDocument>, Problem> {
    require_user(&api.pool, id).await?;
    let assets = api.assets.current().await;
    let balances = balances(&api.pool, id, &assets).await?;
    Ok(Json(BalancesDocument { user_id: id.to_string(), balances }))
}

async fn balances(pool: &PgPool, id: UserId, assets: &Assets) -> Result<Vec<AssetBalance>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select a.asset, a.purpose, e.posted::text as "posted!", e.held::text as "held!"
        from account a
        cross join lateral (
            select posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        where a.owner = $1
        order by a.asset, a.purpose
        "#,
        id.0,
    )
    .fetch_all(pool)
    .await?;
    let mut found: Vec<(AssetId, Balance, i128)> = Vec::new();
    for row in rows {
        let asset = AssetId::new(row.asset);
        if found.last().is_none_or(|(last, ..)| *last != asset) {
            found.push((asset, Balance::default(), 0));
        }
        let (Some((_, wallet, owed)), Some(purpose)) = (found.last_mut(), Purpose::parse(&row.purpose)) else {
            return Err(unreadable(&row.purpose));
        };
        let (posted, held) = (minor(&row.posted)?, minor(&row.held)?);
        match purpose {
            Purpose::Wallet => *wallet = Balance { posted, held },
            // A debt is a negative balance.
            Purpose::Receivable => *owed = posted.saturating_neg(),
            Purpose::Fee | Purpose::World => return Err(unreadable(&row.purpose)),
        }
    }
    let formatted = found.into_iter().map(|(id, wallet, owed)| {
        let asset = &assets.by_id(id).ok_or_else(|| unreadable("an asset that is not registered"))?.asset;
        Ok(AssetBalance {
            asset: asset.code.clone(),
            posted: asset.format_signed(wallet.posted),
            held: asset.format_signed(wallet.held),
            available: asset.format_signed(wallet.available()),
            owed: asset.format_signed(owed),
        })
    });
    formatted.collect()
}

fn unreadable(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("unexpected {what}").into())
}
