use std::cell::Cell;
use std::sync::Once;

use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

thread_local! {
    static SENT: Cell<usize> = const { Cell::new(0) };
}

/// Counts the statements that this thread sends, as sqlx reports them. The test must run on one
/// thread, which is what `#[tokio::test]` does unless told otherwise.
pub(crate) struct Statements {
    before: usize,
}

struct Counter;

impl<S: Subscriber> Layer<S> for Counter {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == "sqlx::query" {
            SENT.set(SENT.get() + 1);
        }
    }
}

/// Installs the counter for the whole process, before the first statement is sent: a subscriber of
/// one thread's own would depend on what the other threads have told the log about.
pub(super) fn install() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Registry::default().with(Counter)).unwrap());
}

impl Statements {
    /// Counts from now on.
    pub(crate) fn watch() -> Self {
        Self { before: SENT.get() }
    }

    /// How many there were since the last time that this was asked.
    pub(crate) fn since(&mut self) -> usize {
        let sent = SENT.get() - self.before;
        self.before = SENT.get();
        sent
    }
}
