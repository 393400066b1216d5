//! What many partitions cost: a day of a billion jobs fills sixty. Two databases on one server do the same
//! rounds in turns, and one of them has them, empty but for the last.

use anyhow::Result;
use sqlx::{PgPool, raw_sql};

use crate::report::{Figure, Goal, Ratio};
use crate::twins::{Twin, drop_database};
use crate::{Bench, Sizes};

/// Jobs in each partition.
const WIDTH: i64 = 16_777_216;
/// Of a round, so many times fewer jobs are settled one at a time.
const ALONE: usize = 50;
/// What is queued at once at least.
const ALONE_MIN: usize = 1_000;

/// Rounds in turns, in batches and one job at a time.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Sizes { rounds, jobs, batch, .. } = bench.sizes.clone();
    let partitions = bench.sizes.lasting.partitions;
    let few = Twin::new(bench, "few").await?;
    let many = Twin::new(bench, "many").await?;
    pass_jobs(&many.server.owner, i64::from(partitions.saturating_sub(1)) * WIDTH).await?;
    let alone = Sizes { jobs: (jobs / ALONE).max(ALONE_MIN), batch: 1, ..bench.sizes.clone() };
    let in_batches = Sizes { batch, ..bench.sizes.clone() };
    for (sizes, what, first) in
        [(in_batches, format!("batches of {batch}"), 0), (alone, "one at a time".into(), rounds)]
    {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for round in first + 1..=first + rounds {
            // Who begins takes turns as well.
            if round % 2 == 0 {
                with.push(many.round(&sizes, round).await?);
            }
            without.push(few.round(&sizes, round).await?);
            if round % 2 == 1 {
                with.push(many.round(&sizes, round).await?);
            }
        }
        let ratios = with.iter().zip(&without).map(|(with, without)| with / without).collect();
        for (contestant, rounds) in [
            (format!("holdfast, {partitions} partitions, {what}"), with),
            (format!("holdfast, three partitions, {what}"), without),
        ] {
            let (settings, unit) = (format!("rounds of {} jobs", sizes.jobs), "jobs/s");
            bench
                .report
                .figure(&Figure { measure: "partitions", contestant, unit, rounds, settings, lacks: "" }, None)?;
        }
        let of = format!("settle rate with {partitions} partitions ÷ with three, {what}");
        let goal = Some(Goal::Least(0.9));
        bench.report.ratio(&Ratio { measure: "partitions", of, rounds: ratios, goal })?;
    }
    for twin in [few, many] {
        let name = twin.end().await?;
        drop_database(bench, name).await?;
    }
    Ok(())
}

/// Lets jobs up to a number be those of the past, and makes the partitions that they had and the next ones.
pub(crate) async fn pass_jobs(owner: &PgPool, upto: i64) -> Result<()> {
    // From the partition that is there on: there may be several to make.
    for last in (0..=upto / WIDTH).map(|part| (part * WIDTH).max(1)).chain([upto]) {
        sqlx::query("select setval('job_id', $1)").bind(last).execute(owner).await?;
        raw_sql("select partitions_ahead()").execute(owner).await?;
    }
    Ok(())
}
