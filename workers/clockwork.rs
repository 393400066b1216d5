use std::sync::Arc;
use std::time::Duration;

use settlement::Settler;
use sqlx::PgPool;

use crate::feed::Feed;

/// How often a worker looks for timers that have fallen due: an expiry is late by this at most.
const TICK: Duration = Duration::from_millis(250);

/// Causes the timers that have fallen due, for as long as the worker lives. What fails is tried
/// again at the next tick.
pub(crate) async fn tick(feed: Arc<Feed>, pool: PgPool) {
    loop {
        match feed.settler.sweep_timers().await {
            Ok(0) => {}
            Ok(caused) => {
                tracing::debug!(caused, "timers fell due");
                if let Err(error) = outbox::nudge(&pool, Settler::LANE).await {
                    tracing::debug!(%error, "the nudge was lost; workers also poll");
                }
            }
            Err(error) => tracing::warn!(%error, "timers could not be swept"),
        }
        tokio::time::sleep(TICK).await;
    }
}
