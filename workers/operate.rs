use std::sync::Arc;
use std::time::Duration;

use jobs::{Call, Lane, Verify};
use outbox::{Ears, Run};
use settlement::{Checks, Outside, Settings, Settler};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::call_lane::CallLane;
use crate::feed::Feed;
use crate::heart::beat;
use crate::ledger::settle_work;
use crate::metrics::Metrics;
use crate::run::{Options, watcher};
use crate::verify::ask;

/// Operators ask for little, and want it now.
const BATCH_MAX: u16 = 32;
/// The longest time between two looks, whatever the poll interval of the ledger is.
const POLL_MOST: Duration = Duration::from_millis(200);
/// How often it is looked for a verification to run that nobody has told of.
const VERIFY_POLL: Duration = Duration::from_secs(1);
/// How often it is looked for jobs whose pause is over.
const WAKE_EVERY: Duration = Duration::from_millis(250);

/// What every worker of the ledger does beside it: it settles what operators ask for, on a
/// connection and in a loop of its own, so that neither a backlog nor a long batch delays a pause;
/// and in another one it runs the integrity checks.
#[derive(Debug)]
pub(crate) struct Beside {
    feed: Arc<Feed>,
    verifying: Arc<CallLane>,
    /// Ends by itself once the feed is stopped.
    working: JoinSet<()>,
    /// Goes on until it is dropped.
    ticking: JoinSet<()>,
}

impl Beside {
    /// Begins to work the lane of operators.
    ///
    /// # Errors
    /// Any error of the database.
    pub(crate) async fn begin(
        options: &Options,
        pool: &PgPool,
        notes: &PgPool,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, sqlx::Error> {
        let lane = Lane::Operate;
        let run = Run::begin(notes.clone(), lane.as_str(), options.name.clone()).await?;
        let settings = Settings { batch_max: BATCH_MAX, ..options.settings.clone() };
        let settler = Settler::of_lane(lane, pool.clone(), settings, run.id()).await?;
        let settler = settler.watched(watcher(metrics, options.traces, notes));
        let ears = Ears::new(notes.clone(), lane.as_str(), options.poll.min(POLL_MOST));
        let feed = Arc::new(Feed::new(settler, run, ears, Arc::clone(metrics)));
        let (mut working, mut ticking) = (JoinSet::new(), JoinSet::new());
        working.spawn(work(Arc::clone(&feed)));
        ticking.spawn(beat(Arc::clone(&feed), notes.clone()));
        let checks = (Lane::Verify, Outside::new().with(Verify::ENDPOINT, Checks(pool.clone())));
        let verifying = Arc::new(CallLane::begin(options, checks, (pool, notes), VERIFY_POLL, metrics).await?);
        working.spawn(Arc::clone(&verifying).work());
        if let Some(every) = options.verify_every {
            working.spawn(ask(Arc::clone(&verifying), pool.clone(), every));
        }
        ticking.spawn(beat(Arc::clone(&verifying), notes.clone()));
        ticking.spawn(wake(pool.clone()));
        Ok(Self { feed, verifying, working, ticking })
    }

    /// Returns if one of the loops ends, which none should before it is told to.
    pub(crate) async fn ended(&mut self) {
        let ended = tokio::select! {
            Some(ended) = self.working.join_next() => ended,
            Some(ended) = self.ticking.join_next() => ended,
            else => Ok(()),
        };
        match ended {
            Ok(()) => tracing::error!("a loop beside the ledger ended"),
            Err(error) => tracing::error!(%error, "a loop beside the ledger ended"),
        }
    }

    /// Finishes what is claimed, within that time, and notes the end.
    pub(crate) async fn stop(mut self, within: Duration) {
        self.feed.stop();
        self.verifying.stopping.stop();
        let finished = async { while self.working.join_next().await.is_some() {} };
        if tokio::time::timeout(within, finished).await.is_err() {
            tracing::warn!("what operators asked for did not settle in time; it is rolled back");
            return;
        }
        self.ticking.shutdown().await;
        self.verifying.end().await;
        if let Err(error) = self.feed.run.end().await {
            tracing::warn!(%error, "the end of the run could not be noted");
        }
    }
}

/// Settles batches until the feed is stopped. The runtime's worker is left out: there is one batch
/// at a time, and a panic ends the loop and with it the process.
async fn work(feed: Arc<Feed>) {
    while let Some(work) = Arc::clone(&feed).next().await {
        settle_work(work, &feed).await;
    }
}

/// Brings back what was put off by pauses that are over, for as long as the worker lives.
async fn wake(pool: PgPool) {
    loop {
        match woken(&pool).await {
            // There may be more.
            Ok(woken) if woken >= u64::from(outbox::WAKE_MAX) => continue,
            Ok(_) => {}
            Err(error) => tracing::debug!(%error, "no look at what was resumed; trying again"),
        }
        tokio::time::sleep(WAKE_EVERY).await;
    }
}

async fn woken(pool: &PgPool) -> Result<u64, sqlx::Error> {
    let woken = outbox::wake(&mut *pool.acquire().await?).await?;
    for (lane, jobs) in &woken {
        tracing::info!(jobs, lane, "resumed: put off no longer");
        outbox::nudge(pool, lane).await?;
    }
    Ok(woken.iter().map(|(_, jobs)| *jobs).fold(0, u64::saturating_add))
}
