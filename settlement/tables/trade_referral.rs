use jobs::{Desk, FeeSide, Referral, Tier, TradeId, UserId, Want};
use outbox::append;
use rustc_hash::FxHashMap;
use sqlx::PgConnection;

use crate::tables::asset::rate;
use crate::tables::{Loaded, When, all_hit, corrupt, stored_rate};

/// Who shares in the fees of a trade.
pub(crate) struct Table;

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
    pub(crate) fn of(trades: &[(&TradeId, &Vec<Referral>)]) -> Self {
        let rows: Vec<(i64, &Referral)> =
            trades.iter().flat_map(|(id, fixed)| fixed.iter().map(|referral| (id.0, referral))).collect();
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

impl Loaded for Table {
    type Key = TradeId;
    type Row = Vec<Referral>;
    const INSERTED: When = When::WithBook;

    /// Reads what was fixed at lock for the trades whose fees may be shared. It never changes, so it
    /// needs no lock.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
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

    /// Stores what was fixed at lock.
    async fn insert(db: &mut PgConnection, _: &Desk, trades: &[(&TradeId, &Vec<Referral>)]) -> Result<(), sqlx::Error> {
        let fixed = Fixed::of(trades);
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
}
