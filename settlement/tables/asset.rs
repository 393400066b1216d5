use jobs::{AssetTerms, Assets};
use ledger::{Amount, Asset, AssetId, BasisPoints};
use sqlx::PgExecutor;

use crate::numeric::Numeric;
use crate::tables::corrupt;

/// Reads the registry of assets.
///
/// # Errors
/// Any error of the database.
pub async fn load_assets(db: impl PgExecutor<'_>) -> Result<Assets, sqlx::Error> {
    let rows = sqlx::query!(
        r#"select id, code, scale, credit_max as "credit_max: Numeric", maker_bps, taker_bps from asset order by id"#
    )
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|row| {
            Ok(AssetTerms {
                asset: Asset {
                    id: AssetId::new(row.id),
                    code: row.code,
                    scale: u8::try_from(row.scale).map_err(|_| corrupt("asset.scale"))?,
                },
                credit_max: Amount::from_minor(row.credit_max.0).map_err(|_| corrupt("asset.credit_max"))?,
                maker_rate: rate(row.maker_bps)?,
                taker_rate: rate(row.taker_bps)?,
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()
        .map(Assets::new)
}

/// A rate as stored.
pub(crate) fn rate(stored: i16) -> Result<BasisPoints, sqlx::Error> {
    u16::try_from(stored).ok().and_then(BasisPoints::new).ok_or_else(|| corrupt("a rate out of range"))
}
