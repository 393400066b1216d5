//! A billion settled money jobs a day: a steady rate over HTTP, held for an hour, and whether it stays flat.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::Bench;
use crate::drain::{Worker, print_statements, refuse_refusals};
use crate::http::{Idle, Web, schedule};
use crate::report::{Figure, Goal, Ratio};
use crate::server::Server;
use crate::stream::Stream;
use crate::usage::{cpu_seconds, memory_kib, shares};

/// Hundreds of jobs that are sent together.
const HUNDREDS: usize = 5;
/// Pieces that may be unanswered, fewer jobs than web lets wait; then the client waits, and falls behind.
const UNANSWERED_MAX: usize = 30;
/// Intervals of a quick run, of a second each.
const QUICK_INTERVALS: u64 = 10;
/// How long the rest may take to settle at the end.
const PATIENCE: Duration = Duration::from_mins(5);

/// How long what lasts goes on.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Lasting {
    /// Minutes for which the rate of a billion jobs a day is held.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(2..))]
    pub(crate) minutes: u64,
    /// The rate that is held, in jobs per second.
    #[arg(long, default_value_t = 11_600)]
    pub(crate) rate: u64,
    /// How old the snapshot is that somebody keeps open.
    #[arg(long, default_value_t = 10)]
    pub(crate) snapshot_minutes: u64,
    /// Finished jobs that the past has.
    #[arg(long, default_value_t = 10_000_000)]
    pub(crate) history: u64,
    /// Partitions of jobs that there are.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u16).range(4..))]
    pub(crate) partitions: u16,
    #[arg(skip)]
    quick: bool,
}

impl Lasting {
    /// Seconds instead of minutes.
    pub(crate) fn quick(&mut self) {
        self.quick = true;
        self.history = self.history.min(50_000);
        self.partitions = self.partitions.min(20);
        self.rate = self.rate.min(1_000);
    }

    pub(crate) const fn is_quick(&self) -> bool {
        self.quick
    }
}

/// What was seen at the end of an interval.
struct Minute {
    /// Settled within it, without what jobs have caused.
    settled: i64,
    /// Left in the queue.
    queued: i64,
    /// Resident, in KiB: the web process, and the largest of the workers.
    web_kib: u64,
    worker_kib: u64,
    /// How far the client is behind the schedule.
    behind: Duration,
}

/// Holds the rate and notes what happens from minute to minute.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let lasting = bench.sizes.lasting.clone();
    let (interval, count) = if lasting.is_quick() {
        (Duration::from_secs(1), QUICK_INTERVALS)
    } else {
        (Duration::from_mins(1), lasting.minutes)
    };
    let web = Web::start(&bench.server).await?;
    let workers = (0..bench.sizes.workers)
        .map(|_| Worker::start(&bench.server, bench.sizes.batch))
        .collect::<Result<Vec<_>>>()?;
    let pids: Vec<u32> = workers.iter().map(Worker::pid).collect();
    // Enough trades that later ones can be followed up, outside the measured time.
    let follow_after = if lasting.is_quick() { 200 } else { 2_200 };
    let mut stream = Stream::new(&web, &bench.people, follow_after);
    let idle = Idle::open(web.site.address, 1).await?;
    while !stream.flows() {
        stream.piece(HUNDREDS)?.send(idle.clone()).await?;
    }
    until_empty(&bench.server).await?;
    // As autovacuum would have done in a database that has been at work for a while.
    sqlx::raw_sql("analyze").execute(&bench.server.owner).await?;
    // Statistics are up to a second late.
    sleep(Duration::from_secs(2)).await;
    let before = state(&bench.server).await?;
    sqlx::raw_sql("select pg_stat_statements_reset()").execute(&bench.server.owner).await?;
    let cpu = || {
        [
            cpu_seconds(web.site.pid()),
            pids.iter().copied().map(cpu_seconds).sum(),
            bench.server.cpu_seconds(),
            cpu_seconds(std::process::id()),
        ]
    };
    let (spent, began) = (cpu(), Instant::now());
    let minutes = hold(bench, &web, stream, &pids, (interval, count)).await?;
    let took = began.elapsed().as_secs_f64();
    print_statements(&bench.server).await?;
    let names = ["web", "workers", "Postgres", "client"];
    let spent: Vec<_> = names.into_iter().zip(cpu()).zip(spent).map(|((name, now), then)| (name, now - then)).collect();
    until_empty(&bench.server).await?;
    for worker in workers {
        worker.stop()?;
    }
    drop(web);
    refuse_refusals(&bench.server).await?;
    let after = state(&bench.server).await?;
    record(bench, interval, &minutes, &shares(took, &spent))?;
    let course: Vec<Value> = minutes
        .iter()
        .map(|minute| {
            json!({ "settled": minute.settled, "queued": minute.queued, "web_kib": minute.web_kib,
                "worker_kib": minute.worker_kib, "behind_ms": minute.behind.as_millis() })
        })
        .collect();
    bench.report.detail(json!({
        "measure": "hour", "rate": lasting.rate, "interval_s": interval.as_secs(), "course": course,
        "before": before, "after": after,
    }))
}

