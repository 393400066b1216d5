use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use apalis_core::backend::finalize::Ephemeral;
use apalis_core::backend::{Backend, BackendConfig};
use apalis_core::task::Task;
use apalis_core::worker::context::WorkerContext;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use tower::layer::util::Identity;

use crate::feed::{Feed, Work};

/// Feeds the runtime from the outbox.
///
/// No error ever leaves a `poll`: the runtime would end the worker and drop the batch in flight.
/// What the database refuses is waited out inside.
#[derive(Debug)]
pub(crate) struct Outbox {
    feed: Arc<Feed>,
    next: Next,
}

/// A claim that is under way, if there is one.
#[derive(Default)]
struct Next(Option<BoxFuture<'static, Option<Work>>>);

impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Next").field(&self.0.is_some()).finish()
    }
}

impl Outbox {
    pub(crate) fn new(feed: Arc<Feed>) -> Self {
        Self { feed, next: Next::default() }
    }
}

impl Backend for Outbox {
    type Task = Task<Work>;
    type Error = Infallible;

    fn poll_ready(&mut self, _: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Option<Result<Self::Task, Infallible>>> {
        let feed = &self.feed;
        let next = self.next.0.get_or_insert_with(|| Arc::clone(feed).next().boxed());
        next.poll_unpin(cx).map(|work| {
            self.next.0 = None;
            work.map(|work| Ok(Task::new(work)))
        })
    }

    /// A claim in flight is finished and given back: dropping it between the statements would
    /// leave it to the pool to find a connection with an open transaction.
    fn poll_close(&mut self, cx: &mut Context<'_>, _: &WorkerContext) -> Poll<Result<(), Infallible>> {
        self.feed.stop();
        match self.next.0.as_mut().map(|next| next.poll_unpin(cx)) {
            Some(Poll::Pending) => Poll::Pending,
            Some(Poll::Ready(work)) => {
                drop(work);
                self.next.0 = None;
                Poll::Ready(Ok(()))
            }
            None => Poll::Ready(Ok(())),
        }
    }
}

impl Drop for Outbox {
    /// The runtime drops the backend when its worker ends, for whatever reason.
    fn drop(&mut self) {
        self.feed.ended();
    }
}

impl BackendConfig for Outbox {
    type Args = Work;
    type Id = u64;
    type Kind = Ephemeral;
    type Config = ();
    type Layer = Identity;

    fn config(&self) -> &() {
        &()
    }

    fn middleware(&mut self, _: &mut WorkerContext) -> Identity {
        Identity::new()
    }
}
