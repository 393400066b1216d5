//! Several workers on one queue, compared with one.

use anyhow::Result;

use crate::report::{Figure, Goal, Ratio};
use crate::{Bench, settle};

/// Cores that four workers, Postgres and the bench need to be more than a crowd.
const CORES_FOR_FOUR: usize = 6;

/// Rounds of the load in turns: one worker, two, and four where there are cores for them.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let spare = cores >= CORES_FOR_FOUR;
    let crowds: &[u16] = if spare { &[1, 2, 4] } else { &[1, 2] };
    let mut rates: Vec<Vec<f64>> = vec![Vec::new(); crowds.len()];
    for round in 1..=bench.sizes.rounds {
        let mut turns: Vec<_> = crowds.iter().zip(&mut rates).collect();
        // Who begins takes turns as well.
        if round % 2 == 0 {
            turns.reverse();
        }
        for (turn, (workers, rates)) in turns.into_iter().enumerate() {
            let drained = settle::round_of(bench, 2_000 + 10 * round + turn, *workers).await?;
            rates.push(drained.jobs_per_second as f64);
        }
    }
    let settings = format!("{} jobs, batches of {}", bench.sizes.jobs, bench.sizes.batch);
    let one = rates.first().cloned().unwrap_or_default();
    for (workers, rates) in crowds.iter().zip(rates) {
        let contestant = format!("holdfast, workers: {workers}");
        let ratios = rates.iter().zip(&one).map(|(several, one)| several / one).collect();
        let (settings, unit) = (settings.clone(), "jobs/s");
        let figure = Figure { measure: "several", contestant, unit, rounds: rates, settings, lacks: "" };
        bench.report.figure(&figure, None)?;
        let goal = match (workers, spare) {
            (2, false) => Goal::Least(1.0),
            (2, true) => Goal::Least(1.6),
            (4, _) => Goal::Least(2.5),
            _ => continue,
        };
        let of = format!("settle rate of {workers} workers ÷ one");
        bench.report.ratio(&Ratio { measure: "several", of, rounds: ratios, goal: Some(goal) })?;
    }
    if !spare {
        let why = format!("{cores} cores; four workers are measured where there are {CORES_FOR_FOUR}");
        bench.report.skipped("several", "holdfast, workers: 4", &why)?;
    }
    Ok(())
}
