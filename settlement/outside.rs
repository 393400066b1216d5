//! Whoever makes the calls: this crate names nobody.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::BoxFuture;
use jobs::{Endpoint, Reply};
use outbox::Leased;

use crate::decisions::Planned;

/// Makes the calls of an endpoint. It names no kind, and opens no transaction that outlasts a call.
pub trait Caller: Send + Sync {
    /// Makes one call. It is dropped when its time is over, and what has become of it is unknown then: so is whatever is
    /// no answer, and no refusal that the endpoint's own errors name. It is never repeated in here.
    fn call<'a>(&'a self, planned: &'a PlannedCall) -> BoxFuture<'a, Reply<String>>;
}

/// Who makes the calls, by the names of the endpoints.
#[derive(Clone, Default)]
pub struct Outside(HashMap<&'static str, Arc<dyn Caller>>);

impl Outside {
    /// Nobody is called.
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with a caller of this endpoint.
    #[must_use]
    pub fn with(mut self, endpoint: Endpoint, caller: impl Caller + 'static) -> Self {
        self.0.insert(endpoint.name, Arc::new(caller));
        self
    }

    /// Whether somebody calls this endpoint.
    pub fn calls(&self, endpoint: Endpoint) -> bool {
        self.of(endpoint.name).is_some()
    }

    pub(crate) fn of(&self, endpoint: &str) -> Option<&dyn Caller> {
        self.0.get(endpoint).map(AsRef::as_ref)
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// A call whose intent is committed. A worker calls once with it and records what came back; who repeats it beyond that
/// is told apart by nobody but the endpoint.
#[derive(Debug)]
pub struct PlannedCall {
    pub(crate) planned: Planned,
    /// When a call must be over at the latest.
    pub(crate) until: Instant,
}

impl PlannedCall {
    /// The job, and the attempt that fences what is recorded of it.
    pub const fn leased(&self) -> Leased {
        self.planned.leased
    }

    /// What is called.
    pub const fn endpoint(&self) -> Endpoint {
        self.planned.endpoint
    }

    /// What is asked: JSON text.
    pub fn request(&self) -> &str {
        &self.planned.request
    }
}
