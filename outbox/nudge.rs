use std::time::Duration;

use rand::RngExt;
use sqlx::PgPool;
use sqlx::postgres::PgListener;

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
pub async fn nudge(pool: &PgPool, lane: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select set_config('synchronous_commit', 'off', true), pg_notify($1, '')", channel(lane))
        .fetch_all(pool)
        .await?;
    Ok(())
}

/// Listens for nudges, and polls when none comes: a lost notification or connection costs a
/// worker at most one poll interval.
#[derive(Debug)]
pub struct Ears {
    lane: &'static str,
    pool: PgPool,
    listener: Option<PgListener>,
    /// Longest time between two looks.
    interval: Duration,
}

impl Ears {
    /// Ears for a lane that look at least every `interval`, give or take a quarter.
    pub const fn new(pool: PgPool, lane: &'static str, interval: Duration) -> Self {
        Self { lane, pool, listener: None, interval }
    }

    /// Connects, so that what is queued from now on is heard. Done by [`Ears::wait`] as well; a
    /// failure is not an error, since polling goes on without it.
    pub async fn listen(&mut self) {
        if self.listener.is_some() {
            return;
        }
        match self.connect().await {
            Ok(listener) => self.listener = Some(listener),
            Err(error) => tracing::debug!(%error, "not listening; polling instead"),
        }
    }

    async fn connect(&self) -> Result<PgListener, sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(&channel(self.lane)).await?;
        Ok(listener)
    }

    /// Returns when a nudge came or the poll interval, with jitter, is over.
    pub async fn wait(&mut self) {
        let quarter = u64::try_from(self.interval.as_micros() / 4).unwrap_or(u64::MAX);
        let jitter = Duration::from_micros(rand::rng().random_range(0..=quarter.saturating_mul(2)));
        let limit = self.interval.saturating_sub(Duration::from_micros(quarter)).saturating_add(jitter);
        let Some(listener) = self.listener.as_mut() else {
            tokio::time::sleep(limit).await;
            return;
        };
        match tokio::time::timeout(limit, listener.try_recv()).await {
            // One look serves every nudge that has come.
            Ok(Ok(Some(_))) => while listener.next_buffered().is_some() {},
            Ok(Ok(None)) => tracing::debug!("the listening connection was lost"),
            Ok(Err(error)) => {
                tracing::debug!(%error, "the listening connection failed");
                self.listener = None;
            }
            Err(_elapsed) => {}
        }
    }
}
