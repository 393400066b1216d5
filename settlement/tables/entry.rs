use ledger::{Cause, Entry};
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// Whether entries could not be appended because somebody else has written the newest of an account.
pub(crate) fn are_outdated(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("entry_pk")
}

/// The columns of entries.
pub(crate) struct Columns {
    pub(crate) accounts: Vec<i64>,
    pub(crate) versions: Vec<i64>,
    pub(crate) jobs: Vec<i64>,
    pub(crate) legs: Vec<Option<i16>>,
    pub(crate) holds: Vec<Option<i64>>,
    pub(crate) d_posted: Vec<Numeric>,
    pub(crate) d_held: Vec<Numeric>,
    pub(crate) posted: Vec<Numeric>,
    pub(crate) held: Vec<Numeric>,
}

impl Columns {
    pub(crate) fn of(entries: &[Entry]) -> Self {
        let (legs, holds) = entries
            .iter()
            .map(|entry| match entry.cause {
                Cause::Transfer { leg } => (Some(leg), None),
                Cause::HoldOpened(hold) | Cause::HoldClosed(hold) => (None, Some(hold.0)),
            })
            .unzip();
        Self {
            accounts: entries.iter().map(|entry| entry.account.get()).collect(),
            versions: entries.iter().map(|entry| entry.version).collect(),
            jobs: entries.iter().map(|entry| entry.job.0).collect(),
            legs,
            holds,
            d_posted: entries.iter().map(|entry| Numeric(entry.d_posted)).collect(),
            d_held: entries.iter().map(|entry| Numeric(entry.d_held)).collect(),
            posted: entries.iter().map(|entry| Numeric(entry.posted)).collect(),
            held: entries.iter().map(|entry| Numeric(entry.held)).collect(),
        }
    }
}

/// Appends entries. Two batches that both believe they have the newest balance of an account
/// collide on its next version.
pub(crate) async fn store(db: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(entries);
    let appended = append!(
        db,
        entries.len(),
        "entry" ("account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held")
            from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::numeric[], \
                $7::numeric[], $8::numeric[], $9::numeric[]"):
        &columns.accounts,
        &columns.versions,
        &columns.jobs,
        &columns.legs,
        &columns.holds,
        &columns.d_posted,
        &columns.d_held,
        &columns.posted,
        &columns.held,
    )
    .await?;
    all_hit(appended, entries.len())
}
