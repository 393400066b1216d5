use std::sync::Arc;
use std::time::Duration;

use outbox::Run;
use settlement::Settler;
use sqlx::PgPool;

/// How often a worker beats. Those silent for five of these are declared dead.
const BEAT: Duration = Duration::from_secs(1);
/// How many beats lie between two looks at the partitions.
const BEATS_PER_PARTITION_CHECK: u32 = 30;

/// What a heart beats for.
pub(crate) trait Body: Send + Sync {
    /// The run that beats.
    fn run(&self) -> &Run;
    /// What is told of suspects.
    fn settler(&self) -> &Settler;
    /// Other workers of the lane are about, or are not.
    fn company(&self, others: bool);
}

/// Beats for as long as the worker lives. What fails is tried again at the next beat.
pub(crate) async fn beat(body: Arc<impl Body>, pool: PgPool) {
    let mut beats = 0_u32;
    loop {
        if let Err(error) = once(body.as_ref(), &pool, beats).await {
            tracing::warn!(%error, "heartbeat failed");
        }
        beats = beats.wrapping_add(1);
        tokio::time::sleep(BEAT).await;
    }
}

async fn once(body: &impl Body, pool: &PgPool, beats: u32) -> Result<(), sqlx::Error> {
    let suspects = body.run().beat().await?;
    if !suspects.is_empty() {
        tracing::warn!(jobs = suspects.len(), "a worker ended uncleanly; its jobs are worked one at a time");
    }
    body.settler().refresh(suspects).await?;
    body.company(!body.run().is_alone().await?);
    if beats.is_multiple_of(BEATS_PER_PARTITION_CHECK) {
        let made = outbox::partitions_ahead(&mut *pool.acquire().await?).await?;
        if made > 0 {
            tracing::info!(made, "partitions made ahead");
        }
    }
    Ok(())
}
