//! The order to stop, and what the weather is like.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use outbox::backoff;
use tokio::sync::watch;

use crate::metrics::Metrics;

/// Weather: the first pause, and the longest.
const PAUSE_FIRST: Duration = Duration::from_millis(20);
const PAUSE_MOST: Duration = Duration::from_secs(2);

/// The order to stop, for all that a lane does.
#[derive(Debug)]
pub(crate) struct Stopping(watch::Sender<bool>);

impl Stopping {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// No more claims from now on.
    pub(crate) fn stop(&self) {
        self.0.send_replace(true);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        *self.0.borrow()
    }

    /// Returns at the order to stop.
    pub(crate) fn until(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut stopping = self.0.subscribe();
        async move {
            if stopping.wait_for(|stopping| *stopping).await.is_err() {
                tracing::debug!("the lane was dropped");
            }
        }
    }

    /// Waits, but not beyond the order to stop.
    pub(crate) async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = self.until() => {}
        }
    }
}

/// How often in a row nothing was stored.
#[derive(Debug)]
pub(crate) struct Weather {
    metrics: Arc<Metrics>,
    storms: AtomicU32,
}

impl Weather {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self { metrics, storms: AtomicU32::new(0) }
    }

    /// Something was stored.
    pub(crate) fn fair(&self) {
        self.storms.store(0, Ordering::Relaxed);
    }

    /// The database refused or is away: logs it, and says when to try again, later each time in a row.
    pub(crate) fn storm(&self, error: &sqlx::Error, what: &'static str) -> Duration {
        self.metrics.count_weather(what);
        let storms = self.storms.fetch_add(1, Ordering::Relaxed);
        let pause = backoff(storms, PAUSE_FIRST, PAUSE_MOST);
        tracing::warn!(%error, what, in_a_row = storms.saturating_add(1), ?pause, "nothing was stored; trying again");
        pause
    }
}
