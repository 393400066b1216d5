//! What a batch of a few jobs did to the book, in one statement instead of five: there the round trips are what it
//! takes. What is stored, and what must be hit, is what the tables' own files say, which store the same for a large
//! batch.

use jobs::Desk;
use sqlx::PgConnection;

use crate::tables::{all_hit, entry, hold, trade_referral, transfer};

/// Stores holds opened and closed, transfers, entries, and what was fixed of referrals as trades were opened. Locks are
/// held on all that it rests on.
///
/// All of it sees the tables as they were before: no hold that is opened here is closed here as well, since one that
/// was opened and closed by the same batch is stored closed.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let (changes, fixed) = (desk.book.changes(), trade_referral::Fixed::of(&desk.referrals.changed().inserted));
    if changes.is_empty() && fixed.trades.is_empty() {
        return Ok(());
    }
    let (opened, closed) = (hold::Opened::of(changes), hold::Closed::of(changes));
    let (transfers, entries) = (transfer::Columns::of(&changes.transfers), entry::Columns::of(&changes.entries));
    let stored = sqlx::query!(
        r#"
        with opened as (
            insert into hold (id, account_id, subject, amount, closed_by)
            select * from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[], $5::bigint[])
            returning 1
        ), closed as (
            update hold h set closed_by = u.job_id
            from unnest($6::bigint[], $7::bigint[], $8::bigint[], $9::numeric[]) as u (id, job_id, account_id, amount)
            where h.id = u.id and h.closed_by is null and h.account_id = u.account_id and h.amount = u.amount
            returning 1
        ), moved as (
            insert into transfer (job_id, leg, code, debit, credit, amount)
            select * from unnest($10::bigint[], $11::smallint[], $12::text[], $13::bigint[], $14::bigint[],
                $15::numeric[])
            returning 1
        ), written as (
            insert into entry (account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held)
            select * from unnest($16::bigint[], $17::bigint[], $18::bigint[], $19::smallint[], $20::bigint[],
                $21::numeric[], $22::numeric[], $23::numeric[], $24::numeric[])
            returning 1
        ), fixed as (
            insert into trade_referral (trade_id, side, level, referrer_id, tier, bps)
            select * from unnest($25::bigint[], $26::text[], $27::smallint[], $28::bigint[], $29::text[],
                $30::smallint[])
            returning 1
        )
        select (select count(*) from opened) as "opened!", (select count(*) from closed) as "closed!",
            (select count(*) from moved) as "moved!", (select count(*) from written) as "written!",
            (select count(*) from fixed) as "fixed!"
        "#,
        &opened.ids,
        &opened.accounts,
        &opened.subjects,
        &opened.amounts as _,
        &opened.closed as _,
        &closed.ids,
        &closed.jobs,
        &closed.accounts,
        &closed.amounts as _,
        &transfers.jobs,
        &transfers.legs,
        &transfers.codes as _,
        &transfers.debits,
        &transfers.credits,
        &transfers.amounts as _,
        &entries.accounts,
        &entries.versions,
        &entries.jobs,
        &entries.legs as _,
        &entries.holds as _,
        &entries.d_posted as _,
        &entries.d_held as _,
        &entries.posted as _,
        &entries.held as _,
        &fixed.trades,
        &fixed.sides as _,
        &fixed.levels,
        &fixed.referrers,
        &fixed.tiers as _,
        &fixed.rates as _,
    )
    .fetch_one(db)
    .await?;
    [
        (stored.opened, changes.opened.len()),
        (stored.closed, changes.closed.len()),
        (stored.moved, changes.transfers.len()),
        (stored.written, changes.entries.len()),
        (stored.fixed, fixed.trades.len()),
    ]
    .into_iter()
    .try_for_each(|(rows, meant)| all_hit(rows.try_into().unwrap_or(u64::MAX), meant))
}
