use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use apalis::prelude::{Monitor, WorkerBuilder, WorkerBuilderExt};
use jobs::{CallKind, Lane};
use outbox::{Ears, Role, Run, SchemaError, StartError, connect_options, note_options, pool_options, settle_options};
use settlement::{Outside, Settings, Settler, Watcher};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::backend::Outbox;
use crate::calls;
use crate::clockwork::tick;
use crate::exposition::expose;
use crate::feed::Feed;
use crate::heart::beat;
use crate::in_hand::BATCHES;
use crate::ledger::settle;
use crate::metrics::Metrics;
use crate::nudges::Nudges;
use crate::operate::Beside;
use crate::traces::trace;

/// How long a process waits for a database that does not answer when it starts.
const WAIT_FOR_DATABASE: Duration = Duration::from_mins(1);

/// How long it waits between two attempts then.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// How often a worker looks whether the schema is still for it.
const SCHEMA_LOOK: Duration = Duration::from_millis(500);

/// With so many cores two workers that have a batch each in hand leave none of them idle. The database may have others,
/// which a worker does not know.
const FEW_CORES: usize = 2;

/// How long the connections may take to say goodbye.
pub(crate) const CLOSING: Duration = Duration::from_secs(2);

/// How a worker process works.
#[derive(Clone, Debug)]
pub struct Options {
    /// Address of the database, as a login that has only the role `holdfast_worker`.
    pub url: String,
    /// Which jobs it does.
    pub lane: Lane,
    /// The kinds that call: those of the registry, unless a test has others.
    pub calls: &'static [CallKind],
    /// Who makes the calls of the lane's endpoints; of other kinds nothing is done.
    pub outside: Outside,
    /// How it settles.
    pub settings: Settings,
    /// Host and process, for people.
    pub name: String,
    /// Longest time between two looks at the queue when no nudge comes.
    pub poll: Duration,
    /// How long a batch may take to finish after the order to stop.
    pub grace: Duration,
    /// How often a verification is asked for, however many workers do; `None` for never.
    pub verify_every: Option<Duration>,
    /// Where `GET /metrics` is answered, to whoever asks; `None` where nobody does.
    pub metrics: Option<SocketAddr>,
    /// Whether a span is made of each job that belongs to a trace.
    pub traces: bool,
}

/// Why a worker process ended that should not have.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It refuses to start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The lane has no kinds in this version.
    #[error("no kind of job uses the lane {} yet", .0.as_str())]
    EmptyLane(Lane),
    /// Nobody makes the calls of an endpoint: a fault of this version.
    #[error("nobody calls {0} in this version")]
    NoCaller(&'static str),
    /// The address for the metrics cannot be listened on.
    #[error("cannot listen on {0} for the metrics; choose another address with --metrics")]
    Listen(SocketAddr, #[source] std::io::Error),
    /// The metrics cannot be set up: a fault of this version.
    #[error("the metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// The database refused something before the work began.
    #[error("the worker could not begin")]
    Begin(#[source] sqlx::Error),
    /// The runtime lost its worker without having been told to stop.
    #[error("the worker died")]
    Died,
    /// The runtime failed.
    #[error("the worker's runtime failed: {0}")]
    Runtime(String),
    /// What was claimed did not finish within the grace time; it was rolled back.
    #[error("the batch in hand did not finish within {0:?}; it is rolled back and will be claimed again")]
    Grace(Duration),
}

/// Works until `shutdown` completes, then finishes what is claimed and returns.
///
/// Outages of the database are waited out. Returning an error means that the process should exit
/// non-zero, so that whoever supervises it notices.
///
/// # Errors
/// [`Error`].
pub async fn run(options: Options, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), Error> {
    let listener = match options.metrics {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| Error::Listen(address, error))?),
        None => None,
    };
    match options.lane {
        Lane::Ledger => settle_ledger(options, listener, shutdown).await,
        Lane::Provider | Lane::Notify => calls::run(options, listener, shutdown).await,
        // Every worker of the ledger works these beside it.
        lane @ (Lane::Operate | Lane::Verify) => Err(Error::EmptyLane(lane)),
    }
}

