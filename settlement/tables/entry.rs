use ledger::{Cause, Entry};
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// Whether entries could not be appended because somebody else has written the newest of an account.
pub(crate) fn are_outdated(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(sqlx::error::DatabaseError::constraint) == Some("entry_pk")
}

/// Appends entries. Two batches that both believe they have the newest balance of an account
/// collide on its next version.
pub(crate) async fn store(db: &mut PgConnection, entries: &[Entry]) -> Result<(), sqlx::Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let accounts: Vec<i64> = entries.iter().map(|entry| entry.account.get()).collect();
    let versions: Vec<i64> = entries.iter().map(|entry| entry.version).collect();
    let jobs: Vec<i64> = entries.iter().map(|entry| entry.job.0).collect();
    let (legs, holds): (Vec<Option<i16>>, Vec<Option<i64>>) = entries
        .iter()
        .map(|entry| match entry.cause {
            Cause::Transfer { leg } => (Some(leg), None),
            Cause::HoldOpened(hold) | Cause::HoldClosed(hold) => (None, Some(hold.0)),
        })
        .unzip();
    let d_posted: Vec<Numeric> = entries.iter().map(|entry| Numeric(entry.d_posted)).collect();
    let d_held: Vec<Numeric> = entries.iter().map(|entry| Numeric(entry.d_held)).collect();
    let posted: Vec<Numeric> = entries.iter().map(|entry| Numeric(entry.posted)).collect();
    let held: Vec<Numeric> = entries.iter().map(|entry| Numeric(entry.held)).collect();
    let appended = append!(
        db,
        entries.len(),
        "entry" ("account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held")
            from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::bigint[], $6::numeric[], \
                $7::numeric[], $8::numeric[], $9::numeric[]"):
        &accounts,
        &versions,
        &jobs,
        &legs,
        &holds,
        &d_posted,
        &d_held,
        &posted,
        &held,
    )
    .await?;
    all_hit(appended, entries.len())
}
