use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracing::subscriber::DefaultGuard;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

/// Counts the statements that this thread sends, as sqlx reports them. The test must run on one
/// thread, which is what `#[tokio::test]` does unless told otherwise.
pub(crate) struct Statements {
    count: Arc<AtomicUsize>,
    _installed: DefaultGuard,
}

struct Counter(Arc<AtomicUsize>);

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Statements {
    /// Counts from now on.
    pub(crate) fn watch() -> Self {
        let count = Arc::new(AtomicUsize::new(0));
        let installed = tracing::subscriber::set_default(Registry::default().with(Counter(Arc::clone(&count))));
        Self { count, _installed: installed }
    }

    /// How many there were since the last time that this was asked.
    pub(crate) fn since(&self) -> usize {
        self.count.swap(0, Ordering::Relaxed)
    }
}
