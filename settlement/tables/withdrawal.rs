use chrono::{DateTime, NaiveDate, Utc};
use jobs::machines::withdrawal::WithdrawalState;
use jobs::{DayKey, Desk, Destination, PrincipalId, UserId, Want, Withdrawal, WithdrawalId};
use ledger::{AssetId, HoldId};
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::asset::amount;
use crate::tables::{Loaded, all_hit, approval, corrupt};

/// Adds the days of the limits that the loaded withdrawals use.
pub(crate) fn days(desk: &Desk, want: &mut Want) {
    let used = want.withdrawals.iter().filter_map(|id| desk.withdrawals.get(id));
    want.days.extend(used.map(|row| DayKey { user: row.user, asset: row.asset, day: row.day }));
}

/// Withdrawals, with their approvals.
pub(crate) struct Table;

impl Loaded for Table {
    type Key = WithdrawalId;
    type Row = Withdrawal;

    /// Locks withdrawals in the order of their ids and reads them with their approvals.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = want.withdrawals.iter().map(|id| id.0).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows = sqlx::query!(
            r#"
            select id, user_id, requested_by, asset, rail, network, address, memo, amount as "amount: Numeric",
                fee as "fee: Numeric", network_fee_max as "network_fee_max: Numeric", hold_id, content_hash, state,
                approvals_needed, day, requested_at, approved_at, approved_until, closed_at, close_reason
            from withdrawal where id = any ($1) order by id for no key update
            "#,
            &ids,
        )
        .fetch_all(&mut *db)
        .await?;
        // Under the locks, so that no approval can be missing.
        let mut approvals = approval::of(db, &ids).await?;
        for row in rows {
            let withdrawal = Withdrawal {
                user: UserId(row.user_id),
                requested_by: PrincipalId(row.requested_by),
                asset: AssetId::new(row.asset),
                to: Destination { rail: row.rail, network: row.network, address: row.address, memo: row.memo },
                amount: amount(row.amount)?,
                fee: amount(row.fee)?,
                network_fee_max: amount(row.network_fee_max)?,
                hold: HoldId(row.hold_id),
                content_hash: row.content_hash.try_into().map_err(|_| corrupt("withdrawal.content_hash"))?,
                state: WithdrawalState::parse(&row.state).ok_or_else(|| corrupt("withdrawal.state"))?,
                approvals_needed: u8::try_from(row.approvals_needed)
                    .map_err(|_| corrupt("withdrawal.approvals_needed"))?,
                day: row.day,
                requested_at: row.requested_at,
                approved: row.approved_at.zip(row.approved_until),
                closed_at: row.closed_at,
                close_reason: row.close_reason,
                approvals: approvals.remove(&row.id).unwrap_or_default(),
            };
            desk.withdrawals.load(WithdrawalId(row.id), withdrawal);
        }
        Ok(())
    }

    async fn insert(db: &mut PgConnection, _: &Desk, rows: &[(&WithdrawalId, &Withdrawal)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = rows.iter().map(|(id, _)| id.0).collect();
        let users: Vec<i64> = rows.iter().map(|(_, row)| row.user.0).collect();
        let requesters: Vec<i64> = rows.iter().map(|(_, row)| row.requested_by.0).collect();
        let assets: Vec<i16> = rows.iter().map(|(_, row)| row.asset.get()).collect();
        let rails: Vec<&str> = rows.iter().map(|(_, row)| row.to.rail.as_str()).collect();
        let networks: Vec<&str> = rows.iter().map(|(_, row)| row.to.network.as_str()).collect();
        let addresses: Vec<&str> = rows.iter().map(|(_, row)| row.to.address.as_str()).collect();
        let memos: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.to.memo.as_deref()).collect();
        let amounts: Vec<Numeric> = rows.iter().map(|(_, row)| Numeric(row.amount.minor())).collect();
        let fees: Vec<Numeric> = rows.iter().map(|(_, row)| Numeric(row.fee.minor())).collect();
        let caps: Vec<Numeric> = rows.iter().map(|(_, row)| Numeric(row.network_fee_max.minor())).collect();
        let holds: Vec<i64> = rows.iter().map(|(_, row)| row.hold.0).collect();
        let hashes: Vec<&[u8]> = rows.iter().map(|(_, row)| row.content_hash.as_slice()).collect();
        let states: Vec<&str> = rows.iter().map(|(_, row)| row.state.as_str()).collect();
        let needed: Vec<i16> = rows.iter().map(|(_, row)| row.approvals_needed.into()).collect();
        let days: Vec<NaiveDate> = rows.iter().map(|(_, row)| row.day).collect();
        let requested: Vec<DateTime<Utc>> = rows.iter().map(|(_, row)| row.requested_at).collect();
        let appended = append!(
            db,
            ids.len(),
            "withdrawal" ("id, user_id, requested_by, asset, rail, network, address, memo, amount, fee, network_fee_max, \
                hold_id, content_hash, state, approvals_needed, day, requested_at")
                from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::text[], $6::text[], $7::text[], \
                    $8::text[], $9::numeric[], $10::numeric[], $11::numeric[], $12::bigint[], $13::bytea[], \
                    $14::text[], $15::smallint[], $16::date[], $17::timestamptz[]"):
            &ids,
            &users,
            &requesters,
            &assets,
            &rails,
            &networks,
            &addresses,
            &memos,
            &amounts,
            &fees,
            &caps,
            &holds,
            &hashes,
            &states,
            &needed,
            &days,
            &requested,
        )
        .await?;
        all_hit(appended, ids.len())
    }

    async fn update(db: &mut PgConnection, _: &Desk, rows: &[(&WithdrawalId, &Withdrawal)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = rows.iter().map(|(id, _)| id.0).collect();
        let states: Vec<&str> = rows.iter().map(|(_, row)| row.state.as_str()).collect();
        let approved: Vec<Option<DateTime<Utc>>> = rows.iter().map(|(_, row)| row.approved.map(|(at, _)| at)).collect();
        let until: Vec<Option<DateTime<Utc>>> =
            rows.iter().map(|(_, row)| row.approved.map(|(_, until)| until)).collect();
        let closed: Vec<Option<DateTime<Utc>>> = rows.iter().map(|(_, row)| row.closed_at).collect();
        let reasons: Vec<Option<&str>> = rows.iter().map(|(_, row)| row.close_reason.as_deref()).collect();
        let result = sqlx::query!(
            "
            update withdrawal w
            set state = u.state, approved_at = u.approved_at, approved_until = u.approved_until, closed_at = u.closed_at,
                close_reason = u.close_reason
            from unnest($1::bigint[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::timestamptz[], $6::text[])
                as u (id, state, approved_at, approved_until, closed_at, close_reason)
            where w.id = u.id
            ",
            &ids,
            &states as _,
            &approved as _,
            &until as _,
            &closed as _,
            &reasons as _,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), ids.len())
    }
}
