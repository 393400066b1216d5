//! A lane whose jobs call: each endpoint has room of its own, and nothing waits for a call but what is recorded of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jobs::{Endpoint, Lane};
use outbox::{Ears, Leased, Run};
use settlement::{Calling, Calls, Outside, Settler};
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::heart::Body;
use crate::metrics::Metrics;
use crate::run::{Options, watcher};
use crate::stopping::{Stopping, Weather};

/// What a worker has of a lane whose jobs call.
#[derive(Debug)]
pub(crate) struct CallLane {
    pub(crate) run: Run,
    pub(crate) stopping: Stopping,
    calls: Calls,
    weather: Weather,
    ears: tokio::sync::Mutex<Ears>,
    /// What it has in hand.
    hand: Mutex<Vec<i64>>,
    /// One note of it after the other.
    noting: tokio::sync::Mutex<()>,
    /// With each endpoint the calls that it still has room for.
    rooms: Vec<(Endpoint, Arc<Semaphore>)>,
}

impl CallLane {
    /// Begins to work a lane. `notes` is for what its run notes, `look_every` the longest time between two looks.
    ///
    /// # Errors
    /// Any error of the database.
    pub(crate) async fn begin(
        options: &Options,
        (lane, outside): (Lane, Outside),
        (pool, notes): (&PgPool, &PgPool),
        look_every: Duration,
        metrics: &Arc<Metrics>,
    ) -> Result<Self, sqlx::Error> {
        let run = Run::begin(notes.clone(), lane.as_str(), options.name.clone()).await?;
        let watch = watcher(metrics, options.traces, notes);
        let work = Settler::of_lane(lane, pool.clone(), options.settings.clone(), run.id()).await?;
        let calls = Calls::new(work.calling(options.calls).watched(watch), outside);
        let room = |endpoint: Endpoint| (endpoint, Arc::new(Semaphore::new(endpoint.room.into())));
        Ok(Self {
            rooms: calls.endpoints().into_iter().map(room).collect(),
            calls,
            run,
            stopping: Stopping::new(),
            weather: Weather::new(Arc::clone(metrics)),
            ears: tokio::sync::Mutex::new(Ears::new(notes.clone(), lane.as_str(), look_every)),
            hand: Mutex::default(),
            noting: tokio::sync::Mutex::default(),
        })
    }

    /// Works until the order to stop, and finishes what was called by then.
    pub(crate) async fn work(self: Arc<Self>) {
        let mut calls = JoinSet::new();
        while !self.stopping.is_stopping() {
            while let Some(ended) = calls.try_join_next() {
                told(&ended);
            }
            self.ears.lock().await.listen().await;
            // One suspect, then the others, so that neither starves the other.
            let taken = match self.take_suspect(&mut calls).await {
                Ok(()) => self.take(&mut calls).await,
                Err(trouble) => Err(trouble),
            };
            match taken {
                Ok(true) => {}
                Ok(false) => self.wait(&mut calls).await,
                Err(Trouble { what, error }) => self.stopping.pause(self.weather.storm(&error, what)).await,
            }
        }
        while let Some(ended) = calls.join_next().await {
            told(&ended);
        }
    }

    /// Leases what there is room for and begins to call it. Whether there may be more at once.
    async fn take(self: &Arc<Self>, calls: &mut JoinSet<()>) -> Result<bool, Trouble> {
        let mut is_full = false;
        for (endpoint, room) in &self.rooms {
            let free = room.available_permits();
            if free == 0 {
                continue;
            }
            let leased = self.calls.lease(*endpoint, free).await?;
            if leased.is_empty() {
                continue;
            }
            is_full |= leased.len() >= free;
            let jobs: Vec<i64> = leased.iter().map(|leased| leased.job_id).collect();
            self.hand.lock().unwrap_or_else(PoisonError::into_inner).extend(jobs);
            if let Err(error) = self.note().await {
                self.give_back(&leased).await;
                return Err(error);
            }
            for leased in leased {
                let Ok(permit) = Arc::clone(room).try_acquire_owned() else { break };
                calls.spawn(Arc::clone(self).call(leased, permit));
            }
        }
        self.calls.settle_strangers().await?;
        Ok(is_full && self.rooms.iter().any(|(_, room)| room.available_permits() > 0))
    }

