use std::net::{Ipv4Addr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use sqlx::PgPool;

use crate::client::Client;
use crate::config::for_child;
use crate::failure::Failure;
use crate::key::{self, Create, Hours, Scope};
use crate::private::Private;

use super::process::{Process, Starter};
use super::screen::Screen;

/// Longest time that anything may take that should take a moment.
const PATIENCE: Duration = Duration::from_mins(1);
/// The time between two looks at something that nobody signals.
const LOOK: Duration = Duration::from_millis(10);
/// Small batches, so that there are many to be killed in.
const BATCH: &str = "128";

/// What the scenes are played on: a database, the API and two workers.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) private: Private,
    pub(crate) client: Client,
    pub(crate) ipn_secret: String,
    pub(crate) workers: Vec<Process>,
    web: Process,
    starter: Starter,
    workers_started: u32,
}

impl Stage {
    /// Starts everything and returns when it is ready.
    ///
    /// # Errors
    /// Postgres or one of the processes does not start.
    pub(crate) async fn start(screen: &Screen, verbose: bool) -> Result<Self, Failure> {
        let mut options = embedded::Options::temporary();
        options.progress = true;
        let private = Private::start(options).await.map_err(Failure::CannotStart)?;
        screen.scene("database", "Postgres runs, for this demonstration alone, and is migrated");
        let asked = Create {
            name: "demo".to_owned(),
            scopes: vec![Scope::Submit, Scope::Read],
            expires: Some(Hours::DAY),
            user: None,
        };
        let key = key::create(&private.owner, &asked).await?;
        let ipn_secret = hex::encode(rand::random::<[u8; 32]>());
        let config = for_child(&private.api_url(), &private.worker_url(), &ipn_secret);
        let mut starter = Starter::new(config, verbose)?;
        let (web, client) = match start_web(&mut starter, &key.secret).await {
            Ok(both) => both,
            Err(error) => {
                starter.show_logs();
                return Err(error.into());
            }
        };
        screen.scene("api", format_args!("process {} listens on {}", web.pid, client.base()));
        let mut stage = Self { private, client, ipn_secret, workers: Vec::new(), web, starter, workers_started: 0 };
        for _ in 0..2 {
            stage.start_worker()?;
        }
        if let Err(error) = stage.await_workers().await {
            stage.show_logs();
            return Err(error.into());
        }
        let pids: Vec<String> = stage.workers.iter().map(|worker| worker.pid.to_string()).collect();
        screen.scene("workers", format_args!("processes {} settle what is queued", pids.join(" and ")));
        Ok(stage)
    }

    /// Starts another worker. Its process id.
    pub(crate) fn start_worker(&mut self) -> Result<u32> {
        self.workers_started = self.workers_started.saturating_add(1);
        let name = format!("worker {}", self.workers_started);
        let worker = self.starter.start(&name, &["worker", "--lane", "ledger", "--batch", BATCH])?;
        let pid = worker.pid;
        self.workers.push(worker);
        Ok(pid)
    }

    /// Waits until every worker has begun its work.
    async fn await_workers(&mut self) -> Result<()> {
        let wanted = i64::try_from(self.workers.len())?;
        let missing = async |owner: &PgPool| {
            sqlx::query_scalar!(
                r#"
                select greatest($1 - count(*), 0) as "missing!" from worker_run
                where lane = 'ledger' and end_kind is null
                "#,
                wanted,
            )
            .fetch_one(owner)
            .await
        };
        self.until_none("workers have not begun", missing).await
    }

    /// Waits until nothing is queued.
    ///
    /// # Errors
    /// It takes too long, or a process ended.
    pub(crate) async fn await_empty_queue(&mut self) -> Result<()> {
        let queued = async |owner: &PgPool| {
            sqlx::query_scalar!(r#"select count(*) as "queued!" from outbox"#).fetch_one(owner).await
        };
        self.until_none("jobs are still queued", queued).await
    }

    /// Waits until a count of what is left comes to 0. Nobody signals it, so it is looked at again and
    /// again.
    ///
    /// # Errors
    /// It takes too long, or a process ended.
    pub(crate) async fn until_none(
        &mut self,
        left: &str,
        count: impl AsyncFn(&PgPool) -> Result<i64, sqlx::Error>,
    ) -> Result<()> {
        let began = Instant::now();
        loop {
            let count = count(&self.private.owner).await?;
            if count == 0 {
                return Ok(());
            }
            self.nobody_ended()?;
            if began.elapsed() > PATIENCE {
                bail!("after {PATIENCE:?} {count} {left}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Makes sure that every process runs that should.
    pub(crate) fn nobody_ended(&mut self) -> Result<()> {
        if let Some(status) = self.web.ended()? {
            bail!("the API has ended: {status}");
        }
        for worker in &mut self.workers {
            if let Some(status) = worker.ended()? {
                bail!("worker {} has ended: {status}", worker.pid);
            }
        }
        Ok(())
    }

    /// Shows the end of what the processes logged.
    pub(crate) fn show_logs(&mut self) {
        self.starter.show_logs();
    }

    /// Stops the API, then the workers, then Postgres, and removes what they wrote.
    ///
    /// # Errors
    /// Something did not stop in good order; the rest was stopped all the same.
    pub(crate) async fn end(self) -> Result<()> {
        let mut result = self.web.stop().await.context("the API");
        for worker in self.workers {
            result = result.and(worker.stop().await.context("a worker"));
        }
        result.and(self.private.stop().await)
    }
}

/// Starts the API on a free port. Between finding it free and listening on it somebody else may
/// take it, so there is more than one attempt.
async fn start_web(starter: &mut Starter, key: &str) -> Result<(Process, Client)> {
    for attempt in 1..=3 {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let address = format!("127.0.0.1:{port}");
        let mut web = starter.start("api", &["web", "--listen", &address])?;
        let client = Client::new(format!("http://{address}"), key.to_owned())?;
        let began = Instant::now();
        loop {
            if client.is_ready().await {
                return Ok((web, client));
            }
            if let Some(status) = web.ended()? {
                tracing::info!(attempt, %status, "the API did not start");
                break;
            }
            if began.elapsed() > PATIENCE {
                bail!("the API was not ready within {PATIENCE:?}");
            }
            tokio::time::sleep(LOOK).await;
        }
    }
    bail!("the API does not start")
}
