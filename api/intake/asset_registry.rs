use std::time::Duration;

use jobs::{AssetTerms, Assets, WithdrawTerms};
use ledger::{Amount, Asset, AssetId, BasisPoints};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::within::within;

/// How old the registry may be. A new asset is known this long after it was added.
const FRESH: Duration = Duration::from_secs(5);
/// How long requests may be held up by reading it again.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// The assets as they were last read.
#[derive(Debug)]
pub(crate) struct AssetRegistry {
    pool: PgPool,
    read: Mutex<(Assets, Instant)>,
}

impl AssetRegistry {
    /// Reads the registry for the first time.
    pub(crate) async fn load(pool: PgPool) -> Result<Self, sqlx::Error> {
        let assets = read(&pool).await?;
        Ok(Self { pool, read: Mutex::new((assets, Instant::now())) })
    }

    /// The assets, read again when they are old. While one request reads, the others wait for it;
    /// when the database does not answer, the old ones serve.
    pub(crate) async fn current(&self) -> Assets {
        let mut known = self.read.lock().await;
        if known.1.elapsed() > FRESH {
            match within(READ_WITHIN, read(&self.pool)).await {
                Ok(assets) => known.0 = assets,
                Err(error) => tracing::warn!(%error, "the assets could not be read again"),
            }
            known.1 = Instant::now();
        }
        known.0.clone()
    }
}

async fn read(pool: &PgPool) -> Result<Assets, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select id, code, scale, credit_max::text as "credit_max!", maker_bps, taker_bps, rail, network, withdraw_scale,
            withdraw_min::text as "withdraw_min!", withdraw_fee::text as "withdraw_fee!",
            network_fee_max::text as "network_fee_max!", two_approvals_above::text as "two_approvals_above!"
        from asset order by id
        "#
    )
    .fetch_all(pool)
    .await?;
    let terms = rows.into_iter().map(|row| {
        let terms = || {
            Some(AssetTerms {
                asset: Asset { id: AssetId::new(row.id), code: row.code, scale: u8::try_from(row.scale).ok()? },
                credit_max: amount(&row.credit_max)?,
                maker_rate: BasisPoints::new(u16::try_from(row.maker_bps).ok()?)?,
                taker_rate: BasisPoints::new(u16::try_from(row.taker_bps).ok()?)?,
                withdraw: WithdrawTerms {
                    rail: row.rail,
                    network: row.network,
                    scale: u8::try_from(row.withdraw_scale).ok()?,
                    min: amount(&row.withdraw_min)?,
                    fee: amount(&row.withdraw_fee)?,
                    network_fee_max: amount(&row.network_fee_max)?,
                    two_approvals_above: amount(&row.two_approvals_above)?,
                },
            })
        };
        terms().ok_or_else(|| sqlx::Error::Decode(format!("asset {} is out of range", row.id).into()))
    });
    terms.collect::<Result<Vec<_>, _>>().map(Assets::new)
}

fn amount(text: &str) -> Option<Amount> {
    Amount::from_minor(text.parse().ok()?).ok()
}