async fn settle_ledger(
    options: Options,
    listener: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let started = Instant::now();
    let mut shutdown = Box::pin(shutdown);
    let open = async || Pools::open(&options).await.map_err(Error::Start);
    let Some(Pools { settling, notes, aside }) = patiently(&mut shutdown, started, open).await? else { return Ok(()) };
    let metrics = Arc::new(Metrics::new([("settling", &settling), ("operating", &aside), ("noting", &notes)])?);
    let settings = for_this_machine(&options.settings);
    // A run that began before something else failed holds nothing, and is passed over as one that died.
    let begin = async || {
        let run = Run::begin(notes.clone(), Settler::LANE, options.name.clone()).await?;
        let settler = Settler::new(settling.clone(), settings.clone(), run.id()).await?;
        Ok((run, settler, Beside::begin(&options, &aside, &notes, &metrics).await?))
    };
    let begin = async || begin().await.map_err(Error::Begin);
    let Some((run, settler, mut beside)) = patiently(&mut shutdown, started, begin).await? else { return Ok(()) };
    let settler = settler.aside(aside.clone()).watched(watcher(&metrics, options.traces, &notes));
    let ears = Ears::new(notes.clone(), Settler::LANE, options.poll);
    let feed = Arc::new(Feed::new(settler, run, ears, Arc::clone(&metrics)));
    tracing::info!(run = feed.run.id(), lane = Settler::LANE, batch = options.settings.batch_max, "working");

    // Dropped, and with it stopped, when this ends.
    let mut exposing = JoinSet::new();
    if let Some(listener) = listener {
        exposing.spawn(expose(listener, Arc::clone(&metrics)));
    }
    #[expect(clippy::disallowed_methods, reason = "stopped and awaited below; what fails in it is logged there")]
    let heart = tokio::spawn(beat(Arc::clone(&feed), notes.clone()));
    #[expect(clippy::disallowed_methods, reason = "stopped and awaited below; what fails in it is logged there")]
    let clock = tokio::spawn(tick(Arc::clone(&feed), notes.clone()));
    let outgrown = Arc::new(OnceLock::new());
    let shutdown = {
        let (notes, outgrown) = (notes.clone(), Arc::clone(&outgrown));
        async move {
            tokio::select! {
                () = shutdown => {}
                error = until_outgrown(&notes) => {
                    tracing::error!(%error, "stopping");
                    if outgrown.set(error).is_err() {
                        tracing::debug!("it was outgrown twice");
                    }
                }
            }
        }
    };
    let mut result = tokio::select! {
        result = supervise(&options, Arc::clone(&feed), shutdown) => result,
        () = beside.ended() => Err(Error::Died),
    };
    if let (true, Some(error)) = (result.is_ok(), Arc::into_inner(outgrown).and_then(OnceLock::into_inner)) {
        result = Err(Error::Start(error.into()));
    }
    if result.is_ok() {
        beside.stop(CLOSING).await;
    }
    for (task, what) in [(heart, "the heartbeat"), (clock, "the clockwork")] {
        task.abort();
        if task.await.is_err_and(|error| error.is_panic()) {
            tracing::error!("{what} panicked");
        }
    }
    // A run that died stays open, so that the others are careful with what it held.
    if result.is_ok()
        && let Err(error) = feed.run.end().await
    {
        tracing::warn!(%error, "the end of the run could not be noted");
    }
    tracing::info!(run = feed.run.id(), "stopped");
    // The feed's listener has a connection of the pool for itself, and closing waits for it.
    drop(feed);
    Pools { settling, notes, aside }.close().await;
    result
}

/// The connections of a worker.
struct Pools {
    /// For batches.
    settling: PgPool,
    /// For what is noted of the run, the heart and the clock.
    notes: PgPool,
    /// For what is done beside the lane.
    aside: PgPool,
}

impl Pools {
    async fn open(options: &Options) -> Result<Self, StartError> {
        let settle = settle_options(&options.url, &options.name)?;
        let settling = outbox::open(settle, Role::Worker, BATCHES.into()).await?;
        let notes = pool_options()
            .max_connections(6)
            .connect_lazy_with(note_options(&options.url, &format!("{} notes", options.name))?);
        let aside = pool_options()
            .max_connections(4)
            .connect_lazy_with(connect_options(&options.url, &format!("{} operating", options.name))?);
        Ok(Self { settling, notes, aside })
    }

    async fn close(self) {
        for pool in [self.settling, self.aside, self.notes] {
            if tokio::time::timeout(CLOSING, pool.close()).await.is_err() {
                tracing::debug!("connections were still in use; they end with the process");
            }
        }
    }
}

