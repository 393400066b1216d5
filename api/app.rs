use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use axum::Router;
use jobs::Lane;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::config::{Config, Limits};
use crate::http::auth::Access;
use crate::http::edge::guarded;
use crate::http::exports::Exports;
use crate::http::rate::Rates;
use crate::intake::asked::BodyWithin;
use crate::intake::asset_registry::AssetRegistry;
use crate::intake::gather::gatherer;
use crate::intake::inbox::INBOX_MAX;
use crate::intake::line::Line;
use crate::intake::nudges::Nudges;
use crate::intake::outcomes::Outcomes;
use crate::intake::stop::{StopSwitch, stop};
use crate::intake::submit::Intake;
use crate::routes::{DESCRIPTION, endpoints};
use crate::state::{Api, Shared};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::queue_gauges::QueueGauges;
use crate::telemetry::readiness::Readiness;

/// How long the tasks behind the router may take to commit what has come.
const TASKS_WITHIN: Duration = Duration::from_secs(10);

/// Why the HTTP side does not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry of assets could not be read; nothing can be checked without it.
    #[error("the registry of assets could not be read")]
    Assets(#[source] sqlx::Error),
    /// The metrics cannot be set up: a fault of this version.
    #[error("the metrics cannot be set up")]
    Metrics(#[from] prometheus::Error),
    /// A task that every request depends on ended. The process must end, to be started again.
    #[error("a task that records jobs or watches outcomes has ended")]
    TaskEnded,
}

/// The tasks behind the router: the one that commits, the one that watches outcomes and those
/// that nudge workers. Dropping it ends them at once; [`Background::stop`] ends them in order.
#[derive(Debug)]
pub struct Background {
    stop_waiting: StopSwitch,
    stop_recording: StopSwitch,
    stop_nudging: StopSwitch,
    watchers: JoinSet<()>,
    writers: JoinSet<()>,
    tellers: JoinSet<()>,
    pub(crate) limits: Limits,
}

/// The router and the tasks behind it; testable without a socket.
///
/// # Errors
/// [`Error::Assets`]: the database does not answer as it should; [`Error::Metrics`].
pub async fn app(config: Config) -> Result<(Router, Background), Error> {
    let Config { pool, ipn_secrets, limits } = config;
    let assets = AssetRegistry::load(pool.clone()).await.map_err(Error::Assets)?;
    let metrics = Metrics::new()?;
    let nudges = Nudges::new();
    let outcomes = Outcomes::new(limits.waiters_max);
    let (recorder, writer) = gatherer(&pool, nudges.clone(), limits.queue_jobs_max, metrics.recorded_jobs.clone());
    let inbox_max = limits.queue_jobs_max.min(INBOX_MAX);
    let (inbox, storer) = gatherer(&pool, nudges.clone(), inbox_max, metrics.recorded_jobs.clone());

    let [(stop_waiting, waiting), (stop_recording, recording), (stop_nudging, nudging)] = [stop(), stop(), stop()];
    let (mut watchers, mut writers, mut tellers) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
    // Each look would be planned anew: a plan that knows the numbers leaves out partitions, and so looks cheaper.
    let line = Line::planning_once(&pool);
    watchers.spawn(outcomes.clone().watch(line, waiting.clone()));
    writers.spawn(writer.write(recording.clone()));
    writers.spawn(storer.write(recording));
    for lane in Lane::ALL {
        tellers.spawn(nudges.clone().send(lane, Line::beside(&pool, []), nudging.clone()));
    }
    let exports = Exports::new(&pool, limits.exports_max);
    let assets = Arc::new(assets);
    let api = Api::new(Shared {
        access: Access::new(pool.clone(), Rates::new(limits.rate, limits.visitor_rate)),
        intake: Intake { pool: pool.clone(), assets: Arc::clone(&assets), recorder, outcomes, stop: waiting },
        pool,
        assets,
        inbox,
        exports,
        readiness: Readiness::default(),
        ipn_secrets,
        webhooks_refused: AtomicU64::default(),
        metrics,
        queue_gauges: QueueGauges::default(),
        body_within: BodyWithin(limits.body_within),
        description: &DESCRIPTION,
    });
    let background = Background { stop_waiting, stop_recording, stop_nudging, watchers, writers, tellers, limits };
    Ok((router(api), background))
}

fn router(api: Api) -> Router {
    let metrics = api.metrics.clone();
    let (routes, _described) = endpoints().split_for_parts();
    guarded(routes.with_state(api), metrics)
}

impl Background {
    /// Lets those go who wait for outcomes: they are answered 202.
    pub(crate) fn stop_waiting(&self) {
        self.stop_waiting.throw();
    }

    /// Resolves if one of the tasks ends by itself, which none should.
    pub(crate) async fn ended(&mut self) {
        let (watchers, writers, tellers) = (&mut self.watchers, &mut self.writers, &mut self.tellers);
        let ended = tokio::select! {
            Some(ended) = watchers.join_next() => ended,
            Some(ended) = writers.join_next() => ended,
            Some(ended) = tellers.join_next() => ended,
            else => pending().await,
        };
        match ended {
            Ok(()) => tracing::error!("a task behind the API ended"),
            Err(error) => tracing::error!(%error, "a task behind the API ended"),
        }
    }

    /// Ends the tasks in order: nobody waits any more, what was asked for is committed, and the
    /// workers are told. To be called when no request is in flight; at most 10 s.
    pub async fn stop(mut self) {
        self.stop_waiting();
        self.stop_recording.throw();
        let stop_nudging = self.stop_nudging;
        let in_order = async {
            while self.watchers.join_next().await.is_some() {}
            while self.writers.join_next().await.is_some() {}
            stop_nudging.throw();
            while self.tellers.join_next().await.is_some() {}
        };
        if timeout(TASKS_WITHIN, in_order).await.is_err() {
            tracing::warn!("the tasks behind the API did not end in time");
        }
    }
}
