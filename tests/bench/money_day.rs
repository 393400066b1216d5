//! `cargo bench --bench money_day -- <measure>`: how fast the money day is settled, and what that is
//! to be compared with.
//!
//! It starts a Postgres of its own with fsync on, queues the load, drains it with real worker
//! processes, and prints jobs/s, statements per batch, WAL bytes per job, and a JSON line. What is
//! compared takes turns, and only ratios of one run mean much. Every run that moves money ends with
//! `verify`; a rejection fails it.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::float_arithmetic,
    clippy::as_conversions,
    clippy::disallowed_types,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::arithmetic_side_effects,
    clippy::disallowed_methods,
    reason = "a benchmark prints ratios and is asked by its environment; no money passes through a float"
)]

mod decide;
mod drain;
mod http;
mod load;
mod pgbench;
mod server;

use anyhow::{Context, Result, bail};
use clap::Parser;

/// Settle rate of the money day: queued jobs drained per second.
#[derive(Clone, Debug, Parser)]
#[command(name = "money_day", version, about)]
struct Arguments {
    /// What is measured.
    #[arg(value_enum, default_value_t = Measure::Settle)]
    measure: Measure,
    /// What the load of settle is made of.
    #[arg(long, value_enum, default_value_t = load::Mix::Day)]
    load: load::Mix,
    /// Seconds that http takes for each of its figures.
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Jobs to drain in each round.
    #[arg(long, default_value_t = 100_000)]
    jobs: usize,
    /// Jobs per batch.
    #[arg(long, default_value_t = settlement::BATCH_MAX)]
    batch: u16,
    /// Worker processes.
    #[arg(long, default_value_t = 1)]
    workers: u16,
    /// People who trade, Zipf-distributed.
    #[arg(long, default_value_t = 50_000)]
    people: usize,
    /// Rounds; the median is what counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// A small load, to see that it works.
    #[arg(long)]
    quick: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Queued jobs drained per second.
    Settle,
    /// Durable 202s per second on 64 connections, and the time from POST to settled.
    Http,
    /// Jobs that one core decides in memory.
    Decide,
    /// Queued jobs drained per second for each transaction of TPC-B that the same server does.
    Pgbench,
    /// All of it.
    All,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if arguments.quick {
        arguments.jobs = arguments.jobs.min(5_000);
        arguments.people = arguments.people.min(1_000);
        arguments.rounds = 1;
        arguments.seconds = 1;
        arguments.measure = Measure::All;
    }
    let wanted = |measure| [measure, Measure::All].contains(&arguments.measure);
    if wanted(Measure::Decide) {
        decide::measure(arguments.seconds.div_ceil(5), arguments.rounds)?;
    }
    if arguments.measure == Measure::Decide {
        return Ok(());
    }
    let server = server::Server::start().await?;
    eprintln!("{}", server.describe().await?);
    let people =
        load::people(&server, arguments.people, arguments.load).await.context("registering and funding people")?;
    if wanted(Measure::Http) {
        http::measure(&server, &people, arguments.seconds).await?;
    }
    if wanted(Measure::Pgbench) {
        settle_and_pgbench(&server, &people, &arguments).await?;
    } else if wanted(Measure::Settle) {
        settle(&server, &people, &arguments, None).await?;
    }
    let verification = settlement::verify::verify(&server.owner).await?;
    if !verification.is_clean() {
        bail!("the books do not agree after the run:\n{verification}");
    }
    println!("verify: clean, {} checks", verification.checks.len());
    server.stop().await
}

/// Rounds of the load and of pgbench in turns.
async fn settle_and_pgbench(server: &server::Server, people: &load::People, arguments: &Arguments) -> Result<()> {
    let pgbench = pgbench::Pgbench::prepare(server, arguments.seconds).await?;
    if pgbench.is_none() {
        eprintln!("pgbench: skipped, this server came without it");
    }
    settle(server, people, arguments, pgbench).await
}

async fn settle(
    server: &server::Server,
    people: &load::People,
    arguments: &Arguments,
    pgbench: Option<pgbench::Pgbench>,
) -> Result<()> {
    let (mut rounds, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=arguments.rounds {
        let queued =
            load::queue(server, people, arguments.jobs, round, arguments.load).await.context("queueing the load")?;
        let drained = drain::drain(server, arguments.workers, arguments.batch, queued).await?;
        eprintln!("round {round}: {drained}");
        if let Some(pgbench) = &pgbench {
            let (tps, clients) = (pgbench.tps(arguments.seconds)?, pgbench.clients());
            let ratio = drained.jobs_per_second as f64 / tps;
            eprintln!(
                "round {round}: pgbench {tps:.0} transactions/s with {clients} clients; {ratio:.1} times as many jobs"
            );
            ratios.push(ratio);
        }
        rounds.push(drained);
    }
    print(rounds, arguments)?;
    ratios.sort_by(f64::total_cmp);
    if let (Some(median), Some(first), Some(last)) = (ratios.get(ratios.len() / 2), ratios.first(), ratios.last()) {
        println!(
            "settled jobs for each transaction of pgbench: {median:.1} (median of {}; {first:.1} … {last:.1})",
            ratios.len()
        );
        println!("{}", serde_json::json!({ "measure": "settle rate / pgbench", "ratio": median, "rounds": ratios }));
    }
    Ok(())
}

fn print(mut rounds: Vec<drain::Drained>, arguments: &Arguments) -> Result<()> {
    rounds.sort_by_key(|drained| drained.jobs_per_second);
    let median = rounds.get(rounds.len() / 2).context("at least one round")?;
    println!(
        "\nsettled {} jobs/s (median of {}; {} … {}), {} statements per batch, {} bytes of WAL per job",
        median.jobs_per_second,
        rounds.len(),
        rounds.first().map_or(0, |drained| drained.jobs_per_second),
        rounds.last().map_or(0, |drained| drained.jobs_per_second),
        median.statements_per_batch,
        median.wal_bytes_per_job,
    );
    println!(
        "{}",
        serde_json::json!({
            "measure": "settle rate", "load": format!("{:?}", arguments.load).to_lowercase(), "jobs": arguments.jobs, "batch": arguments.batch, "workers": arguments.workers,
            "people": arguments.people, "jobs_per_second": median.jobs_per_second,
            "rounds": rounds.iter().map(|drained| drained.jobs_per_second).collect::<Vec<_>>(),
            "statements_per_batch": median.statements_per_batch, "wal_bytes_per_job": median.wal_bytes_per_job,
        })
    );
    Ok(())
}
