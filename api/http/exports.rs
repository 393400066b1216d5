//! How many answers that are too long for a page may be made at once, and on which connections.

use std::sync::Arc;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::problem::Problem;

/// Connections that all exports of a process have between them. They are not the API's, so that no
/// number of exports can starve it.
const CONNECTIONS: u32 = 2;
/// How long such a connection is kept when nothing is exported.
const IDLE: Duration = Duration::from_mins(1);
/// The exports of a process.
#[derive(Debug)]
pub(crate) struct Exports {
    pub(crate) pool: PgPool,
    room: Arc<Semaphore>,
}

impl Exports {
    /// Connects when something is exported.
    pub(crate) fn new(pool: &PgPool, exports_max: usize) -> Self {
        let options = pool.connect_options().as_ref().clone().application_name("holdfast exports");
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .idle_timeout(IDLE)
            .acquire_timeout(Duration::from_secs(10))
            .connect_lazy_with(options);
        Self { pool, room: Arc::new(Semaphore::new(exports_max)) }
    }

    /// Room for one more, as long as the permit is kept.
    ///
    /// # Errors
    /// 503 when as many are under way as there may be.
    pub(crate) fn begin(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let full = "As many exports as this process makes at once are under way; try again shortly";
        Arc::clone(&self.room).try_acquire_owned().map_err(|_| Problem::unavailable("overloaded", full))
    }
}
