use anyhow::{Context, Result};
use embedded::{Cluster, Options};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

/// The database that everything lives in.
const DATABASE: &str = "holdfast";

/// A private Postgres with a migrated database. It ends with this process, however that ends.
#[derive(Debug)]
pub(crate) struct Private {
    cluster: Cluster,
    /// As the owner of the tables.
    pub(crate) owner: PgPool,
}

impl Private {
    /// Starts Postgres, makes the database unless there is one, and migrates it.
    ///
    /// # Errors
    /// Postgres cannot be found or started, or a migration fails.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        let cluster = Cluster::start(options).await.context("the private Postgres cannot start")?;
        let server = pool(&cluster.url("postgres", "postgres"))?;
        let exists =
            sqlx::query_scalar!(r#"select exists (select from pg_database where datname = $1) as "exists!""#, DATABASE);
        if !exists.fetch_one(&server).await? {
            sqlx::raw_sql("create database holdfast").execute(&server).await?;
        }
        server.close().await;
        let owner = pool(&cluster.url("postgres", DATABASE))?;
        outbox::migrate(&owner).await.context("migrating the private database failed")?;
        Ok(Self { cluster, owner })
    }

    /// The address for the HTTP side.
    pub(crate) fn api_url(&self) -> String {
        self.cluster.url("holdfast_api", DATABASE)
    }

    /// The address for workers.
    pub(crate) fn worker_url(&self) -> String {
        self.cluster.url("holdfast_worker", DATABASE)
    }

    /// Stops Postgres and waits until it is gone, and if temporary, all its files are.
    ///
    /// # Errors
    /// Something could not be removed.
    pub(crate) async fn stop(self) -> Result<()> {
        self.owner.close().await;
        self.cluster.stop().await.context("the private Postgres could not be stopped")
    }
}

fn pool(url: &str) -> Result<PgPool> {
    Ok(PgPoolOptions::new().max_connections(4).connect_lazy(url)?)
}
