use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jobs::Lane;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::intake::line::Line;
use crate::intake::stop::Stop;
use crate::within::within;

/// The least time between two nudges of a lane.
const APART: Duration = Duration::from_millis(1);
/// After this a nudge counts as lost.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

/// Tells the workers that something was committed for them: at most one nudge per lane and
/// [`APART`], and always one after the last commit.
#[derive(Clone, Debug)]
pub(crate) struct Nudges(Arc<[(Lane, Notify)]>);

impl Nudges {
    pub(crate) fn new() -> Self {
        Self(Lane::ALL.map(|lane| (lane, Notify::new())).into())
    }

    /// Something was committed for this lane.
    pub(crate) fn after_commit(&self, lane: &str) {
        for (_, notify) in self.0.iter().filter(|(known, _)| known.as_str() == lane) {
            notify.notify_one();
        }
    }

    /// Sends the nudges of one lane until told to stop.
    pub(crate) async fn send(self, lane: Lane, mut own: Line, mut stop: Stop) {
        let Some((_, due)) = self.0.iter().find(|(known, _)| *known == lane) else {
            return;
        };
        let mut last: Option<Instant> = None;
        loop {
            let stopping = tokio::select! {
                () = due.notified() => false,
                () = stop.told() => true,
            };
            if stopping && last.is_none() && due.notified().now_or_never().is_none() {
                // Nothing was ever recorded for it.
                return;
            }
            // Whoever comes later than that after the last one is not kept waiting.
            if let Some(rest) = last.and_then(|last| APART.checked_sub(last.elapsed())) {
                tokio::time::sleep(rest).await;
            }
            last = Some(Instant::now());
            // When stopping, one more: what was committed last may not have been told.
            if let Err(error) = within(TOLD_WITHIN, nudge(&mut own, lane)).await {
                tracing::debug!(%error, lane = lane.as_str(), "a nudge failed; the workers poll as well");
            }
            if stopping {
                own.close().await;
                return;
            }
        }
    }
}

async fn nudge(own: &mut Line, lane: Lane) -> Result<(), sqlx::Error> {
    let mut db = own.take().await?;
    outbox::nudge(&mut db, lane.as_str()).await?;
    own.give(db);
    Ok(())
}
