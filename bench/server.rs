//! The Postgres that every contestant gets.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Result;
use embedded::{Cluster, Options};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, PgPool};

use crate::{product, usage};

/// A server with one documented configuration, and a migrated database on it.
pub(crate) struct Server {
    cluster: Arc<Cluster>,
    /// `holdfast`.
    pub(crate) program: Arc<PathBuf>,
    database: &'static str,
    /// Superuser: migrates and looks.
    pub(crate) owner: PgPool,
    /// As the API connects.
    pub(crate) api: PgPool,
}

/// What differs from a freshly installed server. Durability is untouched.
const SETTINGS: [(&str, &str); 6] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "16GB"),
    ("checkpoint_timeout", "30min"),
    ("wal_buffers", "16MB"),
    ("autovacuum_naptime", "5s"),
    ("shared_preload_libraries", "pg_stat_statements"),
];

impl Server {
    /// Starts it and runs the migrations.
    pub(crate) async fn start() -> Result<Self> {
        let mut options =
            SETTINGS.iter().fold(Options::temporary(), |options, (name, value)| options.with(name, value));
        if let Ok(ms) = std::env::var("MONEY_DAY_PLANS") {
            options = options
                .with("shared_preload_libraries", "pg_stat_statements,auto_explain")
                .with("auto_explain.log_min_duration", &ms)
                .with("auto_explain.log_analyze", "on")
                .with("auto_explain.log_buffers", "on")
                .with("auto_explain.log_timing", "on");
        }
        let program = Arc::new(product::build()?);
        Self::prepare(Arc::new(Cluster::start(options).await?), program, "bench").await
    }

    /// Another migrated database on the same server, for what is compared with itself.
    pub(crate) async fn beside(&self, database: &'static str) -> Result<Self> {
        Self::prepare(Arc::clone(&self.cluster), Arc::clone(&self.program), database).await
    }

    async fn prepare(cluster: Arc<Cluster>, program: Arc<PathBuf>, database: &'static str) -> Result<Self> {
        let admin = PgPool::connect(&cluster.url("postgres", "postgres")).await?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("create database {database}"))).execute(&admin).await?;
        admin.close().await;
        let owner = PgPool::connect(&cluster.url("postgres", database)).await?;
        outbox::migrate(&owner).await?;
        for preparation in ["create extension pg_stat_statements", "insert into principal (name) values ('money day')"]
        {
            sqlx::raw_sql(preparation).execute(&owner).await?;
        }
        let api = PgConnectOptions::from_str(&cluster.url("holdfast_api", database))?;
        let api = PgPoolOptions::new().max_connections(4).connect_with(api).await?;
        Ok(Self { cluster, program, database, owner, api })
    }

    /// A fresh database for a contestant, empty or a copy of another one that nobody is connected to; the
    /// one of that name before is gone. As the superuser connects.
    pub(crate) async fn database(&self, name: &str, copy_of: Option<&str>) -> Result<PgPool> {
        let copy_of = copy_of.unwrap_or("template1");
        for sql in [
            format!("drop database if exists {name} with (force)"),
            format!("create database {name} template {copy_of} strategy file_copy"),
        ] {
            sqlx::raw_sql(AssertSqlSafe(sql)).execute(&self.owner).await?;
        }
        Ok(PgPool::connect(&self.url("postgres", name)).await?)
    }

    /// A program that came with the server.
    pub(crate) fn program(&self, name: &str) -> Option<std::path::PathBuf> {
        self.cluster.program(name)
    }

    /// Where somebody connects to a database.
    pub(crate) fn url(&self, user: &str, database: &str) -> String {
        self.cluster.url(user, database)
    }

    /// Where workers connect.
    pub(crate) fn worker_url(&self) -> String {
        self.cluster.url("holdfast_worker", self.database)
    }

    /// Where web connects.
    pub(crate) fn api_url(&self) -> String {
        self.cluster.url("holdfast_api", self.database)
    }

    /// Version and durability, as the server says.
    pub(crate) async fn describe(&self) -> Result<String> {
        let (text,): (String,) = sqlx::query_as(
            "select format('%s; fsync %s, synchronous_commit %s, full_page_writes %s, shared_buffers %s',
                split_part(version(), ' on ', 1), current_setting('fsync'), current_setting('synchronous_commit'),
                current_setting('full_page_writes'), current_setting('shared_buffers'))",
        )
        .fetch_one(&self.owner)
        .await?;
        Ok(text)
    }

    /// Processor time of all its processes, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.cluster.postmaster_pid().map_or(0.0, usage::family_cpu_seconds)
    }

    /// A power cut.
    pub(crate) async fn crash(&self) -> Result<()> {
        Ok(self.cluster.crash().await?)
    }

    /// The recovery from it; returns when connections are accepted.
    pub(crate) async fn restart(&self) -> Result<()> {
        Ok(self.cluster.restart().await?)
    }

    /// Closes what is open; whoever is the last one stops the server, and nothing is left behind.
    pub(crate) async fn stop(self) -> Result<()> {
        self.api.close().await;
        self.owner.close().await;
        match Arc::into_inner(self.cluster) {
            Some(cluster) => Ok(cluster.stop().await?),
            None => Ok(()),
        }
    }
}
