use chrono::TimeDelta;
use jobs::{Rules, Tier};
use ledger::AssetId;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

use crate::numeric::Numeric;
use crate::tables::asset::{amount, rate};
use crate::tables::corrupt;

/// Reads what an operator may set.
///
/// # Errors
/// Any error of the database.
pub(crate) async fn load(db: &mut PgConnection) -> Result<Rules, sqlx::Error> {
    let row = sqlx::query!("select pay_window, expiry_grace, extension_max, approval_valid from rules")
        .fetch_one(&mut *db)
        .await?;
    let rates = sqlx::query!("select tier, level, bps from referral_rate").fetch_all(&mut *db).await?;
    let limits =
        sqlx::query!(r#"select kyc, asset, day_max as "day_max: Numeric" from kyc_limit"#).fetch_all(db).await?;
    let kyc_limits = limits.into_iter().map(|row| Ok(((row.kyc, AssetId::new(row.asset)), amount(row.day_max)?)));
    let referral_rates = rates.into_iter().map(|row| {
        let tier = Tier::parse(&row.tier).ok_or_else(|| corrupt("referral_rate.tier"))?;
        Ok(((tier, row.level), rate(row.bps)?))
    });
    Ok(Rules {
        pay_window: delta(&row.pay_window)?,
        expiry_grace: delta(&row.expiry_grace)?,
        extension_max: delta(&row.extension_max)?,
        approval_valid: delta(&row.approval_valid)?,
        kyc_limits: kyc_limits.collect::<Result<_, sqlx::Error>>()?,
        referral_rates: referral_rates.collect::<Result<_, sqlx::Error>>()?,
    })
}

/// Days count as 24 hours; a month has no fixed length and is refused.
fn delta(interval: &PgInterval) -> Result<TimeDelta, sqlx::Error> {
    if interval.months != 0 {
        return Err(corrupt("an interval in months, which have no fixed length"));
    }
    TimeDelta::days(interval.days.into())
        .checked_add(&TimeDelta::microseconds(interval.microseconds))
        .ok_or_else(|| corrupt("an interval out of range"))
}
