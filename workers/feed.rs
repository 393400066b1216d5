use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use outbox::{Ears, Run};
use settlement::{Batch, Settler};
use tokio::sync::{Mutex, watch};

use crate::heart::Body;
use crate::in_hand::{Held, InHand};
use crate::metrics::Metrics;
use crate::stopping::{Stopping, Weather};

/// What the runtime is handed: one task.
#[derive(Debug)]
pub(crate) enum Work {
    /// A claimed batch.
    Batch(Batch, Held),
    /// Jobs that a worker held when it ended uncleanly, one at a time.
    Suspects(Held),
}

/// Where the batches come from, and what the worker shares about its state.
#[derive(Debug)]
pub(crate) struct Feed {
    pub(crate) settler: Settler,
    pub(crate) run: Run,
    weather: Weather,
    hand: InHand,
    ears: Mutex<Ears>,
    stopping: Stopping,
    ended: watch::Sender<bool>,
    /// Whether the last piece of work was a suspect.
    was_suspect: AtomicBool,
    /// Whether the last claim took everything that was due: then the next one waits to be told.
    had_all: AtomicBool,
}

impl Feed {
    pub(crate) fn new(settler: Settler, run: Run, ears: Ears, metrics: Arc<Metrics>) -> Self {
        Self {
            hand: InHand::new(settler.has_less_in_company()),
            settler,
            run,
            weather: Weather::new(metrics),
            ears: Mutex::new(ears),
            stopping: Stopping::new(),
            ended: watch::Sender::new(false),
            was_suspect: AtomicBool::new(false),
            had_all: AtomicBool::new(false),
        }
    }

    /// No more claims from now on.
    pub(crate) fn stop(&self) {
        self.stopping.stop();
    }

    /// The runtime has let go of the worker.
    pub(crate) fn ended(&self) {
        self.ended.send_replace(true);
    }

    /// Returns when the runtime has let go of the worker.
    pub(crate) async fn until_ended(&self) {
        // The sender lives as long as `self`, so waiting cannot fail.
        if self.ended.subscribe().wait_for(|ended| *ended).await.is_err() {
            tracing::debug!("the worker's feed was dropped");
        }
    }

    fn is_stopping(&self) -> bool {
        self.stopping.is_stopping()
    }

    /// A batch settled: the weather is fine.
    pub(crate) fn fair(&self) {
        self.weather.fair();
    }

    /// The database refused or is away: waits longer each time in a row, but not beyond the order to stop.
    pub(crate) async fn storm(&self, error: &sqlx::Error, what: &'static str) {
        self.stopping.pause(self.weather.storm(error, what)).await;
    }

    /// The next piece of work, or `None` once the worker is to stop.
    pub(crate) async fn next(self: Arc<Self>) -> Option<Work> {
        self.ears.lock().await.listen().await;
        if self.had_all.swap(false, Ordering::Relaxed) && !self.settler.has_suspects() {
            self.wait().await;
        }
        while !self.is_stopping() {
            // Suspects and batches take turns, so that neither starves the other.
            let suspect = self.settler.has_suspects() && !self.was_suspect.load(Ordering::Relaxed);
            self.was_suspect.store(suspect, Ordering::Relaxed);
            let room = if suspect { self.hand.alone().await } else { self.hand.one().await };
            let Ok(mut held) = room else { break };
            if self.is_stopping() {
                break;
            }
            if suspect {
                return Some(Work::Suspects(held));
            }
            match self.settler.claim().await {
                Ok(Some(batch)) => {
                    held.take(batch.ids());
                    self.hand.full(batch.is_full());
                    self.had_all.store(batch.has_all(), Ordering::Relaxed);
                    return Some(Work::Batch(batch, held));
                }
                Ok(None) => self.wait().await,
                Err(error) => self.storm(&error, "claiming").await,
            }
        }
        None
    }

    /// Notes what is in hand now.
    pub(crate) async fn note(&self) -> Result<(), sqlx::Error> {
        self.hand.noted(async |jobs| self.run.note_holding(&jobs).await).await
    }

    async fn wait(&self) {
        let mut ears = self.ears.lock().await;
        tokio::select! {
            () = ears.wait() => {}
            () = self.stopping.until() => {}
        }
    }
}

impl Body for Feed {
    fn run(&self) -> &Run {
        &self.run
    }

    fn settler(&self) -> &Settler {
        &self.settler
    }

    fn company(&self, others: bool) {
        self.hand.company(others);
        self.settler.company(others);
    }
}