/// How this machine's cores have it settle.
fn for_this_machine(settings: &Settings) -> Settings {
    let has_few_cores = std::thread::available_parallelism().is_ok_and(|cores| cores.get() <= FEW_CORES);
    let most = if has_few_cores { settlement::BATCH_IN_COMPANY } else { u16::MAX };
    Settings { batch_max_in_company: settings.batch_max_in_company.min(most), ..settings.clone() }
}

/// Returns when a migration has made the schema one that this binary must not work on. Batches see
/// it by themselves and settle nothing from then on; this ends the process.
pub(crate) async fn until_outgrown(notes: &PgPool) -> SchemaError {
    loop {
        tokio::time::sleep(SCHEMA_LOOK).await;
        match outbox::still_fits(notes).await {
            Err(error @ SchemaError::TooNew { .. }) => return error,
            Ok(()) | Err(SchemaError::TooOld { .. } | SchemaError::Unreadable(_)) => {}
        }
    }
}

/// Who counts and traces what is committed, and tells other lanes of it.
pub(crate) fn watcher(metrics: &Arc<Metrics>, traces: bool, notes: &PgPool) -> Watcher {
    let (metrics, nudges) = (Arc::clone(metrics), Nudges::new(notes.clone()));
    Watcher::new(move |committed| {
        metrics.count(&committed);
        for lane in &committed.queued_in {
            nudges.after_commit(lane);
        }
        if traces {
            trace(&committed);
        }
    })
}

/// Does what comes before the work, waiting for a database that does not answer yet, or goes away in the middle of it.
/// None if the order to stop came meanwhile.
pub(crate) async fn patiently<T>(
    shutdown: &mut (impl Future<Output = ()> + Unpin),
    started: Instant,
    begin: impl AsyncFn() -> Result<T, Error>,
) -> Result<Option<T>, Error> {
    loop {
        let error = tokio::select! {
            () = &mut *shutdown => return Ok(None),
            result = begin() => match result {
                Ok(done) => return Ok(Some(done)),
                Err(error) => error,
            },
        };
        let for_at_most = WAIT_FOR_DATABASE.saturating_sub(started.elapsed());
        let Some(passing) = passing(&error).filter(|_| !for_at_most.is_zero()) else { return Err(error) };
        tracing::warn!(error = %passing, ?for_at_most, "the database went away; waiting for it");
        tokio::select! {
            () = &mut *shutdown => return Ok(None),
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}

/// A server that is starting, stopping or full may answer soon; a wrong password stays wrong.
fn passing(error: &Error) -> Option<&sqlx::Error> {
    let (Error::Start(StartError::Unreachable(error)) | Error::Begin(error)) = error else { return None };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    code.is_none_or(|code| code.starts_with("57") || code.starts_with("53")).then_some(error)
}

/// Runs the worker under the runtime's monitor. Two things the monitor does not do itself: it does
/// not notice a worker that ended by itself, and it does not bound how long stopping takes.
async fn supervise(
    options: &Options,
    feed: Arc<Feed>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    let (stopping, mut stopped) = tokio::sync::watch::channel(false);
    let ordered = stopped.clone();
    let name = options.name.clone();
    let monitor = Monitor::new().register({
        let feed = Arc::clone(&feed);
        move |_| {
            WorkerBuilder::new(name.as_str())
                .backend(Outbox::new(Arc::clone(&feed)))
                .data(Arc::clone(&feed))
                .catch_panic()
                .concurrency(BATCHES.into())
                .build(settle)
        }
    });
    let signal = {
        let feed = Arc::clone(&feed);
        async move {
            tokio::select! {
                () = shutdown => {
                    tracing::info!("stopping: finishing what is claimed");
                    stopping.send_replace(true);
                }
                () = feed.until_ended() => {}
            }
            feed.stop();
            Ok(())
        }
    };
    let grace = {
        let limit = options.grace;
        async move {
            if stopped.wait_for(|stopping| *stopping).await.is_err() {
                // The worker ended by itself; the monitor is about to say so.
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(limit).await;
        }
    };
    tokio::select! {
        result = monitor.run_with_signal(signal) => {
            result.map_err(|error| Error::Runtime(error.to_string()))?;
            if *ordered.borrow() { Ok(()) } else { Err(Error::Died) }
        }
        () = grace => Err(Error::Grace(options.grace)),
    }
}
