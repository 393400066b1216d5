//! `holdfast`: one binary for everything that runs.

mod bare;
mod client;
mod config;
mod database;
mod demo;
mod failure;
mod key;
mod logging;
mod migrate;
mod operator;
mod parked;
mod pause;
mod private;
mod retain;
mod say;
mod stop;
mod telemetry;
mod top;
mod verify;
mod web;
mod worker;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand};

use crate::failure::Failure;

const EXIT_STATUS: &str = "Exit status:
  0  fine
  1  something failed, or verify found a breach
  2  it cannot start: the call or the configuration is wrong";

/// What Postgres merely notes, such as a table that exists already, is left out.
const LOG_DEFAULT: &str = "info,sqlx::postgres::notice=warn";
/// What reads whole partitions is slow by nature, and not worth a warning.
const LOG_RETAIN: &str = "info,sqlx::postgres::notice=error,sqlx::query=error";
/// A demonstration has a screen of its own.
const LOG_DEMO: &str = "warn,sqlx::postgres::notice=error";

/// Moves money for a peer-to-peer exchange: a thin API records jobs, workers settle them
///
/// A retry, a crash or a slow provider never moves money twice and never loses it.
///
/// Without a command everything runs in one process on a private Postgres whose data stay in
/// .holdfast/, for trying it out; see also `holdfast demo`. For real work, `holdfast migrate` once,
/// then any number of `holdfast web` and `holdfast worker`.
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_STATUS, args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    /// Without a command: address to listen on, such as 127.0.0.1:9000; default 127.0.0.1:8080, or
    /// a free port if that is taken
    #[arg(long, value_name = "ADDRESS:PORT")]
    listen: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve the HTTP API; run any number of them
    ///
    /// SIGTERM finishes the requests in flight and exits.
    Web(web::Arguments),
    /// Settle what is queued; run any number of them
    ///
    /// SIGTERM finishes the batch in hand and exits; SIGKILL at any instruction loses nothing.
    Worker(worker::Arguments),
    /// Bring the database's schema up to date; run it before a release starts
    #[command(after_help = config::help::OWNER)]
    Migrate,
    /// Create, revoke and list the keys of the API
    #[command(subcommand)]
    Key(key::Command),
    /// Pause a lane, a kind, an asset or a rail; what is asked for is put off, never refused
    ///
    /// Every worker notices within a second. Nothing is lost: what is put off is done when it is
    /// resumed. For example: holdfast pause asset btc --reason "the chain has stopped"
    Pause(pause::Arguments),
    /// Let go on what was paused
    ///
    /// For example: holdfast resume asset btc --reason "the chain is back"
    Resume(pause::Arguments),
    /// List, show, retry and cancel the jobs that need a person
    #[command(subcommand)]
    Parked(parked::Command),
    /// Drop what was asked long ago, partition by partition; keys, jobs, outcomes and money stay
    ///
    /// A job is asked with a payload: amounts, addresses, words. This drops the payloads of the
    /// partitions in which every job has ended before the months that are kept. Which job it was,
    /// of which kind, asked by whom and when, about which trade or withdrawal, and what came of it
    /// stays, and so does the key with the hash of the request: the same request under it is the
    /// same job, for ever, and another one is refused.
    ///
    /// It says what it will do before it does it, and may run beside web and workers: first it
    /// copies what is kept, then the copy takes the place of the partition within an instant, then
    /// the old one is dropped. Interrupted at any moment, it goes on when it is run again. While it
    /// copies it needs room for the copy.
    /// For example: holdfast retain --months 12 --dry-run
    Retain(retain::Arguments),
    /// Show what is queued, parked, paused and working, live; q quits
    ///
    /// Only reads; any login that may read the database will do.
    Top(top::Arguments),
    /// Show what it does, in a minute: a private Postgres, deposits, trades, races, a killed worker
    ///
    /// Starts the API and two workers as processes of their own, asks for everything over HTTP, and
    /// compares every balance with an independent model. Exits 0 only if all agree to the last
    /// unit; whatever it started and wrote is gone afterwards. For example:
    /// holdfast demo --jobs 10000 --keep
    Demo(demo::Arguments),
    /// Check the books: exits 0 when clean, 1 on a breach, 2 when it could not look
    ///
    /// Reads one snapshot, so it may run beside workers; it is also the gate for a deployment.
    Verify(verify::Arguments),
}

impl Arguments {
    /// As what the process is named in traces; `None` where it makes none.
    const fn service(&self) -> Option<&'static str> {
        match self.command {
            None => Some("holdfast"),
            Some(Command::Web(_)) => Some("holdfast-web"),
            Some(Command::Worker(_)) => Some("holdfast-worker"),
            Some(
                Command::Migrate
                | Command::Key(_)
                | Command::Pause(_)
                | Command::Resume(_)
                | Command::Parked(_)
                | Command::Retain(_)
                | Command::Top(_)
                | Command::Demo(_)
                | Command::Verify(_),
            ) => None,
        }
    }
}

/// How long a thread may still be busy when all is done. Whatever it does then is lost, as it would be with
/// the process.
const ENDED_WITHIN: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return Failure::cannot_start(error).report(),
    };
    let done = runtime.block_on(Box::pin(run(arguments)));
    // Not the end of the runtime's own accord: that waits for every thread, and a process that has said that it
    // stopped has to be gone.
    let since = Instant::now();
    runtime.shutdown_timeout(ENDED_WITHIN);
    if since.elapsed() >= ENDED_WITHIN {
        tracing::warn!("a thread was still busy at the end; ending without it");
    }
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

async fn run(arguments: Arguments) -> Result<(), Failure> {
    let log_default = match arguments.command {
        Some(Command::Demo(_)) => LOG_DEMO,
        Some(Command::Retain(_)) => LOG_RETAIN,
        _ => LOG_DEFAULT,
    };
    logging::start(&config::log()?, log_default)?;
    let traces = if arguments.service().is_some() { config::traces()? } else { None };
    let telemetry = telemetry::start(traces, arguments.service().unwrap_or_default())?;
    let done = Box::pin(obey(arguments, telemetry.is_on())).await;
    telemetry.stop().await;
    done
}

async fn obey(arguments: Arguments, traces: bool) -> Result<(), Failure> {
    match arguments.command {
        Some(Command::Demo(arguments)) => demo::run(arguments).await,
        None => bare::run(arguments.listen, traces).await,
        Some(Command::Web(arguments)) => web::run(arguments).await,
        Some(Command::Worker(arguments)) => worker::run(arguments, traces).await,
        Some(Command::Migrate) => migrate::run().await,
        Some(Command::Key(command)) => key::run(command).await,
        Some(Command::Pause(arguments)) => pause::run(arguments, true).await,
        Some(Command::Resume(arguments)) => pause::run(arguments, false).await,
        Some(Command::Parked(command)) => parked::run(command).await,
        Some(Command::Retain(arguments)) => retain::run(arguments).await,
        Some(Command::Top(arguments)) => top::run(arguments).await,
        Some(Command::Verify(arguments)) => verify::run(arguments).await,
    }
}
