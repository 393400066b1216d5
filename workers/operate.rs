use std::sync::Arc;
use std::time::Duration;

use jobs::Lane;
use outbox::{Ears, Run};
use settlement::{Settings, Settler};
use sqlx::PgPool;
use tokio::task::JoinSet;

use crate::feed::Feed;
use crate::heart::beat;
use crate::ledger::settle_work;
use crate::metrics::Metrics;
use crate::run::{Options, watcher};
use crate::verify::verify;

/// Operators ask for little, and want it now.
const BATCH_MAX: u16 = 32;
/// The longest time between two looks, whatever the poll interval of the ledger is.
const POLL_MOST: Duration = Duration::from_millis(200);
/// How often it is looked for jobs whose pause is over.
const WAKE_EVERY: Duration = Duration::from_millis(250);

/// What every worker of the ledger does beside it: it settles what operators ask for, on a
/// connection and in a loop of its own, so that neither a backlog nor a long batch delays a pause;
/// and in another one it runs the integrity checks.
#[derive(Debug)]
pub(crate) struct Beside {
    feed: Arc<Feed>,
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
        let settler = settler.watched(watcher(metrics, options.traces));
        let ears = Ears::new(notes.clone(), lane.as_str(), options.poll.min(POLL_MOST));
        let feed = Arc::new(Feed::new(settler, run, ears, Arc::clone(metrics)));
        let (mut working, mut ticking) = (JoinSet::new(), JoinSet::new());
        working.spawn(work(Arc::clone(&feed)));
        working.spawn(verify(Arc::clone(&feed), pool.clone(), options.verify_every));
        ticking.spawn(beat(Arc::clone(&feed), notes.clone()));
        ticking.spawn(wake(pool.clone()));
        Ok(Self { feed, working, ticking })
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
        let finished = async { while self.working.join_next().await.is_some() {} };
        if tokio::time::timeout(within, finished).await.is_err() {
            tracing::warn!("what operators asked for did not settle in time; it is rolled back");
            return;
        }
        self.ticking.shutdown().await;
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
    if woken > 0 {
        tracing::info!(jobs = woken, "resumed: put off no longer");
        outbox::nudge(pool, Settler::LANE).await?;
    }
    Ok(woken)
}
