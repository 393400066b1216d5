//! WAL per settled job, and what the usual shape of a queue costs: one row that is updated through its
//! states, with the usual indexes, and the same ledger work by the bulk procedure.

use anyhow::Result;

use crate::peers::books::Books;
use crate::peers::by_hand::Loop;
use crate::peers::{day, rest};
use crate::report::{Figure, Goal, Ratio};
use crate::{Bench, settle};

const DATABASE: &str = "single_table";
const MEASURE: &str = "wal";
const UNIT: &str = "WAL bytes/job";
/// What a settled job should cost at most.
const BYTES_MAX: f64 = 1_800.0;
/// What it should be at most, where the single table's is one.
const SHARE_MAX: f64 = 0.75;
const LACKS: &str = "requests, outcomes, rejections, limits; a commission is posted within its release; no row has an \
     index for timers or lists, and balances stand in the account";

/// Rounds of the load and of the single table in turns, in batches of the same size.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let jobs = bench.sizes.jobs;
    day::prepare(&bench.server, jobs, bench.sizes.people).await?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=bench.sizes.rounds {
        ours.push(settle::round(bench, 4_000 + round).await?.wal_bytes_per_job as f64);
        // Nothing of it is left to autovacuum, whose log would be the other's.
        rest(&bench.server.owner).await?;
        theirs.push(single_table(bench, jobs).await?);
    }
    let ratios = ours.iter().zip(&theirs).map(|(ours, theirs)| ours / theirs).collect();
    let settings = format!("{jobs} jobs, batches of {}, full_page_writes on", bench.sizes.batch);
    let mut note = |contestant: &str, rounds, lacks, goal| {
        let (contestant, settings) = (contestant.to_owned(), settings.clone());
        bench.report.figure(&Figure { measure: MEASURE, contestant, unit: UNIT, rounds, settings, lacks }, goal)
    };
    note("holdfast", ours, "", Some(Goal::Most(BYTES_MAX)))?;
    note("single table, bulk procedure", theirs, LACKS, None)?;
    let of = "WAL bytes per job, holdfast ÷ single table".to_owned();
    bench.report.ratio(&Ratio { measure: MEASURE, of, rounds: ratios, goal: Some(Goal::Most(SHARE_MAX)) })
}

async fn single_table(bench: &Bench, jobs: usize) -> Result<f64> {
    let db = bench.server.database(DATABASE, Some(day::TEMPLATE)).await?;
    let queue = Loop::SingleTable(bench.sizes.batch.into());
    queue.queue(&db, jobs).await?;
    rest(&db).await?;
    let (before,): (String,) = sqlx::query_as("select pg_current_wal_lsn()::text").fetch_one(&db).await?;
    queue.run(&bench.server.url("postgres", DATABASE), 1).await?;
    let (bytes,): (i64,) = sqlx::query_as("select pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
        .bind(before)
        .fetch_one(&db)
        .await?;
    Books::default().check(&db, "single table", jobs, false).await?;
    db.close().await;
    Ok(bytes as f64 / jobs as f64)
}