/// Sends pieces of the stream when they are due; returns what was seen in each interval.
async fn hold(
    bench: &Bench,
    web: &Web,
    mut stream: Stream<'_>,
    workers: &[u32],
    (interval, count): (Duration, u64),
) -> Result<Vec<Minute>> {
    let idle = Idle::open(web.site.address, 64).await?;
    let per_piece = u64::try_from(HUNDREDS * 100)?;
    let whole = interval * u32::try_from(count)?;
    let mut due = schedule(
        Duration::from_secs(per_piece).div_f64(bench.sizes.lasting.rate as f64),
        bench.sizes.lasting.rate * whole.as_secs() / per_piece,
    );
    let (mut minutes, mut calls, mut asked) = (Vec::new(), JoinSet::new(), 0);
    let began = Instant::now();
    let mut settled = settled_so_far(&bench.server).await?;
    while let Some((_, when)) = due.recv().await {
        let piece = stream.piece(HUNDREDS)?;
        asked += piece.jobs();
        calls.spawn(piece.send(idle.clone()));
        while calls.len() >= UNANSWERED_MAX {
            calls.join_next().await.context("an answer")???;
        }
        while let Some(call) = calls.try_join_next() {
            call??;
        }
        if began.elapsed() >= interval * (u32::try_from(minutes.len())? + 1) {
            minutes.push(look(&bench.server, web, workers, &mut settled, when).await?);
        }
    }
    while let Some(call) = calls.join_next().await {
        call??;
    }
    if minutes.len() < usize::try_from(count)? {
        sleep((began + whole).saturating_duration_since(Instant::now())).await;
        minutes.push(look(&bench.server, web, workers, &mut settled, Instant::now()).await?);
    }
    eprintln!("asked for {asked} jobs");
    Ok(minutes)
}

async fn look(server: &Server, web: &Web, workers: &[u32], settled: &mut i64, due: Instant) -> Result<Minute> {
    let now = settled_so_far(server).await?;
    let before = std::mem::replace(settled, now);
    let (queued,): (i64,) = sqlx::query_as("select count(*) from outbox").fetch_one(&server.owner).await?;
    let minute = Minute {
        settled: now - before,
        queued,
        web_kib: memory_kib(web.site.pid()).0,
        worker_kib: workers.iter().map(|pid| memory_kib(*pid).0).max().unwrap_or(0),
        behind: due.elapsed(),
    };
    eprintln!("settled {}, {queued} in the queue, client {} ms behind", minute.settled, minute.behind.as_millis());
    Ok(minute)
}

/// Jobs that have ended, as the statistics count them; commissions, which releases cause, left out.
async fn settled_so_far(server: &Server) -> Result<i64> {
    let (settled,): (i64,) = sqlx::query_as(
        "select coalesce(sum(case when relname = 'commission' then - n_tup_ins else n_tup_ins end), 0)::bigint
         from pg_stat_user_tables where relname = 'commission' or relname like 'outcome\\_p%'",
    )
    .fetch_one(&server.owner)
    .await?;
    Ok(settled)
}

async fn until_empty(server: &Server) -> Result<()> {
    let began = Instant::now();
    loop {
        let (empty,): (bool,) =
            sqlx::query_as("select not exists (select from outbox)").fetch_one(&server.owner).await?;
        if empty {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "the rest is not settled in time");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Sizes of tables with their indexes, and what autovacuum has done.
async fn state(server: &Server) -> Result<Value> {
    let (state,): (Value,) = sqlx::query_as(
        "select jsonb_build_object('database_bytes', pg_database_size(current_database()), 'tables', jsonb_object_agg(
             relname, jsonb_build_object('bytes', pg_table_size(relid), 'index_bytes', pg_indexes_size(relid),
                 'live_rows', n_live_tup, 'dead_rows', n_dead_tup, 'vacuums', autovacuum_count,
                 'analyses', autoanalyze_count)))
         from pg_stat_user_tables where n_tup_ins > 0",
    )
    .fetch_one(&server.owner)
    .await?;
    Ok(state)
}

/// The rate of every interval, and the last sixth of them compared with the first.
fn record(bench: &mut Bench, interval: Duration, minutes: &[Minute], shares: &str) -> Result<()> {
    let rate = bench.sizes.lasting.rate;
    let rates: Vec<f64> = minutes.iter().map(|minute| minute.settled as f64 / interval.as_secs_f64()).collect();
    let sixth = (rates.len() / 6).max(1);
    let mean = |rates: &mut dyn Iterator<Item = &f64>| rates.sum::<f64>() / sixth as f64;
    let first = mean(&mut rates.iter().take(sixth));
    let last = mean(&mut rates.iter().rev().take(sixth));
    let lasting = interval.as_secs() * minutes.len() as u64;
    let figure = Figure {
        measure: "hour",
        contestant: format!("holdfast, {rate} jobs/s asked for over HTTP"),
        unit: "jobs/s settled",
        rounds: rates,
        settings: format!(
            "for {lasting} s, one value for each {} s; {} workers; {shares}",
            interval.as_secs(),
            bench.sizes.workers
        ),
        lacks: "",
    };
    // What is settled a moment later belongs to the next interval.
    bench.report.figure(&figure, Some(Goal::Least(rate as f64 * 0.99)))?;
    let of = "the last sixth of the time ÷ the first".to_owned();
    bench.report.ratio(&Ratio { measure: "hour", of, rounds: vec![last / first], goal: Some(Goal::Least(0.9)) })?;
    let figure = Figure {
        measure: "hour",
        contestant: "a worker's memory meanwhile".to_owned(),
        unit: "MB",
        rounds: minutes.iter().map(|minute| minute.worker_kib as f64 * 1_024.0 / 1e6).collect(),
        settings: "what was resident at the end of each minute, of the largest".to_owned(),
        lacks: "",
    };
    bench.report.figure(&figure, Some(Goal::Most(64.0)))
}
