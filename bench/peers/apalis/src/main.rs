//! apalis with its own storage on Postgres: one worker, a job per task.

use std::env::args;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use apalis::layers::WorkerBuilderExt;
use apalis::prelude::*;
use apalis_postgres::{Config, PgPool, PostgresStorage};
use futures::stream;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgPoolOptions;
use sqlx::types::Json;
use tokio::io::{AsyncBufReadExt, BufReader, stdin};

/// The first job is due at this second, each other one a second later: all of them long ago.
const FIRST_DUE: u64 = 1_600_000_000;

/// A row of the load.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Posting {
    id: i64,
    kind: String,
    payload: serde_json::Value,
}

#[derive(Clone)]
struct Shared {
    pool: PgPool,
    noop: bool,
    ended: Arc<AtomicUsize>,
}

async fn post(job: Posting, shared: Data<Shared>) -> Result<(), BoxDynError> {
    if !shared.noop {
        sqlx::query("select post_job($1, $2, $3)")
            .bind(job.id)
            .bind(job.kind)
            .bind(Json(job.payload))
            .execute(&shared.pool)
            .await?;
    }
    shared.ended.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut given = args().skip(1);
    let mut next = |what| given.next().context(what);
    let (mode, concurrency) = (next("a mode")?, next("how many at once")?.parse::<usize>()?);
    let (batch, jobs) = (next("how many a fetch")?.parse()?, next("how many jobs")?.parse::<usize>()?);
    let connections = u32::try_from(concurrency)? + 4;
    let pool = PgPoolOptions::new().max_connections(connections).connect(&std::env::var("DATABASE_URL")?).await?;
    PostgresStorage::setup(&pool).await?;
    let config = Config::default().queue("post").batch_size(batch);
    let mut storage = PostgresStorage::<Posting>::new(&pool).with_config(config);
    queue(&pool, &mut storage, jobs).await?;
    println!("ready");
    BufReader::new(stdin()).read_line(&mut String::new()).await?;

    let shared = Shared { pool: pool.clone(), noop: mode == "noop", ended: Arc::default() };
    let ended = Arc::clone(&shared.ended);
    let began = Instant::now();
    let worker = WorkerBuilder::new("peer")
        .backend(storage)
        .data(shared)
        .concurrency(concurrency)
        .parallelize(tokio::spawn)
        .build(post);
    let finished = async {
        loop {
            tokio::time::sleep(Duration::from_millis(5)).await;
            if ended.load(Ordering::Relaxed) >= jobs && acknowledged(&pool).await? {
                return Ok(Instant::now());
            }
        }
    };
    let last = tokio::select! {
        run = worker.run() => { run?; anyhow::bail!("the worker ended by itself") }
        last = finished => last.map_err(|error: sqlx::Error| error)?,
    };
    let done = ended.load(Ordering::Relaxed);
    ensure!(done == jobs, "{done} of {jobs} jobs were handled");
    println!("{}", serde_json::json!({ "seconds": (last - began).as_secs_f64(), "ended": done }));
    Ok(())
}

async fn queue(pool: &PgPool, storage: &mut PostgresStorage<Posting>, jobs: usize) -> Result<()> {
    let rows: Vec<(i64, String, Json<serde_json::Value>)> =
        sqlx::query_as("select id, kind, payload from load order by id limit $1")
            .bind(i64::try_from(jobs)?)
            .fetch_all(pool)
            .await?;
    for (piece, some) in (0..).zip(rows.chunks(1_000)) {
        let tasks = (piece * 1_000..).zip(some).map(|(at, (id, kind, Json(payload)))| {
            let posting = Posting { id: *id, kind: kind.clone(), payload: payload.clone() };
            TaskBuilder::new(posting).run_at_timestamp(FIRST_DUE + at).build()
        });
        storage.push_all(&mut stream::iter(tasks.collect::<Vec<_>>())).await?;
    }
    Ok(())
}

/// Whether its storage has noted every job as done.
async fn acknowledged(pool: &PgPool) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select not exists (select from apalis.jobs where status <> 'Done')").fetch_one(pool).await
}
