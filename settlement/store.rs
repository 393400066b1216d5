use jobs::Desk;
use sqlx::PgConnection;

use crate::tables::{app_user, corrupt, deposit, entry, hold, parked, pause, trade, transfer};

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
    deposit::store(db, desk).await?;
    let changes = desk.book.changes();
    hold::store(db, changes).await?;
    transfer::store(db, &changes.transfers).await?;
    entry::store(db, &changes.entries).await
}
