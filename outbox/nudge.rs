use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use sqlx::postgres::PgListener;
use sqlx::{PgExecutor, PgPool};
use tokio::sync::Notify;
use tokio::task::JoinSet;

/// The channel of a lane.
fn channel(lane: &str) -> String {
    format!("holdfast_{lane}")
}

/// Tells the workers of a lane that something is due. A hint: it is sent after the commit and
/// never inside it, because a notification serialises commits. It waits for no disk: a worker that
/// does not hear of it looks by itself.
///
/// # Errors
/// Any error of the database; the workers poll as well, so nothing is lost.
pub async fn nudge(db: impl PgExecutor<'_>, lane: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')", channel(lane))
        .fetch_all(db)
        .await?;
    Ok(())
}

/// Listens for nudges, and polls when none comes: a lost notification or connection costs a
/// worker at most one poll interval.
///
/// A task of its own hears, whether anybody waits or not. Whoever listens and does not read what he is sent
/// makes the server wait for him, with a snapshot that keeps every dead row of the database.
#[derive(Debug)]
pub struct Ears {
    lane: &'static str,
    pool: PgPool,
    /// The task that hears, if there is one; it ends when its connection is lost and cannot be had again.
    hearing: JoinSet<()>,
    /// One look serves every nudge that has come since the last one.
    nudged: Arc<Notify>,
    /// Longest time between two looks.
    interval: Duration,
}

impl Ears {
    /// Ears for a lane that look at least every `interval`, give or take a quarter.
    pub fn new(pool: PgPool, lane: &'static str, interval: Duration) -> Self {
        Self { lane, pool, hearing: JoinSet::new(), nudged: Arc::default(), interval }
    }

    /// Connects if need be, so that what is queued from now on is heard. A failure is not an error, since
    /// polling goes on without it.
    pub async fn listen(&mut self) {
        while self.hearing.try_join_next().is_some() {}
        if !self.hearing.is_empty() {
            return;
        }
        match self.connect().await {
            Ok(listener) => drop(self.hearing.spawn(hear(listener, Arc::clone(&self.nudged)))),
            Err(error) => tracing::debug!(%error, "not listening; polling instead"),
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&channel(self.lane)).await?;
        Ok(listener)
    }

    /// Returns when a nudge has come since the last time, or the poll interval, with jitter, is over.
    pub async fn wait(&mut self) {
        let quarter = u64::try_from(self.interval.as_micros() / 4).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(rand::rng().random_range(0..=quarter.saturating_mul(2)));
        let limit = self.interval.saturating_sub(Duration::from_micros(quarter)).saturating_add(jitter);
        // Whether it was a nudge or not, it is time to look.
        if tokio::time::timeout(limit, self.nudged.notified()).await.is_err() {
            tracing::trace!(lane = self.lane, "no nudge came");
        }
    }
}

/// Hears nudges for as long as there is a connection to be had.
async fn hear(mut listener: PgListener, nudged: Arc<Notify>) {
    loop {
        let heard = listener.try_recv().await;
        // Where the connection was lost something may have been missed.
        nudged.notify_one();
        match heard {
            Ok(Some(_)) => {}
            Ok(None) => tracing::debug!("the listening connection was lost, and is there again"),
            Err(error) => {
                tracing::debug!(%error, "the listening connection failed");
                return;
            }
        }
    }
}
