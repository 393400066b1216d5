//! `cargo bench -- <measure>` in this folder: how fast the money day is settled, and what that is
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

mod accept;
mod deaths;
mod decide;
mod drain;
mod history;
mod hour;
mod http;
mod latency;
mod ledger_alone;
mod limit;
mod load;
mod partitions;
mod peers;
mod pgbench;
mod product;
mod queue_alone;
mod report;
mod server;
mod settle;
mod several;
mod snapshot;
mod stream;
mod twins;
mod usage;
mod wal;
mod worker;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Parser;

use crate::report::Report;

/// Measures Holdfast on the money day, and what it is to be compared with, on a Postgres of its own.
#[derive(Clone, Debug, Parser)]
#[command(name = "money_day", version, about)]
struct Arguments {
    /// What is measured.
    #[arg(value_enum)]
    measure: Option<Measure>,
    /// A small load, to see that it works; for everything, unless something is named.
    #[arg(long)]
    quick: bool,
    /// Append a JSON line to this file for each figure.
    #[arg(long)]
    json: Option<PathBuf>,
    #[command(flatten)]
    sizes: Sizes,
    /// Serve as what the accept rate is compared with.
    #[arg(long, hide = true, num_args = 3)]
    plain: Vec<String>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much of everything.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Sizes {
    /// What the load is made of.
    #[arg(long, value_enum, default_value_t = load::Mix::Day)]
    pub(crate) load: load::Mix,
    /// Seconds that are spent on each figure that takes a time rather than a number of jobs.
    #[arg(long, default_value_t = 10)]
    pub(crate) seconds: u64,
    /// Jobs to drain in each round.
    #[arg(long, default_value_t = 100_000)]
    pub(crate) jobs: usize,
    /// Jobs per batch.
    #[arg(long, default_value_t = settlement::BATCH_MAX)]
    pub(crate) batch: u16,
    /// Worker processes.
    #[arg(long, default_value_t = 1)]
    pub(crate) workers: u16,
    /// People who trade, Zipf-distributed.
    #[arg(long, default_value_t = 50_000)]
    pub(crate) people: usize,
    /// pgledger's SQL, a file or a folder of files, to compare the ledger alone with.
    #[arg(long)]
    pub(crate) pgledger: Option<PathBuf>,
    /// Rounds; the median is what counts.
    #[arg(long, default_value_t = 3)]
    pub(crate) rounds: usize,
    #[command(flatten)]
    pub(crate) lasting: hour::Lasting,
}

impl Sizes {
    /// The smallest form: it shows that everything works, and no figure of it means anything.
    fn quick(&mut self) {
        self.jobs = self.jobs.min(5_000);
        self.people = self.people.min(1_000);
        self.rounds = 1;
        self.seconds = 1;
        self.lasting.quick();
    }
}

/// What can be measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Measure {
    /// Queued jobs drained per second.
    Settle,
    /// Durable 202s per second on 64 connections.
    Accept,
    /// The time from POST to settled, at several rates.
    Latency,
    /// Two workers compared with one; four where there are cores for them.
    Several,
    /// Memory of a worker under full load, and the time from its start to its first settlement.
    Worker,
    /// How long nothing is settled when a worker dies, or Postgres.
    Deaths,
    /// What a snapshot costs that somebody keeps open.
    Snapshot,
    /// What millions of finished jobs cost.
    History,
    /// What many partitions of jobs cost.
    Partitions,
    /// The rate of a billion jobs a day, held for an hour over HTTP.
    Hour,
    /// Jobs that one core decides in memory.
    Decide,
    /// Queued jobs drained per second for each transaction of TPC-B that the same server does.
    Pgbench,
    /// The same jobs by libraries and by hand, in turns with Holdfast.
    Peers,
    /// Claiming and completing jobs that do nothing, the same libraries and Holdfast in turns.
    Noop,
    /// The rate at which the server takes the rows of a drain, and the drain.
    Limit,
    /// Transfers on few accounts and on many, pgledger's functions and Holdfast in turns.
    Ledger,
    /// WAL per job, a queue of one table and Holdfast in turns.
    Wal,
    /// All of it.
    All,
}

/// What every measure works with.
pub(crate) struct Bench {
    pub(crate) server: server::Server,
    pub(crate) people: load::People,
    pub(crate) sizes: Sizes,
    pub(crate) report: Report,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = Arguments::parse();
    if !arguments.plain.is_empty() {
        return accept::serve(&arguments.plain).await;
    }
    if arguments.quick {
        arguments.sizes.quick();
    }
    let usual = if arguments.quick { Measure::All } else { Measure::Settle };
    let asked = arguments.measure.unwrap_or(usual);
    let wanted = |measure| [measure, Measure::All].contains(&asked);
    let server = server::Server::start().await?;
    let described = server.describe().await?;
    eprintln!("{described}");
    let report = Report::new(arguments.json.as_ref(), &described, arguments.quick)?;
    let sizes = arguments.sizes.clone();
    let people = load::people(&server, sizes.people, sizes.load).await.context("registering and funding people")?;
    let mut bench = Bench { server, people, sizes, report };
    if wanted(Measure::Decide) {
        decide::measure(&mut bench)?;
    }
    if wanted(Measure::Settle) {
        settle::measure(&mut bench).await?;
    }
    if wanted(Measure::Pgbench) {
        pgbench::measure(&mut bench).await?;
    }
    if wanted(Measure::Peers) {
        peers::measure(&mut bench).await?;
    }
    if wanted(Measure::Noop) {
        peers::noop(&mut bench).await?;
    }
    if wanted(Measure::Limit) {
        limit::measure(&mut bench).await?;
    }
    if wanted(Measure::Ledger) {
        ledger_alone::measure(&mut bench).await?;
    }
    if wanted(Measure::Wal) {
        wal::measure(&mut bench).await?;
    }
    if wanted(Measure::Accept) {
        accept::measure(&mut bench).await?;
    }
    if wanted(Measure::Latency) {
        latency::measure(&mut bench).await?;
    }
    if wanted(Measure::Several) {
        several::measure(&mut bench).await?;
    }
    if wanted(Measure::Worker) {
        worker::measure(&mut bench).await?;
    }
    if wanted(Measure::Deaths) {
        deaths::measure(&mut bench).await?;
    }
    if wanted(Measure::Snapshot) {
        snapshot::measure(&mut bench).await?;
    }
    if wanted(Measure::History) {
        history::measure(&mut bench).await?;
    }
    if wanted(Measure::Partitions) {
        partitions::measure(&mut bench).await?;
    }
    if wanted(Measure::Hour) {
        hour::measure(&mut bench).await?;
    }
    bench.end().await
}

impl Bench {
    /// The books must agree after whatever was measured.
    async fn end(self) -> Result<()> {
        let verification = integrity::verify(&self.server.owner).await?;
        if !verification.is_clean() {
            bail!("the books do not agree after the run:\n{verification}");
        }
        eprintln!("\n{}", self.report.table());
        eprintln!("verify: clean, {} checks", verification.checks.len());
        self.server.stop().await
    }
}
