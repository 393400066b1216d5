use std::sync::Arc;
use std::time::Duration;

use settlement::ask_for_verification;
use sqlx::PgPool;

use crate::call_lane::CallLane;

/// How often it is looked whether a new slot of time has begun.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Asks for a verification in every slot of time, until the lane is stopped.
pub(crate) async fn ask(lane: Arc<CallLane>, pool: PgPool, every: Duration) {
    let mut asked = None;
    while !lane.stopping.is_stopping() {
        match ask_for_verification(&pool, every, asked).await {
            Ok(slot) => asked = Some(slot),
            Err(error) => tracing::debug!(%error, "no verification was asked for; trying again"),
        }
        lane.stopping.pause(ASK_EVERY).await;
    }
}
