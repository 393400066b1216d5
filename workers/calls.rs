//! A worker of a lane whose jobs call somebody outside.

use std::sync::Arc;
use std::time::Duration;

use jobs::CallKind;
use outbox::{Role, StartError, connect_options, note_options, pool_options};
use sqlx::PgPool;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::call_lane::CallLane;
use crate::exposition::expose;
use crate::heart::beat;
use crate::metrics::Metrics;
use crate::run::{CLOSING, Error, Options, patiently, until_outgrown};

/// What is due again at a certain time is found that late at most; what is new is told.
const POLL_LEAST: Duration = Duration::from_millis(200);
/// Connections: calls take none while they are made.
const CONNECTIONS: u32 = 4;

/// Works a lane until `shutdown` completes, then finishes what was called and returns.
pub(crate) async fn run(
    options: Options,
    listener: Option<TcpListener>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), Error> {
    if CallKind::of_lane(options.calls, options.lane).next().is_none() {
        return Err(Error::EmptyLane(options.lane));
    }
    let uncalled = CallKind::of_lane(options.calls, options.lane).find(|kind| !options.outside.calls(kind.endpoint));
    if let Some(kind) = uncalled {
        return Err(Error::NoCaller(kind.endpoint.name));
    }
    let started = Instant::now();
    let mut shutdown = Box::pin(shutdown);
    let open = async || open(&options).await.map_err(Error::Start);
    let Some((calling, notes)) = patiently(&mut shutdown, started, open).await? else { return Ok(()) };
    let metrics = Arc::new(Metrics::new([("calling", &calling), ("noting", &notes)])?);
    let poll = options.poll.max(POLL_LEAST);
    let begin = async || {
        let work = (options.lane, options.outside.clone());
        CallLane::begin(&options, work, (&calling, &notes), poll, &metrics).await.map_err(Error::Begin)
    };
    let Some(lane) = patiently(&mut shutdown, started, begin).await? else { return Ok(()) };
    let lane = Arc::new(lane);
    tracing::info!(run = lane.run.id(), lane = options.lane.as_str(), "working");

    // Dropped, and with them stopped, when this ends.
    let (mut working, mut ticking) = (JoinSet::new(), JoinSet::new());
    if let Some(listener) = listener {
        ticking.spawn(expose(listener, Arc::clone(&metrics)));
    }
    ticking.spawn(beat(Arc::clone(&lane), notes.clone()));
    working.spawn(Arc::clone(&lane).work());
    let ordered = tokio::select! {
        () = shutdown => Ok(()),
        error = until_outgrown(&notes) => {
            tracing::error!(%error, "stopping");
            Err(Error::Start(error.into()))
        }
        _ = working.join_next() => return Err(Error::Died),
        _ = ticking.join_next() => return Err(Error::Died),
    };
    tracing::info!("stopping: finishing what was called");
    lane.stopping.stop();
    let finished = async { while working.join_next().await.is_some() {} };
    // A run that died stays open, so that the others are careful with what it held.
    tokio::time::timeout(options.grace, finished).await.map_err(|_| Error::Grace(options.grace))?;
    ticking.shutdown().await;
    lane.end().await;
    tracing::info!(run = lane.run.id(), "stopped");
    drop(lane);
    for pool in [calling, notes] {
        if tokio::time::timeout(CLOSING, pool.close()).await.is_err() {
            tracing::debug!("connections were still in use; they end with the process");
        }
    }
    ordered
}

/// Connections for steps, which wait for the disk before anybody is called, and for notes, which do not.
async fn open(options: &Options) -> Result<(PgPool, PgPool), StartError> {
    let calling = connect_options(&options.url, &options.name)?;
    let calling = outbox::open(calling, Role::Worker, CONNECTIONS).await?;
    let notes = note_options(&options.url, &format!("{} notes", options.name))?;
    Ok((calling, pool_options().max_connections(CONNECTIONS).connect_lazy_with(notes)))
}
