use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sqlx::PgPool;

use crate::worker;

use super::stage::Stage;

/// How long it is tried to catch a worker in the middle of a batch.
const PATIENCE: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(1);

/// The worker that was killed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Killed {
    pub(crate) pid: u32,
    /// Jobs that it had claimed and not committed.
    pub(crate) held: i64,
    /// The worker that was started in its place.
    pub(crate) successor: u32,
}

/// Waits until `after` jobs have ended, then kills the first worker in the middle of a batch and
/// starts another one. When `all` have ended there is nothing left to be in the middle of.
///
/// It is stopped first, so that what it holds can be counted and is what it dies with. If it held
/// nothing just then, it goes on and is caught at its next batch.
pub(crate) async fn in_the_middle(stage: &mut Stage, after: i64, all: i64) -> Result<Killed> {
    let owner = stage.private.owner.clone();
    let victim = stage.workers.first().context("no worker runs")?;
    let pid = victim.pid;
    let name = worker::name_of(pid);
    let began = Instant::now();
    while ended(&owner).await? < after {
        if began.elapsed() > PATIENCE {
            bail!("fewer than {after} jobs ended within {PATIENCE:?}");
        }
        tokio::time::sleep(LOOK).await;
    }
    let held = loop {
        if holding(&owner, &name).await? > 0 {
            victim.signal(Signal::STOP)?;
            // What it had sent already may still take effect.
            while is_active(&owner, &name).await? {
                tokio::time::sleep(LOOK).await;
            }
            let held = holding(&owner, &name).await?;
            if held > 0 {
                break held;
            }
            victim.signal(Signal::CONT)?;
        }
        if began.elapsed() > PATIENCE || ended(&owner).await? >= all {
            break 0;
        }
        tokio::time::sleep(LOOK).await;
    };
    stage.workers.remove(0).kill().await?;
    let successor = stage.start_worker()?;
    Ok(Killed { pid, held, successor })
}

/// How many jobs have ended.
pub(crate) async fn ended(owner: &PgPool) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "ended!" from outcome"#).fetch_one(owner).await
}

/// How many jobs of the batch that a worker noted last are not committed.
async fn holding(owner: &PgPool, name: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select count(*) as "held!"
        from worker_run w cross join lateral unnest(w.holding) as h (job_id) join outbox o on o.job_id = h.job_id
        where w.name = $1 and w.end_kind is null
        "#,
        name,
    )
    .fetch_one(owner)
    .await
}

/// Whether the server is still busy with something that a worker sent.
async fn is_active(owner: &PgPool, name: &str) -> Result<bool, sqlx::Error> {
    // The server keeps 63 bytes of a name.
    sqlx::query_scalar!(
        r#"
        select exists (
            select from pg_stat_activity where application_name = left($1, 63) and state = 'active'
        ) as "active!"
        "#,
        name,
    )
    .fetch_one(owner)
    .await
}
