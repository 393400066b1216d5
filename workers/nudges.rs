//! Telling the workers of other lanes what a commit has queued for them.

use sqlx::PgPool;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// Tells lanes, one after the other, for as long as anybody has it. A lost nudge costs a poll interval.
#[derive(Clone, Debug)]
pub(crate) struct Nudges(UnboundedSender<&'static str>);

impl Nudges {
    pub(crate) fn new(pool: PgPool) -> Self {
        let (lanes, mut told) = unbounded_channel();
        #[expect(clippy::disallowed_methods, reason = "it ends with the last of those who tell it something")]
        let sending = tokio::spawn(async move {
            while let Some(lane) = told.recv().await {
                let mut lanes: Vec<&str> = vec![lane];
                while let Ok(lane) = told.try_recv() {
                    lanes.push(lane);
                }
                lanes.sort_unstable();
                lanes.dedup();
                for lane in lanes {
                    if let Err(error) = outbox::nudge(&pool, lane).await {
                        tracing::debug!(%error, lane, "a nudge was lost; workers also poll");
                    }
                }
            }
        });
        drop(sending);
        Self(lanes)
    }

    /// Something was committed for this lane.
    pub(crate) fn after_commit(&self, lane: &'static str) {
        if self.0.send(lane).is_err() {
            tracing::debug!(lane, "nobody sends nudges any more");
        }
    }
}