    /// Takes one suspect with nothing else in hand, if one is due.
    async fn take_suspect(self: &Arc<Self>, calls: &mut JoinSet<()>) -> Result<(), Trouble> {
        if !self.calls.has_due_suspect().await? {
            return Ok(());
        }
        while let Some(ended) = calls.join_next().await {
            told(&ended);
        }
        if self.stopping.is_stopping() {
            return Ok(());
        }
        let Some(leased) = self.calls.lease_suspect().await? else { return Ok(()) };
        self.hand.lock().unwrap_or_else(PoisonError::into_inner).push(leased.job_id);
        let deaths = async {
            self.note().await?;
            Ok::<_, Trouble>(self.run.deaths_alone_with(leased.job_id).await?)
        };
        let deaths = match deaths.await {
            Ok(deaths) => deaths,
            Err(error) => {
                self.give_back(&[leased]).await;
                return Err(error);
            }
        };
        match self.calls.park_if_deadly(leased, deaths).await {
            Ok(false) => {}
            parked => {
                self.let_go(leased).await;
                parked?;
                return Ok(());
            }
        }
        if self.one(leased).await {
            self.calls.clear(leased);
        }
        Ok(())
    }

    async fn call(self: Arc<Self>, leased: Leased, permit: OwnedSemaphorePermit) {
        self.one(leased).await;
        drop(permit);
    }

    /// Plans, calls and records a job. Whether that came to its end.
    async fn one(&self, leased: Leased) -> bool {
        let job_id = leased.job_id;
        let storm = |error: &sqlx::Error| self.weather.storm(error, "recording a call");
        let result = Box::pin(self.calls.run(leased, self.stopping.until(), storm)).await;
        self.let_go(leased).await;
        let is_recorded = matches!(result, Ok(Calling::Recorded(_)));
        match result {
            Ok(Calling::Recorded(_)) => self.weather.fair(),
            Ok(Calling::Lost) => tracing::warn!(job_id, "the lease was lost; nothing was recorded of the call"),
            Ok(Calling::PutBack) => tracing::debug!(job_id, "put back, since the worker stops"),
            Err(error) => self.stopping.pause(self.weather.storm(&error, "planning a call")).await,
        }
        is_recorded
    }

    /// Notes everything that is in hand. A later note lacks nothing that an earlier one has and is still held.
    async fn note(&self) -> Result<(), Trouble> {
        let _turn = self.noting.lock().await;
        let jobs = self.hand.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.run.note_holding(&jobs).await.map_err(|error| Trouble { what: "noting what is held", error })
    }

    /// A job is in hand no longer; a worker that dies later has not died of it.
    async fn let_go(&self, leased: Leased) {
        self.hand.lock().unwrap_or_else(PoisonError::into_inner).retain(|job| *job != leased.job_id);
        if let Err(Trouble { error, .. }) = self.note().await {
            tracing::debug!(%error, "the end of a call could not be noted");
        }
    }

    /// What could not be noted is not called.
    async fn give_back(&self, leased: &[Leased]) {
        for leased in leased {
            self.hand.lock().unwrap_or_else(PoisonError::into_inner).retain(|job| *job != leased.job_id);
            if let Err(error) = self.calls.put_back(*leased).await {
                tracing::debug!(%error, job_id = leased.job_id, "not put back; its lease ends by itself");
            }
        }
    }

    /// Waits for a nudge, for the next look, for room, or for the order to stop.
    async fn wait(&self, calls: &mut JoinSet<()>) {
        let mut ears = self.ears.lock().await;
        tokio::select! {
            () = ears.wait() => {}
            Some(ended) = calls.join_next() => told(&ended),
            () = self.stopping.until() => {}
        }
    }

    /// Notes the end of the run.
    pub(crate) async fn end(&self) {
        if let Err(error) = self.run.end().await {
            tracing::warn!(%error, "the end of the run could not be noted");
        }
    }
}

impl Body for CallLane {
    fn run(&self) -> &Run {
        &self.run
    }

    fn settler(&self) -> &Settler {
        self.calls.settler()
    }

    fn company(&self, _: bool) {}
}

/// An error of the database, and what was tried.
struct Trouble {
    what: &'static str,
    error: sqlx::Error,
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self { what: "leasing", error }
    }
}

/// A call panics only outside of what is called, planned and recorded: its lease ends by itself.
fn told(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "a call ended in the middle");
    }
}
