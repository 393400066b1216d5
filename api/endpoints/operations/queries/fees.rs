//! What the exchange itself has earned, apart from everything that is its people's.

use axum::Json;
use axum::extract::State;
use jobs::Assets;
use ledger::{Owner, Purpose};
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::amounts::asset_of;
use crate::documents::amounts::minor;
use crate::documents::texts::{AssetCode, SignedAmountText};
use crate::http::auth::Reader;
use crate::http::problem::Problem;
use crate::state::Api;

/// The fee accounts of the exchange.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Fees)]
pub(crate) struct FeesDocument {
    /// One entry for each asset that a fee was ever taken in.
    fees: Vec<AssetFees>,
}

/// The fee account of one asset, whatever stripes it is kept in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FeeAccount)]
struct AssetFees {
    #[schema(value_type = AssetCode)]
    asset: String,
    /// What it has: the fees, less what went out of them again, such as commissions. Decimal text in
    /// the asset's scale.
    #[schema(value_type = SignedAmountText)]
    balance: String,
    /// How many transfers went into it and out of it.
    #[schema(minimum = 1)]
    transfers: i64,
}

/// Get fees
///
/// What the exchange has earned: its fee accounts and nothing else. What a person was paid out
/// of them is in their commissions.
#[utoipa::path(
    get, path = "/v1/fees", tag = "fees", security(("key" = ["read"])),
    responses((status = 200, description = "As committed when it was asked", body = FeesDocument, example = json!({
        "fees": [{ "asset": "btc", "balance": "0.00036000", "transfers": 3 }],
    }))),
)]
pub(crate) async fn get_fees(_: Reader, State(api): State<Api>) -> Result<Json<FeesDocument>, Problem> {
    let assets = api.assets.current().await;
    let fees = fees(&api.pool, &assets).await?;
    Ok(Json(FeesDocument { fees }))
}

/// Reads the newest entry of each stripe, which has the balance, and as its version the number of
/// entries so far: nothing is ever held in a fee account, so each of them is a side of a transfer.
///
/// Sums of what went in and what went out would have to read every transfer there ever was: 60 to
/// 90 ms for each 100 000 of them, and still 20 ms with an index for this alone. So there are none.
async fn fees(pool: &PgPool, assets: &Assets) -> Result<Vec<AssetFees>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select a.asset, sum(e.posted)::text as "balance!", sum(e.version)::bigint as "transfers!"
        from account a
        cross join lateral (
            select posted, version from entry where account_id = a.id order by version desc limit 1
        ) e
        where a.owner = $1 and a.purpose = $2
        group by a.asset order by a.asset
        "#,
        Owner::HOUSE.get(),
        Purpose::Fee.as_str(),
    )
    .fetch_all(pool)
    .await?;
    let fees = rows.into_iter().map(|row| {
        let asset = asset_of(assets, row.asset)?;
        let balance = asset.format_signed(minor(&row.balance)?);
        Ok(AssetFees { asset: asset.code.clone(), balance, transfers: row.transfers })
    });
    fees.collect()
}
