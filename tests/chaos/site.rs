use std::path::PathBuf;
use std::time::{Duration, Instant};

use embedded::{Cluster, Options};
use outbox::connect_options;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use super::worker::Worker;

/// A server of its own, because it is crashed; and a migrated database on it.
pub(super) struct Site {
    cluster: Cluster,
    /// As the superuser.
    pub(super) owner: PgPool,
    /// As the API.
    pub(super) api: PgPool,
    /// As a worker.
    pub(super) worker: PgPool,
}

impl Site {
    pub(super) async fn start() -> Self {
        crate::harness::timed();
        let cluster = Cluster::start(Options::temporary()).await.unwrap();
        let owner = pool(&cluster, "postgres");
        outbox::migrate(&owner).await.unwrap();
        let asks_as = sqlx::query_scalar!("insert into principal (name) values ('chaos') returning id");
        assert_eq!(asks_as.fetch_one(&owner).await.unwrap(), crate::harness::SUBMITTER);
        let (api, worker) = (pool(&cluster, "holdfast_api"), pool(&cluster, "holdfast_worker"));
        Self { cluster, owner, api, worker }
    }

    /// Where workers connect. A stopped worker loses its transaction after a second here.
    pub(super) fn worker_url(&self) -> String {
        let url = self.cluster.url("holdfast_worker", "postgres");
        format!("{url}?options=-c%20idle_in_transaction_session_timeout%3D1s")
    }

    /// Beside the server's data, so that it goes with it.
    pub(super) fn log_file(&self, number: usize) -> PathBuf {
        self.cluster.socket_dir().join(format!("worker-{number}.log"))
    }

    /// A power cut, and the recovery from it.
    pub(super) async fn crash_postgres(&self) {
        self.cluster.crash().await.unwrap();
        self.cluster.restart().await.unwrap();
    }

    /// How many jobs have an outcome.
    pub(super) async fn ended(&self) -> usize {
        // The server may be on its way up.
        match sqlx::query_scalar!(r#"select count(*) as "count!" from outcome"#).fetch_one(&self.owner).await {
            Ok(count) => usize::try_from(count).unwrap(),
            Err(_) => 0,
        }
    }

    /// Returns when that many jobs have ended.
    pub(super) async fn until_ended(&self, count: usize) {
        let deadline = Instant::now() + Duration::from_mins(5);
        loop {
            let ended = self.ended().await;
            if ended >= count {
                return;
            }
            assert!(Instant::now() < deadline, "{ended} of {count} jobs have ended, and time is up");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Whether the worker has a transaction open that has written something.
    pub(super) async fn has_open_batch(&self, worker: &Worker) -> bool {
        let name = format!("%{}", worker.id());
        sqlx::query_scalar!(
            r#"
            select exists (select from pg_stat_activity
                where datname = current_database() and application_name like $1 and backend_xid is not null) as "open!"
            "#,
            name,
        )
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }

    /// Returns when the others have noticed that a worker's heart has stopped.
    pub(super) async fn until_declared_dead(&self, worker: &Worker) {
        self.until_run("declared dead", worker, false).await;
    }

    /// Returns when a worker that had been declared dead has begun a new run.
    pub(super) async fn until_it_beats_again(&self, worker: &Worker) {
        self.until_run("beating", worker, true).await;
    }

    async fn until_run(&self, what: &str, worker: &Worker, alive: bool) {
        let name = format!("%{}", worker.id());
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let beats = sqlx::query_scalar!(
                r#"select count(*) filter (where end_kind is null) > 0 as "beats!" from worker_run where name like $1"#,
                name,
            )
            .fetch_one(&self.owner)
            .await
            .unwrap();
            if beats == alive {
                return;
            }
            assert!(Instant::now() < deadline, "the worker is not {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(super) async fn parked(&self) -> i64 {
        sqlx::query_scalar!(r#"select count(*) as "count!" from parked"#).fetch_one(&self.owner).await.unwrap()
    }

    pub(super) async fn verified(&self) {
        let verification = integrity::verify(&self.owner).await.unwrap();
        assert!(verification.is_clean(), "{verification}");
    }
}

fn pool(cluster: &Cluster, user: &str) -> PgPool {
    let options = connect_options(&cluster.url(user, "postgres"), "holdfast chaos").unwrap();
    PgPoolOptions::new().max_connections(4).acquire_timeout(Duration::from_secs(30)).connect_lazy_with(options)
}
