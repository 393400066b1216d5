use std::time::Duration;

use axum::http::{Method, StatusCode};
use prometheus::core::Collector;
use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};
use sqlx::PgPool;

/// What a process of the HTTP side counts, for Prometheus. Clones count into the same figures.
#[derive(Clone, Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    /// How many jobs one commit records.
    pub(crate) recorded_jobs: Histogram,
    waiting_jobs: IntGauge,
    webhooks_refused: IntCounterVec,
    connections: IntGaugeVec,
}

impl Metrics {
    /// # Errors
    /// A name or a label is none that Prometheus takes: a fault of ours.
    pub(crate) fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = IntGaugeVec::new(Opts::new("holdfast_build_info", "Which version runs; always 1"), &["version"])?;
        register(&registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let requests = Opts::new("holdfast_http_requests_total", "Requests that were answered");
        let durations = HistogramOpts::new(
            "holdfast_http_request_duration_seconds",
            "From the head of a request to its answer; a request that waits for an outcome waits here",
        )
        .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 45.0]);
        let recorded = HistogramOpts::new(
            "holdfast_enqueue_commit_jobs",
            "How many jobs, of all requests at once, a commit records",
        )
        .buckets(vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0]);
        let waiting = Opts::new("holdfast_enqueue_waiting_jobs", "Jobs of this process that wait to be recorded");
        let refused = Opts::new("holdfast_webhooks_refused_total", "Callbacks that were not authentic or not readable");
        let connections = Opts::new("holdfast_database_connections", "Open connections to the database");
        Ok(Self {
            requests: register(&registry, IntCounterVec::new(requests, &["route", "method", "status"])?)?,
            durations: register(&registry, HistogramVec::new(durations, &["route", "method"])?)?,
            recorded_jobs: register(&registry, Histogram::with_opts(recorded)?)?,
            waiting_jobs: register(&registry, IntGauge::with_opts(waiting)?)?,
            webhooks_refused: register(&registry, IntCounterVec::new(refused, &["code"])?)?,
            connections: register(&registry, IntGaugeVec::new(connections, &["state"])?)?,
            registry,
        })
    }

    /// Counts a request. The route is a pattern and never the path, which is the client's to choose.
    pub(crate) fn count_request(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let method = method_label(method);
        self.requests.with_label_values(&[route, method, status.as_str()]).inc();
        self.durations.with_label_values(&[route, method]).observe(took.as_secs_f64());
    }

    /// Counts a callback that was not taken.
    pub(crate) fn count_webhook_refused(&self, code: &str) {
        self.webhooks_refused.with_label_values(&[code]).inc();
    }

    /// All figures as text; `waiting_jobs` is how many wait to be recorded.
    ///
    /// # Errors
    /// They cannot be written down: a fault of ours.
    pub(crate) fn text(&self, pool: &PgPool, waiting_jobs: usize) -> Result<String, prometheus::Error> {
        let idle = count(pool.num_idle());
        self.connections.with_label_values(&["idle"]).set(idle);
        self.connections.with_label_values(&["used"]).set(i64::from(pool.size()).saturating_sub(idle).max(0));
        self.waiting_jobs.set(count(waiting_jobs));
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

/// A method that a client made up is not worth a series of its own.
fn method_label(method: &Method) -> &'static str {
    let known = [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT, Method::PATCH, Method::DELETE];
    let names = ["GET", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE"];
    known.iter().zip(names).find(|(known, _)| *known == method).map_or("other", |(_, name)| name)
}

/// A count as a gauge has it.
pub(crate) fn count(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Adds a metric to a registry, and gives it back.
///
/// # Errors
/// Another metric has its name.
pub(crate) fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::http::Method;

    use super::method_label;

    #[test]
    fn only_methods_that_exist_have_a_series() {
        assert_eq!(method_label(&Method::POST), "POST");
        assert_eq!(method_label(&Method::from_bytes(b"FETCH").unwrap()), "other");
    }
}
