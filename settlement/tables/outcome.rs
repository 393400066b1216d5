use jobs::{Desk, TradeId};
use sqlx::PgConnection;

/// Notes which of these jobs were refused: such a lock never opens its trade. One that has settled
/// since the trades were looked for is not meant.
pub(crate) async fn load_ended(db: &mut PgConnection, desk: &mut Desk, ids: &[i64]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let ended = sqlx::query_scalar!("select job_id from outcome where job_id = any ($1) and status <> 'settled'", ids)
        .fetch_all(db)
        .await?;
    desk.never_opened.extend(ended.into_iter().map(TradeId));
    Ok(())
}
