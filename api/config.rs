use std::time::Duration;

use providers::nowpayments::Secret;
use sqlx::PgPool;

/// What the HTTP side needs to run.
#[derive(Clone, Debug)]
pub struct Config {
    /// Connections as the role `holdfast_api`, opened with [`outbox::open`].
    pub pool: PgPool,
    /// The secrets that the payment provider may sign callbacks with: the current one and, during
    /// a rotation, the other. Without any, callbacks are answered 503 and none is stored.
    pub ipn_secrets: Vec<Secret>,
    /// How much is taken on at once.
    pub limits: Limits,
}

impl Config {
    /// With the limits that [`Limits::default`] documents.
    pub fn new(pool: PgPool, ipn_secrets: Vec<Secret>) -> Self {
        Self { pool, ipn_secrets, limits: Limits::default() }
    }
}

/// How much is taken on at once, and for how long. What is over a limit is refused with 503 and
/// `Retry-After`, never queued without bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Jobs that may wait to be committed. 20 000: about a second's worth.
    pub queue_jobs_max: u32,
    /// Requests that may wait for an outcome; the others are answered 202 at once. 10 000.
    pub waiters_max: usize,
    /// Open connections; further ones wait to be accepted. 4 096.
    pub connections_max: usize,
    /// How long a request's body may take to arrive. 10 s.
    pub body_within: Duration,
    /// How long a stopping server waits for the requests that are in flight. 20 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_jobs_max: 20_000,
            waiters_max: 10_000,
            connections_max: 4_096,
            body_within: Duration::from_secs(10),
            grace: Duration::from_secs(20),
        }
    }
}
