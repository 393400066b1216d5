use std::collections::BTreeMap;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};
use settlement::{Committed, End};
use sqlx::PgPool;

/// What a worker counts, for Prometheus. A batch is counted as a whole, after its commit: what the
/// jobs of it add to the figures is gathered in plain maps first.
#[derive(Debug)]
pub(crate) struct Metrics {
    registry: Registry,
    latency: HistogramVec,
    batch_jobs: Histogram,
    batch_duration: Histogram,
    ended: IntCounterVec,
    rejected: IntCounterVec,
    postponed: IntCounterVec,
    parked: IntCounterVec,
    weather: IntCounterVec,
    connections: IntGaugeVec,
    pools: Vec<(&'static str, PgPool)>,
}

impl Metrics {
    /// Metrics of a worker that has these pools.
    ///
    /// # Errors
    /// A name or a label is none that Prometheus takes: a fault of ours.
    pub(crate) fn new<const POOLS: usize>(pools: [(&'static str, &PgPool); POOLS]) -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(name, help), labels)?)
        };
        let build = IntGaugeVec::new(Opts::new("holdfast_build_info", "Which version runs; always 1"), &["version"])?;
        register(&registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let latency = HistogramOpts::new(
            "holdfast_settle_latency_seconds",
            "From the moment a job was recorded to the commit that settled or rejected it",
        );
        let latency = latency.buckets(vec![
            0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0,
            3600.0,
        ]);
        let batch_jobs = HistogramOpts::new("holdfast_settle_batch_jobs", "How many jobs a commit had")
            .buckets(vec![1.0, 4.0, 16.0, 64.0, 128.0, 256.0, 512.0, 1024.0, 2048.0, 4096.0, 8192.0]);
        let batch_duration =
            HistogramOpts::new("holdfast_settle_batch_duration_seconds", "From the claim of a batch to its commit")
                .buckets(vec![0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0]);
        let connections = Opts::new("holdfast_database_connections", "Open connections to the database");
        Ok(Self {
            latency: register(&registry, HistogramVec::new(latency, &["kind"])?)?,
            batch_jobs: register(&registry, Histogram::with_opts(batch_jobs)?)?,
            batch_duration: register(&registry, Histogram::with_opts(batch_duration)?)?,
            ended: counter(
                "holdfast_jobs_ended_total",
                "Jobs that left the queue, by what became of them",
                &["kind", "status"],
            )?,
            rejected: counter("holdfast_jobs_rejected_total", "Jobs that a rule refused", &["kind", "reason"])?,
            postponed: counter("holdfast_jobs_postponed_total", "How often jobs were put back for later", &["why"])?,
            parked: counter("holdfast_jobs_parked_total", "Jobs that were left to a person", &["reason"])?,
            weather: counter(
                "holdfast_weather_retries_total",
                "How often nothing was stored because the database refused or was away",
                &["what"],
            )?,
            connections: register(&registry, IntGaugeVec::new(connections, &["pool", "state"])?)?,
            pools: pools.map(|(name, pool)| (name, pool.clone())).into(),
            registry,
        })
    }

    /// Counts a commit.
    pub(crate) fn count(&self, committed: &Committed) {
        let mut ends: BTreeMap<(&str, End), u64> = BTreeMap::new();
        let mut latencies = BTreeMap::new();
        for done in &committed.jobs {
            let jobs = ends.entry((done.kind, done.end)).or_default();
            *jobs = jobs.saturating_add(1);
            if let (Some(received_at), End::Settled | End::Rejected(_)) = (done.received_at, done.end) {
                let of_kind = |kind| self.latency.with_label_values(&[kind]).local();
                let latency = latencies.entry(done.kind).or_insert_with(|| of_kind(done.kind));
                // The clock of the database may have been set back in between.
                let waited = committed.claimed_at.signed_duration_since(received_at).to_std().unwrap_or_default();
                latency.observe(waited.saturating_add(committed.took).as_secs_f64());
            }
        }
        for latency in latencies.values() {
            latency.flush();
        }
        for ((kind, end), jobs) in ends {
            match end {
                End::Settled => {}
                End::Rejected(reason) => self.rejected.with_label_values(&[kind, reason]).inc_by(jobs),
                End::Parked(reason) => self.parked.with_label_values(&[reason]).inc_by(jobs),
                End::Postponed(why) => {
                    self.postponed.with_label_values(&[why]).inc_by(jobs);
                    continue;
                }
            }
            let (status, _) = end.as_strs();
            self.ended.with_label_values(&[kind, status]).inc_by(jobs);
        }
        let jobs = u32::try_from(committed.jobs.len()).unwrap_or(u32::MAX);
        self.batch_jobs.observe(jobs.into());
        self.batch_duration.observe(committed.took.as_secs_f64());
    }

    /// Counts a failure that passes by itself.
    pub(crate) fn count_weather(&self, what: &str) {
        self.weather.with_label_values(&[what]).inc();
    }

    /// Everything, as the text format of Prometheus has it.
    ///
    /// # Errors
    /// A metric cannot be written: a fault of ours.
    pub(crate) fn text(&self) -> Result<String, prometheus::Error> {
        for (name, pool) in &self.pools {
            let idle = i64::try_from(pool.num_idle()).unwrap_or(i64::MAX);
            let used = i64::from(pool.size()).saturating_sub(idle).max(0);
            self.connections.with_label_values(&[name, "idle"]).set(idle);
            self.connections.with_label_values(&[name, "used"]).set(used);
        }
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }

    /// The content type of [`Metrics::text`].
    pub(crate) fn content_type() -> String {
        TextEncoder::new().format_type().to_owned()
    }
}

fn register<M: Collector + Clone + 'static>(registry: &Registry, metric: M) -> Result<M, prometheus::Error> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::time::Duration;

    use chrono::{DateTime, TimeDelta};
    use settlement::{Committed, Done, End};
    use sqlx::postgres::PgPoolOptions;

    use super::Metrics;

    fn done(job_id: i64, kind: &'static str, end: End) -> Done {
        let received_at = Some(DateTime::UNIX_EPOCH);
        Done { job_id, kind, received_at, attempt: 0, trace_parent: None, end }
    }

    #[tokio::test]
    async fn a_commit_is_counted_by_kind_end_and_reason() {
        let pool = PgPoolOptions::new().connect_lazy("postgres://nobody@127.0.0.1:1/none").unwrap();
        let metrics = Metrics::new(["settling", "operating", "noting"].map(|name| (name, &pool))).unwrap();
        metrics.count(&Committed {
            jobs: vec![
                done(1, "release", End::Settled),
                done(2, "release", End::Settled),
                done(3, "release", End::Rejected("wrong_state")),
                done(4, "refund", End::Postponed("it waits")),
                done(5, "refund", End::Parked("poison")),
            ],
            claimed_at: DateTime::UNIX_EPOCH + TimeDelta::milliseconds(20),
            took: Duration::from_millis(7),
            queued_in: Vec::new(),
        });
        metrics.count_weather("claiming");
        let text = metrics.text().unwrap();
        for line in [
            r#"holdfast_jobs_ended_total{kind="release",status="settled"} 2"#,
            r#"holdfast_jobs_ended_total{kind="release",status="rejected"} 1"#,
            r#"holdfast_jobs_ended_total{kind="refund",status="parked"} 1"#,
            r#"holdfast_jobs_rejected_total{kind="release",reason="wrong_state"} 1"#,
            r#"holdfast_jobs_postponed_total{why="it waits"} 1"#,
            r#"holdfast_jobs_parked_total{reason="poison"} 1"#,
            r#"holdfast_weather_retries_total{what="claiming"} 1"#,
            r#"holdfast_settle_latency_seconds_bucket{kind="release",le="0.025"} 0"#,
            r#"holdfast_settle_latency_seconds_bucket{kind="release",le="0.05"} 3"#,
            "holdfast_settle_batch_jobs_sum 5",
            r#"holdfast_settle_batch_duration_seconds_bucket{le="0.01"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
        // Who is put back or parked has not been settled, so it has no latency.
        assert!(!text.contains(r#"latency_seconds_count{kind="refund"}"#), "{text}");
    }
}
