use chrono::{DateTime, Utc};
use jobs::{Cause, Desk, PrincipalId, Subject};
use ledger::Entry;
use outbox::{Ask, COPY_MIN, Settled};
use sqlx::PgConnection;

use crate::follow_up::FollowUp;
use crate::tables::{self, When, corrupt, entry, hold, together, transfer};

/// Stores of what a batch changed all that rests on rows which it has locked, and nothing that says what an
/// account, a day or a person was left with; and what it causes.
pub(crate) async fn store_rows(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let changes = desk.book.changes();
    store_own(db, desk).await?;
    tables::store(db, desk, When::WithBook).await?;
    hold::store(db, changes).await?;
    transfer::store(db, &changes.transfers).await
}

/// Stores the rest, which rests on what batches share: days, people, entries; and new deposits.
pub(crate) async fn store_shared(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    is_consistent(desk)?;
    tables::store(db, desk, When::Shared).await?;
    entry::store(db, &desk.book.changes().entries).await
}

/// Whether what a batch did is little enough for [`store_few`].
pub(crate) fn are_few(desk: &Desk) -> bool {
    desk.book.changes().entries.len() < COPY_MIN && desk.referrals.changed().inserted.len() < COPY_MIN
}

/// Stores what [`store_rows`] and [`store_shared`] do, with one statement for the book and what is stored with it. To be
/// called under all locks of the batch.
pub(crate) async fn store_few(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    is_consistent(desk)?;
    store_own(db, desk).await?;
    tables::store(db, desk, When::Shared).await?;
    together::store(db, desk).await
}

/// The batch's own rows, but for the book and what is stored with it; and what it causes.
async fn store_own(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    tables::store(db, desk, When::Own).await?;
    record(db, &desk.causes).await
}

fn is_consistent(desk: &Desk) -> Result<(), sqlx::Error> {
    if desk.book.changes().is_consistent() {
        return Ok(());
    }
    Err(corrupt("transfers, holds and entries of the batch do not agree"))
}

/// Whether [`store_rows`] stores the same for both.
pub(crate) fn same_rows(one: &Desk, other: &Desk) -> bool {
    let (changes, others) = (one.book.changes(), other.book.changes());
    // What entries say of holds that close, but not what they leave behind.
    let moves = |entry: &Entry| (entry.account, entry.job, entry.cause, entry.d_posted, entry.d_held);
    changes.entries.iter().map(moves).eq(others.entries.iter().map(moves))
        && changes.transfers == others.transfers
        && changes.opened == others.opened
        && changes.closed == others.closed
        && tables::same_foreseen(one, other)
        && one.causes == other.causes
}

/// Records the jobs that the batch has caused and settled itself; their outcomes are still to be recorded.
pub(crate) async fn record_settled(
    db: &mut PgConnection,
    follow_ups: &[FollowUp],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let settled = |follow_up: &FollowUp| Settled { job_id: follow_up.job.id.0, ask: ask(&follow_up.cause) };
    outbox::record_settled(db, follow_ups.iter().map(settled).collect(), now).await
}

/// Records the jobs that are caused. What was caused before under its key is there already.
pub(crate) async fn record(db: &mut PgConnection, causes: &[Cause]) -> Result<(), sqlx::Error> {
    if causes.is_empty() {
        return Ok(());
    }
    let asks: Vec<Ask> = causes.iter().map(ask).collect();
    outbox::enqueue(db, &asks).await?;
    Ok(())
}

fn ask(cause: &Cause) -> Ask {
    let kind = cause.kind;
    Ask {
        submitter: PrincipalId::HOLDFAST.0,
        kind: kind.name,
        payload_hash: outbox::payload_hash(&[kind.name.as_bytes(), cause.key.as_bytes()]),
        key: cause.key.clone(),
        payload: cause.payload.clone(),
        lane: kind.lane.as_str(),
        subject_type: kind.about.sort.as_str(),
        subject: cause.named.map(Subject::number),
        run_at: cause.run_at,
        caused_by: cause.caused_by.as_ref().map(|job| job.id.0),
        // What a job causes belongs to the trace of what asked for it.
        trace_parent: cause.caused_by.as_ref().and_then(|job| job.trace_parent.clone()),
    }
}
