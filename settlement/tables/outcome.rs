use jobs::{Desk, TradeId};
use sqlx::PgConnection;

/// Notes which of these jobs have ended: a lock that ended without opening its trade never will.
pub(crate) async fn load_ended(db: &mut PgConnection, desk: &mut Desk, ids: &[i64]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ended = sqlx::query_scalar!("select job_id from outcome where job_id = any ($1)", ids).fetch_all(db).await?;
    desk.never_opened.extend(ended.into_iter().map(TradeId));
    Ok(())
}
