use std::sync::Arc;
use std::time::Duration;

use settlement::{ask_for_verification, give_back_verification, lease_verification, settle_verification};
use sqlx::PgPool;
use tokio::time::Instant;

use crate::feed::Feed;

/// How often it is looked for a verification to run.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked whether a new slot of time has begun.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Runs verifications, one at a time, until the feed is stopped; and asks for one in every slot of
/// time, where slots are given.
pub(crate) async fn verify(feed: Arc<Feed>, pool: PgPool, every: Option<Duration>) {
    let mut asked = None;
    let mut ask_at = Instant::now();
    while !feed.is_stopping() {
        if let Some(every) = every
            && Instant::now() >= ask_at
        {
            ask_at = Instant::now().checked_add(ASK_EVERY).unwrap_or(ask_at);
            match ask_for_verification(&pool, every, asked).await {
                Ok(slot) => asked = Some(slot),
                Err(error) => tracing::debug!(%error, "no verification was asked for; trying again"),
            }
        }
        match lease_verification(&pool).await {
            Ok(Some(leased)) => run(&feed, &pool, leased).await,
            Ok(None) => feed.pause(LOOK_EVERY).await,
            Err(error) => {
                tracing::debug!(%error, "no look for verifications; trying again");
                feed.pause(LOOK_EVERY).await;
            }
        }
    }
}

async fn run(feed: &Feed, pool: &PgPool, leased: outbox::Leased) {
    let job_id = leased.job_id;
    let settled = tokio::select! {
        settled = settle_verification(pool, leased) => Some(settled),
        () = feed.until_stopping() => None,
    };
    let stopping = match settled {
        Some(Ok(Some(found))) if found.is_clean() => {
            tracing::info!(job_id, checks = found.checks.len(), "verified: clean");
            return;
        }
        Some(Ok(Some(found))) => {
            for check in found.failed() {
                tracing::error!(job_id, check = check.name, rows = check.count, "verification failed: {check}");
            }
            return;
        }
        Some(Ok(None)) => {
            tracing::warn!(job_id, "the verification was taken over by somebody else");
            return;
        }
        Some(Err(error)) => {
            tracing::warn!(%error, job_id, "the integrity checks could not run; trying again");
            false
        }
        None => true,
    };
    if let Err(error) = give_back_verification(pool, leased, stopping).await {
        tracing::warn!(%error, job_id, "the verification could not be put back; its lease ends by itself");
    }
}
