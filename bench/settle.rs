//! The settle rate: queued jobs drained per second.

use anyhow::{Context, Result};

use crate::drain::{Drained, drain};
use crate::load;
use crate::report::Figure;
use crate::{Bench, Sizes};

/// Rounds of the load, and what each took.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let mut rounds = Vec::new();
    for round in 1..=bench.sizes.rounds {
        rounds.push(self::round(bench, round).await?);
    }
    record(bench, &rounds)
}

/// Queues a round of the load and drains it.
pub(crate) async fn round(bench: &Bench, round: usize) -> Result<Drained> {
    round_of(bench, round, bench.sizes.workers).await
}

/// The same with another number of workers.
pub(crate) async fn round_of(bench: &Bench, round: usize, workers: u16) -> Result<Drained> {
    let Sizes { jobs, batch, load, .. } = bench.sizes;
    let queued = load::queue(&bench.server, &bench.people, jobs, round, load).await.context("queueing the load")?;
    let drained = drain(&bench.server, workers, batch, queued).await?;
    eprintln!("round {round}: {drained}");
    Ok(drained)
}

/// Notes the rates, and what a batch and a job took.
fn record(bench: &mut Bench, rounds: &[Drained]) -> Result<()> {
    let Sizes { jobs, workers, batch, people, load, .. } = bench.sizes;
    let settings = format!("{jobs} jobs of {load:?}, {workers} workers, batches of {batch}, {people} people");
    let mut note = |unit, value: fn(&Drained) -> u64| {
        let rounds = rounds.iter().map(|drained| value(drained) as f64).collect();
        let contestant = "holdfast".to_owned();
        let settings = settings.clone();
        bench.report.figure(&Figure { measure: "settle", contestant, unit, rounds, settings, lacks: "" }, None)
    };
    note("jobs/s", |drained| drained.jobs_per_second)?;
    note("statements/batch", |drained| drained.statements_per_batch)?;
    note("WAL bytes/job", |drained| drained.wal_bytes_per_job)
}
