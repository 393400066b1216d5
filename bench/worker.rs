//! What a worker takes: memory under full load, and the time from its start to its first claim.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use jobs::{AnyJob, UserRegister};
use tokio::time::sleep;

use crate::drain::Worker;
use crate::load::{client, record};
use crate::report::{Figure, Goal};
use crate::{Bench, settle};

/// Starts for each round of the load.
const STARTS: usize = 3;
/// Longest time until a worker that was started has settled something.
const PATIENCE: Duration = Duration::from_secs(30);

/// Rounds of the load for the memory, and starts with one job in the queue.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let (mut memory, mut starts) = (Vec::new(), Vec::new());
    for round in 1..=bench.sizes.rounds {
        let drained = settle::round_of(bench, 3_000 + round, 1).await?;
        memory.push(drained.worker_memory_kib as f64 * 1_024.0 / 1e6);
    }
    for _ in 0..bench.sizes.rounds * STARTS {
        starts.push(start(bench).await?.as_secs_f64());
    }
    let mut note = |contestant: &str, unit, rounds, settings, goal| {
        let contestant = contestant.to_owned();
        let figure = Figure { measure: "worker", contestant, unit, rounds, settings, lacks: "" };
        bench.report.figure(&figure, Some(goal))
    };
    let settings = format!("the most that was ever resident; {} people", bench.people.count());
    note("a worker's memory under full load", "MB", memory, settings, Goal::Most(64.0))?;
    let settings = "from the start of the process until the one queued job is seen settled".to_owned();
    note("start to first settlement", "s", starts, settings, Goal::Most(0.5))
}

/// From the start of a worker until the one job that is queued has settled.
async fn start(bench: &Bench) -> Result<Duration> {
    let ask = client(&bench.people, &AnyJob::UserRegister(UserRegister { referrer_id: None }))?;
    let queued = record(&bench.server, &[ask]).await?;
    let began = Instant::now();
    let worker = Worker::start(&bench.server, bench.sizes.batch)?;
    loop {
        let (settled,): (bool,) = sqlx::query_as("select exists (select from outcome where job_id = any ($1))")
            .bind(&queued)
            .fetch_one(&bench.server.owner)
            .await?;
        if settled {
            break;
        }
        ensure!(began.elapsed() < PATIENCE, "a worker settles nothing");
        sleep(Duration::from_millis(1)).await;
    }
    let took = began.elapsed();
    worker.stop()?;
    Ok(took)
}
