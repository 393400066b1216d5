use chrono::{DateTime, Utc};
use jobs::machines::trade::TradeState;
use jobs::{Desk, MakerSide, Trade, TradeId, UserId, Want};
use ledger::{AssetId, HoldId};
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::asset::{amount, rate};
use crate::tables::{Loaded, all_hit, corrupt, stored_rate};

/// Trades.
pub(crate) struct Table;

impl Loaded for Table {
    type Key = TradeId;
    type Row = Trade;

    /// Locks trades in the order of their ids and reads them.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = want.trades.iter().map(|id| id.0).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            select id, seller_id, buyer_id, asset, amount as "amount: Numeric", hold_id, state, maker, maker_bps, taker_bps,
                maker_fee as "maker_fee: Numeric", taker_fee as "taker_fee: Numeric", opened_at, pay_by, paid_at, closed_at,
                timer_generation, extended_at, undone_at, ended_at, commissioned as "commissioned: Numeric"
            from trade where id = any ($1) order by id for no key update
            "#,
            &ids,
        )
        .fetch_all(db)
        .await?;
        for row in rows {
            let fee = |stored: Option<Numeric>| stored.map(amount).transpose();
            let trade = Trade {
                seller: UserId(row.seller_id),
                buyer: UserId(row.buyer_id),
                asset: AssetId::new(row.asset),
                amount: amount(row.amount)?,
                hold: HoldId(row.hold_id),
                state: TradeState::parse(&row.state).ok_or_else(|| corrupt("trade.state"))?,
                maker: MakerSide::parse(&row.maker).ok_or_else(|| corrupt("trade.maker"))?,
                maker_rate: rate(row.maker_bps)?,
                taker_rate: rate(row.taker_bps)?,
                fees: fee(row.maker_fee)?.zip(fee(row.taker_fee)?),
                opened_at: row.opened_at,
                pay_by: row.pay_by,
                paid_at: row.paid_at,
                closed_at: row.closed_at,
                timer: row.timer_generation,
                extended_at: row.extended_at,
                undone_at: row.undone_at,
                ended_at: row.ended_at,
                commissioned: amount(row.commissioned)?,
            };
            desk.trades.load(TradeId(row.id), trade);
        }
        Ok(())
    }

    async fn insert(db: &mut PgConnection, desk: &Desk, trades: &[(&TradeId, &Trade)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = trades.iter().map(|(id, _)| id.0).collect();
        let sellers: Vec<i64> = trades.iter().map(|(_, trade)| trade.seller.0).collect();
        let buyers: Vec<i64> = trades.iter().map(|(_, trade)| trade.buyer.0).collect();
        let assets: Vec<i16> = trades.iter().map(|(_, trade)| trade.asset.get()).collect();
        let amounts: Vec<Numeric> = trades.iter().map(|(_, trade)| Numeric(trade.amount.minor())).collect();
        let holds: Vec<i64> = trades.iter().map(|(_, trade)| trade.hold.0).collect();
        let states: Vec<&str> = trades.iter().map(|(_, trade)| trade.state.as_str()).collect();
        let makers: Vec<&str> = trades.iter().map(|(_, trade)| trade.maker.as_str()).collect();
        let maker_bps: Vec<i16> = trades.iter().map(|(_, trade)| stored_rate(trade.maker_rate)).collect();
        let taker_bps: Vec<i16> = trades.iter().map(|(_, trade)| stored_rate(trade.taker_rate)).collect();
        let opened: Vec<DateTime<Utc>> = trades.iter().map(|(_, trade)| trade.opened_at).collect();
        let pay_by: Vec<DateTime<Utc>> = trades.iter().map(|(_, trade)| trade.pay_by).collect();
        let paid: Vec<Option<DateTime<Utc>>> = trades.iter().map(|(_, trade)| trade.paid_at).collect();
        let closed: Vec<Option<DateTime<Utc>>> = trades.iter().map(|(_, trade)| trade.closed_at).collect();
        let timers: Vec<i16> = trades.iter().map(|(_, trade)| trade.timer).collect();
        let referrals: Vec<i16> = trades
            .iter()
            .map(|(id, _)| desk.referrals.get(id).map_or(0, |fixed| i16::try_from(fixed.len()).unwrap_or(i16::MAX)))
            .collect();
        let [extended, undone, ended] = moments(trades);
        let (maker_fees, taker_fees) = fees(trades);
        let appended = append!(
            db,
            ids.len(),
            "trade" ("id, seller_id, buyer_id, asset, amount, hold_id, state, maker, maker_bps, taker_bps, maker_fee, \
                taker_fee, opened_at, pay_by, paid_at, closed_at, timer_generation, extended_at, undone_at, \
                ended_at, referrals")
                from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::numeric[], $6::bigint[], \
                    $7::text[], $8::text[], $9::smallint[], $10::smallint[], $11::numeric[], $12::numeric[], \
                    $13::timestamptz[], $14::timestamptz[], $15::timestamptz[], $16::timestamptz[], \
                    $17::smallint[], $18::timestamptz[], $19::timestamptz[], $20::timestamptz[], $21::smallint[]"):
            &ids,
            &sellers,
            &buyers,
            &assets,
            &amounts,
            &holds,
            &states,
            &makers,
            &maker_bps,
            &taker_bps,
            &maker_fees,
            &taker_fees,
            &opened,
            &pay_by,
            &paid,
            &closed,
            &timers,
            &extended,
            &undone,
            &ended,
            &referrals,
        )
        .await?;
        all_hit(appended, ids.len())
    }

    async fn update(db: &mut PgConnection, _: &Desk, trades: &[(&TradeId, &Trade)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = trades.iter().map(|(id, _)| id.0).collect();
        let states: Vec<&str> = trades.iter().map(|(_, trade)| trade.state.as_str()).collect();
        let paid: Vec<Option<DateTime<Utc>>> = trades.iter().map(|(_, trade)| trade.paid_at).collect();
        let closed: Vec<Option<DateTime<Utc>>> = trades.iter().map(|(_, trade)| trade.closed_at).collect();
        let pay_by: Vec<DateTime<Utc>> = trades.iter().map(|(_, trade)| trade.pay_by).collect();
        let timers: Vec<i16> = trades.iter().map(|(_, trade)| trade.timer).collect();
        let commissioned: Vec<Numeric> = trades.iter().map(|(_, trade)| Numeric(trade.commissioned.minor())).collect();
        let [extended, undone, ended] = moments(trades);
        let (maker_fees, taker_fees) = fees(trades);
        let result = sqlx::query!(
            "
            update trade t
            set state = u.state, paid_at = u.paid_at, closed_at = u.closed_at, maker_fee = u.maker_fee,
                taker_fee = u.taker_fee, pay_by = u.pay_by, timer_generation = u.timer_generation,
                commissioned = u.commissioned, extended_at = u.extended_at, undone_at = u.undone_at, ended_at = u.ended_at
            from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::numeric[], $6::numeric[],
                $7::timestamptz[], $8::smallint[], $9::numeric[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[])
                as u (id, state, paid_at, closed_at, maker_fee, taker_fee, pay_by, timer_generation, commissioned,
                    extended_at, undone_at, ended_at)
            where t.id = u.id
            ",
            &ids,
            &states as _,
            &paid as _,
            &closed as _,
            &maker_fees as _,
            &taker_fees as _,
            &pay_by,
            &timers,
            &commissioned as _,
            &extended as _,
            &undone as _,
            &ended as _,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), ids.len())
    }
}

type Moments = Vec<Option<DateTime<Utc>>>;

/// When the trades were extended, undone, and cancelled or expired.
fn moments(trades: &[(&TradeId, &Trade)]) -> [Moments; 3] {
    [
        trades.iter().map(|(_, trade)| trade.extended_at).collect(),
        trades.iter().map(|(_, trade)| trade.undone_at).collect(),
        trades.iter().map(|(_, trade)| trade.ended_at).collect(),
    ]
}

type Fees = Vec<Option<Numeric>>;

fn fees(trades: &[(&TradeId, &Trade)]) -> (Fees, Fees) {
    trades
        .iter()
        .map(|(_, trade)| match trade.fees {
            Some((maker, taker)) => (Some(Numeric(maker.minor())), Some(Numeric(taker.minor()))),
            None => (None, None),
        })
        .unzip()
}
