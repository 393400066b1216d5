use jobs::{Commission, Desk, FeeSide, Referral, Tier, TradeId, UserId, Want};
use ledger::JobId;
use outbox::append;
use rustc_hash::FxHashMap;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::asset::rate;
use crate::tables::{all_hit, corrupt, stored_rate};

/// Reads what was fixed at lock for the trades whose fees may be shared. It never changes, so it
/// needs no lock.
pub(crate) async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = want.referrals.iter().filter(|id| desk.trades.get(id).is_some()).map(|id| id.0).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "
        select trade_id, side, level, referrer_id, tier, bps
        from trade_referral where trade_id = any ($1) order by trade_id, side, level
        ",
        &ids,
    )
    .fetch_all(db)
    .await?;
    let mut found: FxHashMap<TradeId, Vec<Referral>> = FxHashMap::default();
    for row in rows {
        let referral = Referral {
            side: FeeSide::parse(&row.side).ok_or_else(|| corrupt("trade_referral.side"))?,
            level: row.level,
            referrer: UserId(row.referrer_id),
            tier: Tier::parse(&row.tier).ok_or_else(|| corrupt("trade_referral.tier"))?,
            rate: row.bps.map(rate).transpose()?,
        };
        found.entry(TradeId(row.trade_id)).or_default().push(referral);
    }
    for (trade, referrals) in found {
        desk.referrals.load(trade, referrals);
    }
    Ok(())
}

/// Stores what was paid.
pub(crate) async fn store_paid(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    insert_paid(db, &desk.commissions.changed().inserted).await
}

/// The columns of what was fixed at lock.
pub(crate) struct Fixed {
    pub(crate) trades: Vec<i64>,
    pub(crate) sides: Vec<&'static str>,
    pub(crate) levels: Vec<i16>,
    pub(crate) referrers: Vec<i64>,
    pub(crate) tiers: Vec<&'static str>,
    pub(crate) rates: Vec<Option<i16>>,
}

impl Fixed {
    pub(crate) fn of(desk: &Desk) -> Self {
        let changed = desk.referrals.changed();
        let rows: Vec<(i64, &Referral)> =
            changed.inserted.iter().flat_map(|(id, fixed)| fixed.iter().map(|referral| (id.0, referral))).collect();
        Self {
            trades: rows.iter().map(|(id, _)| *id).collect(),
            sides: rows.iter().map(|(_, referral)| referral.side.as_str()).collect(),
            levels: rows.iter().map(|(_, referral)| referral.level).collect(),
            referrers: rows.iter().map(|(_, referral)| referral.referrer.0).collect(),
            tiers: rows.iter().map(|(_, referral)| referral.tier.as_str()).collect(),
            rates: rows.iter().map(|(_, referral)| referral.rate.map(stored_rate)).collect(),
        }
    }
}

/// Stores what was fixed at lock.
pub(crate) async fn store_fixed(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let fixed = Fixed::of(desk);
    if fixed.trades.is_empty() {
        return Ok(());
    }
    let appended = append!(
        db,
        fixed.trades.len(),
        "trade_referral" ("trade_id, side, level, referrer_id, tier, bps")
            from ("$1::bigint[], $2::text[], $3::smallint[], $4::bigint[], $5::text[], $6::smallint[]"):
        &fixed.trades,
        &fixed.sides,
        &fixed.levels,
        &fixed.referrers,
        &fixed.tiers,
        &fixed.rates,
    )
    .await?;
    all_hit(appended, fixed.trades.len())
}

async fn insert_paid(db: &mut PgConnection, paid: &[(&JobId, &Commission)]) -> Result<(), sqlx::Error> {
    if paid.is_empty() {
        return Ok(());
    }
    let jobs: Vec<i64> = paid.iter().map(|(id, _)| id.0).collect();
    let trades: Vec<i64> = paid.iter().map(|(_, commission)| commission.trade.0).collect();
    let referrers: Vec<i64> = paid.iter().map(|(_, commission)| commission.referrer.0).collect();
    let levels: Vec<i16> = paid.iter().map(|(_, commission)| commission.level).collect();
    let bases: Vec<Numeric> = paid.iter().map(|(_, commission)| Numeric(commission.base.minor())).collect();
    let rates: Vec<i16> = paid.iter().map(|(_, commission)| stored_rate(commission.rate)).collect();
    let amounts: Vec<Numeric> = paid.iter().map(|(_, commission)| Numeric(commission.amount.minor())).collect();
    let appended = append!(
        db,
        paid.len(),
        "commission" ("job_id, trade_id, referrer_id, level, base, bps, amount")
            from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::numeric[], $6::smallint[], \
                $7::numeric[]"):
        &jobs,
        &trades,
        &referrers,
        &levels,
        &bases,
        &rates,
        &amounts,
    )
    .await?;
    all_hit(appended, paid.len())
}
