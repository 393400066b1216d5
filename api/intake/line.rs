use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::Instant;

/// A connection that has rested for this long is asked whether it is still there before it is used.
const RESTED: Duration = Duration::from_millis(100);

/// A connection that one task keeps for itself. What it asks takes one round trip; on a connection of
/// the pool it takes one more before, and one after.
#[derive(Debug)]
pub(crate) struct Line {
    options: PgConnectOptions,
    resting: Option<(PgConnection, Instant)>,
}

impl Line {
    /// Connects as the pool does, with settings of its own, once it is used.
    pub(crate) fn beside<const N: usize>(pool: &PgPool, settings: [(&str, &str); N]) -> Self {
        Self { options: pool.connect_options().as_ref().clone().options(settings), resting: None }
    }

    /// Connects as the pool does, but plans each statement once.
    pub(crate) fn planning_once(pool: &PgPool) -> Self {
        Self { options: outbox::plan_once(pool.connect_options().as_ref().clone()), resting: None }
    }

    /// The connection, for one use. Whoever does not give it back, because it failed or was not waited
    /// for, leaves it closed: nobody comes upon what is still under way on it.
    ///
    /// # Errors
    /// Any error of connecting.
    pub(crate) async fn take(&mut self) -> Result<PgConnection, sqlx::Error> {
        if let Some((mut db, since)) = self.resting.take()
            && (since.elapsed() < RESTED || db.ping().await.is_ok())
        {
            return Ok(db);
        }
        PgConnection::connect_with(&self.options).await
    }

    /// Takes the connection back for the next use.
    pub(crate) fn give(&mut self, db: PgConnection) {
        self.resting = Some((db, Instant::now()));
    }

    /// Says good-bye to the server.
    pub(crate) async fn close(self) {
        if let Some((db, _)) = self.resting
            && let Err(error) = db.close().await
        {
            tracing::debug!(%error, "a connection could not be closed in good order");
        }
    }
}
