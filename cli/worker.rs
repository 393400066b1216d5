use std::net::SocketAddr;
use std::time::Duration;

use jobs::{CallKind, Lane};
use outbox::Role;
use settlement::{Outside, Settings};
use workers::Options;

use crate::config;
use crate::database;
use crate::failure::Failure;
use crate::stop::Stop;

/// How long a worker waits between two looks at the queue when no nudge comes.
pub(crate) const POLL: Duration = Duration::from_millis(50);

/// `holdfast worker`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::WORKER)]
pub(crate) struct Arguments {
    /// Which jobs it does; run at least one worker for each lane that has kinds
    #[arg(long, value_enum, default_value_t = LaneName::Ledger)]
    lane: LaneName,
    /// Jobs per batch, at most, and beside another worker on two cores no more than 1024; large batches settle faster,
    /// small ones sooner
    #[arg(long, value_name = "N", default_value_t = settlement::BATCH_MAX, value_parser = clap::value_parser!(u16).range(1..=8192))]
    batch: u16,
    /// Seconds that the batch in hand may take after the order to stop; then it is rolled back
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u16).range(0..=600))]
    grace: u16,
    /// How often the integrity checks run, such as 90s, 15m or 1h; 0 for never; default 1h
    ///
    /// However many workers are told so, one of them runs each. The result is recorded, shown at
    /// GET /v1/integrity, and logged as an error if anything contradicts anything.
    #[arg(long, value_name = "TIME")]
    verify_every: Option<String>,
    /// Address to answer `GET /metrics` on, for Prometheus; nowhere unless given
    ///
    /// It asks for no key, so choose an address that only the monitoring reaches, such as
    /// `--metrics 127.0.0.1:9464`. Each process needs one of its own.
    #[arg(long, value_name = "ADDRESS:PORT")]
    metrics: Option<SocketAddr>,
    /// Start without an IPN secret, for an exchange that takes no callbacks
    ///
    /// A callback that is in the queue nevertheless cannot be verified and is parked for a person.
    #[arg(long)]
    without_webhooks: bool,
    /// Stop when standard input ends.
    #[arg(long, hide = true)]
    leashed: bool,
}

/// The lanes as they are given on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum LaneName {
    /// Settles in the database: the ledger itself
    Ledger,
    /// Calls payment providers; no kind of job uses it yet
    Provider,
    /// Sends notices; no kind of job uses it yet
    Notify,
}

impl From<LaneName> for Lane {
    fn from(name: LaneName) -> Self {
        match name {
            LaneName::Ledger => Self::Ledger,
            LaneName::Provider => Self::Provider,
            LaneName::Notify => Self::Notify,
        }
    }
}

/// Works until it is told to stop.
///
/// # Errors
/// It cannot start, or it died.
pub(crate) async fn run(arguments: Arguments, traces: bool) -> Result<(), Failure> {
    let url = config::worker_database()?;
    let lane = Lane::from(arguments.lane);
    if lane != Lane::Ledger && CallKind::of_lane(jobs::CALLS, lane).next().is_none() {
        return Err(Failure::cannot_start(workers::Error::EmptyLane(lane)));
    }
    let verify_every = config::verify_every(arguments.verify_every)?;
    let ipn_secrets = config::ipn_secrets(arguments.without_webhooks)?;
    let metrics = config::metrics_listen(arguments.metrics)?;
    let stop = Stop::listen(arguments.leashed)?;
    let name = name();
    // The worker opens connections of its own; here the waiting for them can be interrupted.
    match database::open((&url, &name), Role::Worker, 1, &stop, async |_| Ok(())).await? {
        Some((pool, ())) => pool.close().await,
        None => return Ok(()),
    }
    let settings = Settings { batch_max: arguments.batch, ipn_secrets, ..Settings::default() };
    let grace = Duration::from_secs(arguments.grace.into());
    let (calls, outside) = (jobs::CALLS, Outside::new());
    let options =
        Options { url, lane, calls, outside, settings, name, poll: POLL, grace, verify_every, metrics, traces };
    Box::pin(workers::run(options, stop.future())).await.map_err(failure)
}

/// What a worker's end means for the process.
pub(crate) fn failure(error: workers::Error) -> Failure {
    match error {
        workers::Error::Start(_)
        | workers::Error::EmptyLane(_)
        | workers::Error::NoCaller(_)
        | workers::Error::Listen(..)
        | workers::Error::Metrics(_)
        | workers::Error::Begin(_) => Failure::cannot_start(error),
        workers::Error::Died | workers::Error::Runtime(_) | workers::Error::Grace(_) => Failure::Failed(error.into()),
    }
}

/// Host and process, as the other workers and the database's own lists show it.
pub(crate) fn name() -> String {
    name_of(std::process::id())
}

/// The name of a worker of this host.
pub(crate) fn name_of(pid: u32) -> String {
    let host = rustix::system::uname();
    format!("holdfast worker {}:{pid}", host.nodename().to_string_lossy())
}
