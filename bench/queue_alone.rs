//! Holdfast's queue with nothing between claim and outcome.

use std::time::Instant;

use anyhow::{Result, ensure};
use outbox::{Ask, Cursor, Ended, payload_hash};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::peers::rest;
use crate::server::Server;

/// Where it takes place: what it settles has no effects, so its books would not agree.
const DATABASE: &str = "queue_alone";
/// Jobs recorded in one statement.
const CHUNK: usize = 1_000;

/// Jobs per second that so many connections claim and complete.
pub(crate) async fn rate(server: &Server, jobs: usize, batch: u16, connections: u16) -> Result<f64> {
    let owner = server.database(DATABASE, None).await?;
    outbox::migrate(&owner).await?;
    queue(&owner, jobs).await?;
    rest(&owner).await?;
    let options = outbox::settle_options(&server.url("holdfast_worker", DATABASE), "money_day")?;
    let pool = PgPoolOptions::new().max_connections(connections.into()).connect_with(options).await?;
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(pool.acquire().await?);
    }
    let began = Instant::now();
    let mut workers = JoinSet::new();
    for mut db in opened {
        workers.spawn(async move { drain(&mut db, batch).await });
    }
    let mut settled = 0;
    while let Some(ended) = workers.join_next().await {
        settled += ended??;
    }
    let seconds = began.elapsed().as_secs_f64();
    let (left, outcomes): (i64, i64) =
        sqlx::query_as("select (select count(*) from outbox), (select count(*) from outcome)")
            .fetch_one(&owner)
            .await?;
    ensure!((left, outcomes) == (0, i64::try_from(jobs)?), "{left} jobs are left, {outcomes} have ended");
    pool.close().await;
    owner.close().await;
    Ok(settled as f64 / seconds)
}

async fn queue(owner: &PgPool, jobs: usize) -> Result<()> {
    let mut db = owner.acquire().await?;
    let keys: Vec<String> = (0..jobs).map(|number| number.to_string()).collect();
    for some in keys.chunks(CHUNK) {
        let ask = |key: &String| Ask {
            submitter: 1,
            kind: "user-register",
            key: key.clone(),
            payload_hash: payload_hash(&[key.as_bytes()]),
            payload: r#"{"referrer_id":null}"#.to_owned(),
            lane: "ledger",
            subject_type: "person",
            subject: None,
            run_at: None,
            caused_by: None,
            trace_parent: None,
        };
        outbox::enqueue(&mut db, &some.iter().map(ask).collect::<Vec<_>>()).await?;
    }
    Ok(())
}

/// Claims and completes until nothing is due, with the cursor of a worker.
async fn drain(db: &mut PgConnection, batch: u16) -> Result<usize> {
    let (mut settled, mut from) = (0, Cursor::START);
    loop {
        let mut tx = db.begin().await?;
        let claimed = outbox::claim(&mut tx, "ledger", batch.into(), from, &[]).await?;
        let Some(last) = claimed.iter().max_by_key(|job| (job.run_at, job.job_id)) else {
            if from.job_id == 0 {
                return Ok(settled);
            }
            from = Cursor::START;
            continue;
        };
        from = Cursor { run_at: last.run_at, job_id: last.job_id };
        let ended: Vec<Ended> = claimed
            .iter()
            .map(|job| Ended {
                job_id: job.job_id,
                attempt: job.attempt,
                status: "settled",
                reason: None,
                result: None,
                attempts: 1,
            })
            .collect();
        let now = outbox::clock(&mut tx).await?;
        outbox::complete(&mut tx, &ended, &[], now).await?;
        tx.commit().await?;
        settled += ended.len();
    }
}
