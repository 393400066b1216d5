//! awa: one runtime, a job per task, claimed in batches.

use std::env::args;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use awa::{Client, InsertOpts, JobArgs, JobError, JobResult, QueueConfig, insert_many_copy_from_pool, migrations};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

const QUEUE: &str = "post";
/// Loops that claim; this many, and no deadline for a job, as its `tests/benchmark_test.rs` has it.
const CLAIMERS: u16 = 1;
/// Connections that claim, complete, beat and maintain, beside those of the handlers.
const OWN_CONNECTIONS: u32 = 10;
/// Handlers that have a connection at the same time; the others wait for one.
const HANDLERS_CONNECTED_MAX: u32 = 32;

/// A row of the load.
#[derive(Clone, Debug, Serialize, Deserialize, JobArgs)]
struct Posting {
    id: i64,
    kind: String,
    payload: serde_json::Value,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut given = args().skip(1);
    let mut next = |what| given.next().context(what);
    let (mode, concurrency) = (next("a mode")?, next("how many at once")?.parse::<u32>()?);
    let (batch, jobs) = (next("how many a claim")?.parse::<usize>()?, next("how many jobs")?.parse::<usize>()?);
    let connections = concurrency.min(HANDLERS_CONNECTED_MAX) + OWN_CONNECTIONS;
    let pool = PgPoolOptions::new().max_connections(connections).connect(&std::env::var("DATABASE_URL")?).await?;
    migrations::run(&pool).await?;
    queue(&pool, jobs).await?;
    println!("ready");
    BufReader::new(stdin()).read_line(&mut String::new()).await?;

    let (ended, handled, db, noop) = (Arc::new(AtomicUsize::new(0)), Arc::new(pool.clone()), pool, mode == "noop");
    let counter = Arc::clone(&ended);
    let client = Client::builder(db.clone())
        .queue(
            QUEUE,
            QueueConfig {
                max_workers: concurrency,
                claim_batch_size: batch,
                claimers: CLAIMERS,
                deadline_duration: Duration::ZERO,
                ..QueueConfig::default()
            },
        )
        .register::<Posting, _, _>(move |job, _| {
            let (pool, ended) = (Arc::clone(&handled), Arc::clone(&counter));
            async move {
                if !noop {
                    post(&pool, job).await.map_err(JobError::retryable)?;
                }
                ended.fetch_add(1, Ordering::Relaxed);
                Ok(JobResult::Completed)
            }
        })
        .build()?;
    let began = Instant::now();
    client.start().await?;
    loop {
        tokio::time::sleep(Duration::from_millis(5)).await;
        if ended.load(Ordering::Relaxed) >= jobs && acknowledged(&db, jobs).await? {
            break;
        }
    }
    let took = began.elapsed();
    let done = ended.load(Ordering::Relaxed);
    ensure!(done == jobs, "{done} of {jobs} jobs were handled");
    println!("{}", serde_json::json!({ "seconds": took.as_secs_f64(), "ended": done }));
    client.shutdown(Duration::from_secs(5)).await;
    Ok(())
}

async fn post(pool: &PgPool, job: Posting) -> Result<(), sqlx::Error> {
    sqlx::query("select post_job($1, $2, $3)")
        .bind(job.id)
        .bind(job.kind)
        .bind(Json(job.payload))
        .execute(pool)
        .await?;
    Ok(())
}

async fn queue(pool: &PgPool, jobs: usize) -> Result<()> {
    let rows: Vec<(i64, String, Json<serde_json::Value>)> =
        sqlx::query_as("select id, kind, payload from load order by id limit $1")
            .bind(i64::try_from(jobs)?)
            .fetch_all(pool)
            .await?;
    for some in rows.chunks(1_000) {
        let tasks: Result<Vec<_>, _> = some
            .iter()
            .map(|(id, kind, Json(payload))| {
                let posting = Posting { id: *id, kind: kind.clone(), payload: payload.clone() };
                let opts = InsertOpts { queue: QUEUE.to_owned(), ..InsertOpts::default() };
                awa::model::insert::params_with(&posting, opts)
            })
            .collect();
        insert_many_copy_from_pool(pool, &tasks?).await?;
    }
    Ok(())
}

/// Whether it has noted every job as done.
async fn acknowledged(pool: &PgPool, jobs: usize) -> Result<bool> {
    let done: i64 =
        sqlx::query_scalar("select count(*) from awa.jobs where state = 'completed'").fetch_one(pool).await?;
    Ok(usize::try_from(done)? >= jobs)
}
