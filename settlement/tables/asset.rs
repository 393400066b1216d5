use jobs::{AssetTerms, Assets, WithdrawTerms};
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
        r#"
        select id, code, scale, credit_max as "credit_max: Numeric", maker_bps, taker_bps, rail, network, withdraw_scale,
            withdraw_min as "withdraw_min: Numeric", withdraw_fee as "withdraw_fee: Numeric",
            network_fee_max as "network_fee_max: Numeric", two_approvals_above as "two_approvals_above: Numeric"
        from asset order by id
        "#
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
                credit_max: amount(row.credit_max)?,
                maker_rate: rate(row.maker_bps)?,
                taker_rate: rate(row.taker_bps)?,
                withdraw: WithdrawTerms {
                    rail: row.rail,
                    network: row.network,
                    scale: u8::try_from(row.withdraw_scale).map_err(|_| corrupt("asset.withdraw_scale"))?,
                    min: amount(row.withdraw_min)?,
                    fee: amount(row.withdraw_fee)?,
                    network_fee_max: amount(row.network_fee_max)?,
                    two_approvals_above: amount(row.two_approvals_above)?,
                },
            })
        })
        .collect::<Result<Vec<_>, sqlx::Error>>()
        .map(Assets::new)
}

/// An amount as stored.
pub(crate) fn amount(stored: Numeric) -> Result<Amount, sqlx::Error> {
    Amount::from_minor(stored.0).map_err(|_| corrupt("an amount out of range"))
}

/// A rate as stored.
pub(crate) fn rate(stored: i16) -> Result<BasisPoints, sqlx::Error> {
    u16::try_from(stored).ok().and_then(BasisPoints::new).ok_or_else(|| corrupt("a rate out of range"))
}
