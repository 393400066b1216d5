use std::time::Duration;

use providers::nowpayments::Secret;
use sqlx::PgPool;

use crate::http::rate::Rate;

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

/// How much is taken on at once, and for how long. What is over a limit is refused with 503, or
/// 429 where it is one principal's, and `Retry-After`; nothing is queued without bound.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Jobs that may wait to be committed. 20 000: about a second's worth.
    pub queue_jobs_max: u32,
    /// Requests that may wait for an outcome; the others are answered 202 at once. 10 000.
    pub waiters_max: usize,
    /// Open connections; further ones wait to be accepted. 4 096.
    pub connections_max: usize,
    /// Jobs that one principal may ask of this process; a request that asks for none counts as one.
    /// 50 000 a second, 100 000 at once.
    pub rate: Rate,
    /// Requests without a good key that one address may make. 100 a second, 1 000 at once.
    pub visitor_rate: Rate,
    /// How long the head of a request may take to arrive, and a connection may be idle. 30 s.
    pub head_within: Duration,
    /// How long a request's body may take to arrive. 10 s.
    pub body_within: Duration,
    /// How long a client may take none of what it is sent; then its connection is closed. 30 s.
    pub write_within: Duration,
    /// Exports that may be under way. They have two connections of their own between them. 8.
    pub exports_max: usize,
    /// How long a stopping server waits for the requests that are in flight. 20 s.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            queue_jobs_max: 20_000,
            waiters_max: 10_000,
            connections_max: 4_096,
            rate: Rate::new(50_000, 100_000),
            visitor_rate: Rate::new(100, 1_000),
            head_within: Duration::from_secs(30),
            body_within: Duration::from_secs(10),
            write_within: Duration::from_secs(30),
            exports_max: 8,
            grace: Duration::from_secs(20),
        }
    }
}
