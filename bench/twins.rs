//! Two databases on one server, alike but for one thing.

use anyhow::{Context, Result, ensure};
use sqlx::{AssertSqlSafe, raw_sql};

use crate::drain::drain;
use crate::load::{self, People};
use crate::server::Server;
use crate::{Bench, Sizes};

/// One of them, with people of its own.
pub(crate) struct Twin {
    pub(crate) server: Server,
    people: People,
    name: &'static str,
}

impl Twin {
    pub(crate) async fn new(bench: &Bench, name: &'static str) -> Result<Self> {
        let server = bench.server.beside(name).await?;
        let people = load::people(&server, bench.sizes.people, bench.sizes.load).await?;
        Ok(Self { server, people, name })
    }

    /// Queues a round of the load and drains it; jobs per second.
    pub(crate) async fn round(&self, sizes: &Sizes, round: usize) -> Result<f64> {
        let queued = load::queue(&self.server, &self.people, sizes.jobs, round, sizes.load).await?;
        Ok(drain(&self.server, sizes.workers, sizes.batch, queued).await?.jobs_per_second as f64)
    }

    /// Checks the books and lets go of the database.
    pub(crate) async fn end(self) -> Result<&'static str> {
        let verification = integrity::verify(&self.server.owner).await.context("verifying")?;
        ensure!(verification.is_clean(), "the books of {} do not agree:\n{verification}", self.name);
        self.server.stop().await?;
        Ok(self.name)
    }
}

/// Gives the room on the disk back.
pub(crate) async fn drop_database(bench: &Bench, name: &'static str) -> Result<()> {
    raw_sql(AssertSqlSafe(format!("drop database {name} with (force)"))).execute(&bench.server.owner).await?;
    Ok(())
}
