use jobs::{Cause, Desk, PrincipalId};
use outbox::Ask;
use sqlx::PgConnection;

use crate::tables::{
    app_user, corrupt, deposit, entry, hold, parked, pause, referral, trade, transfer, user_flag, withdrawal,
    withdrawal_day,
};

/// Stores what a batch changed: one statement for each table and verb, and none where nothing
/// changed.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    if !desk.book.changes().is_consistent() {
        return Err(corrupt("transfers, holds and entries of the batch do not agree"));
    }
    pause::store(db, desk).await?;
    parked::store(db, desk).await?;
    app_user::store(db, desk).await?;
    trade::store(db, desk).await?;
    referral::store(db, desk).await?;
    deposit::store(db, desk).await?;
    withdrawal::store(db, desk).await?;
    withdrawal_day::store(db, desk).await?;
    user_flag::store(db, desk).await?;
    let changes = desk.book.changes();
    hold::store(db, changes).await?;
    transfer::store(db, &changes.transfers).await?;
    entry::store(db, &changes.entries).await?;
    record(db, &desk.causes).await
}

/// Records the jobs that are caused. What was caused before under its key is there already.
pub(crate) async fn record(db: &mut PgConnection, causes: &[Cause]) -> Result<(), sqlx::Error> {
    if causes.is_empty() {
        return Ok(());
    }
    let asks = causes.iter().map(ask).collect::<Result<Vec<Ask>, _>>()?;
    outbox::enqueue(db, &asks).await?;
    Ok(())
}

fn ask(cause: &Cause) -> Result<Ask, sqlx::Error> {
    let info = cause.kind.info();
    let payload = cause.kind.payload().map_err(|error| corrupt(error.to_string()))?.to_string();
    Ok(Ask {
        submitter: PrincipalId::HOLDFAST.0,
        kind: info.name,
        payload_hash: outbox::payload_hash(&[info.name.as_bytes(), cause.key.as_bytes()]),
        key: cause.key.clone(),
        payload,
        lane: info.lane.as_str(),
        subject: cause.kind.subject(),
        run_at: cause.run_at,
        caused_by: cause.caused_by.as_ref().map(|job| job.id.0),
        // What a job causes belongs to the trace of what asked for it.
        trace_parent: cause.caused_by.as_ref().and_then(|job| job.trace_parent.clone()),
    })
}
