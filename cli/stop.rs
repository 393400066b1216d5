use std::io::Read;
use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::failure::Failure;

/// The order to stop: SIGTERM, SIGINT, or the end of the process that holds this one's leash.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    ordered: watch::Receiver<bool>,
    /// The task that listens; it ends with the last clone.
    _listening: Arc<JoinSet<()>>,
}

impl Stop {
    /// Listens from now on. A second signal ends the process at once: whatever is in flight is
    /// rolled back by the database and done again by somebody else.
    ///
    /// A *leashed* process also stops when its standard input ends, which the kernel sees to when
    /// the process at the other end is gone, however that ended.
    ///
    /// # Errors
    /// The operating system refuses.
    pub(crate) fn listen(leashed: bool) -> Result<Self, Failure> {
        let handler = |kind| signal(kind).context("cannot listen for signals").map_err(Failure::cannot_start);
        let (interrupt, terminate) = (handler(SignalKind::interrupt())?, handler(SignalKind::terminate())?);
        let (order, ordered) = watch::channel(false);
        let mut listening = JoinSet::new();
        if leashed {
            let order = order.clone();
            let gone = leash().context("cannot watch standard input").map_err(Failure::cannot_start)?;
            listening.spawn(async move {
                // An error means that the thread is gone, and with it whoever it watched.
                if gone.await.is_err() {
                    tracing::debug!("standard input is not watched any more");
                }
                order.send_replace(true);
            });
        }
        listening.spawn(signals(interrupt, terminate, order));
        Ok(Self { ordered, _listening: Arc::new(listening) })
    }

    /// Resolves once the order is given.
    pub(crate) async fn ordered(&self) {
        let mut ordered = self.ordered.clone();
        if ordered.wait_for(|ordered| *ordered).await.is_err() {
            tracing::debug!("nobody listens for signals any more");
        }
    }

    /// The same as a value of its own, for those who keep it.
    pub(crate) fn future(&self) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.clone();
        async move { stop.ordered().await }
    }
}

async fn signals(mut interrupt: Signal, mut terminate: Signal, order: watch::Sender<bool>) {
    let mut next = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    next().await;
    order.send_replace(true);
    next().await;
    eprintln!("stopped at once; what was under way is rolled back");
    std::process::exit(130);
}

/// Resolves when standard input ends. A thread of its own, because a read that blocks would keep
/// the runtime from ending.
fn leash() -> std::io::Result<oneshot::Receiver<()>> {
    let (end, ended) = oneshot::channel();
    std::thread::Builder::new().name("leash".to_owned()).spawn(move || {
        let mut byte = [0_u8; 64];
        while std::io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {}
        if end.send(()).is_err() {
            tracing::debug!("stopped already");
        }
    })?;
    Ok(ended)
}
