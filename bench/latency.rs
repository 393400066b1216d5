//! From POST to settled, at several rates: jobs arrive when they are due, whether those before them
//! are answered or not, and each waits for its outcome. The time runs from when it was due.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use hdrhistogram::Histogram;
use serde_json::json;
use tokio::task::JoinSet;

use crate::Bench;
use crate::drain::Worker;
use crate::http::{Idle, Web, schedule};
use crate::load::People;
use crate::peers::pace::{LACKS, Pace};
use crate::report::{Figure, Goal, Ratio};

/// Jobs a second that arrive.
const RATES: [u64; 4] = [10, 100, 500, 2_000];
/// The rate that the goals stand for.
const RATE_OF_GOALS: u64 = 500;
/// Who is compared.
const PEER: &str = "graphile-worker";
/// Longest time that is told apart, in microseconds; whatever takes longer is counted there.
const LONGEST_US: u64 = 60_000_000;
/// Where the first bucket of what is reported ends, in microseconds, and by what the next ones grow.
const BUCKETS: (u64, f64) = (200, 1.08);

/// Rounds of all rates, with one web process and one worker; and of graphile-worker at the rate of the goals.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let mut peer = match Pace::enter(bench, RATE_OF_GOALS, bench.sizes.seconds).await? {
        Ok(pace) => Some(pace),
        Err(why) => {
            bench.report.skipped("latency", PEER, &format!("{why:#}"))?;
            None
        }
    };
    let mut theirs = Vec::new();
    let web = Web::start(&bench.server).await?;
    let worker = Worker::start(&bench.server, settlement::BATCH_MAX)?;
    let idle = Idle::open(web.site.address, 64).await?;
    let mut number = 0;
    // The first jobs wait for the worker to start, and for plans and caches.
    let mut asker = Asker { web: &web, people: &bench.people, idle, next: &mut number };
    asker.ask(50, 50).await?;
    let mut taken: Vec<Vec<Histogram<u64>>> = vec![Vec::new(); RATES.len()];
    for _ in 0..bench.sizes.rounds {
        for (rate, taken) in RATES.into_iter().zip(&mut taken) {
            taken.push(asker.ask(rate, rate * bench.sizes.seconds).await?);
        }
        if let Some(peer) = &mut peer {
            theirs.push(peer.round(&bench.server).await?);
        }
    }
    worker.stop()?;
    for (rate, rounds) in RATES.into_iter().zip(&taken) {
        record(bench, rate, rounds)?;
    }
    let ours = RATES.into_iter().zip(&taken).find(|(rate, _)| *rate == RATE_OF_GOALS);
    if let (Some(peer), Some((_, ours))) = (peer, ours) {
        compare(bench, &peer, ours, &theirs)?;
    }
    crate::drain::settle_all(&bench.server).await
}

/// Notes the percentiles of the peer, and ours divided by them.
fn compare(bench: &mut Bench, peer: &Pace, ours: &[Histogram<u64>], theirs: &[Histogram<u64>]) -> Result<()> {
    for percent in [50, 99] {
        let at = |rounds: &[Histogram<u64>]| -> Vec<f64> {
            rounds.iter().map(|round| ms(round.value_at_percentile(f64::from(percent)))).collect()
        };
        let figure = Figure {
            measure: "latency",
            contestant: format!("{PEER}, {RATE_OF_GOALS} jobs/s, p{percent}"),
            unit: "ms",
            rounds: at(theirs),
            settings: peer.settings(),
            lacks: LACKS,
        };
        bench.report.figure(&figure, None)?;
        let rounds = at(ours).iter().zip(at(theirs)).map(|(ours, theirs)| ours / theirs).collect();
        let of = format!("holdfast ÷ {PEER}, {RATE_OF_GOALS} jobs/s, p{percent}");
        bench.report.ratio(&Ratio { measure: "latency", of, rounds, goal: Some(Goal::Most(1.0)) })?;
    }
    Ok(())
}

/// Notes the percentiles of every round, and the histogram of all of them.
fn record(bench: &mut Bench, rate: u64, rounds: &[Histogram<u64>]) -> Result<()> {
    for (percent, most) in [(50, 5.0), (99, 25.0)] {
        let figure = Figure {
            measure: "latency",
            contestant: format!("holdfast, {rate} jobs/s, p{percent}"),
            unit: "ms",
            rounds: rounds.iter().map(|round| ms(round.value_at_percentile(f64::from(percent)))).collect(),
            settings: "open loop, from the time at which a POST was due; one web, one worker".to_owned(),
            lacks: "",
        };
        bench.report.figure(&figure, (rate == RATE_OF_GOALS).then_some(Goal::Most(most)))?;
    }
    let mut all = empty()?;
    for round in rounds {
        all.add(round)?;
    }
    let (first, growth) = BUCKETS;
    let buckets: Vec<_> = all
        .iter_log(first, growth)
        .map(|bucket| json!([bucket.value_iterated_to(), bucket.count_since_last_iteration()]))
        .collect();
    let percentile = |percent: f64| ms(all.value_at_percentile(percent));
    bench.report.detail(json!({
        "measure": "latency", "histogram": "holdfast", "jobs_per_second": rate, "jobs": all.len(),
        "p50_ms": percentile(50.0), "p90_ms": percentile(90.0), "p99_ms": percentile(99.0),
        "p999_ms": percentile(99.9), "most_ms": ms(all.max()), "buckets_up_to_us": buckets,
    }))
}

/// A histogram of microseconds.
pub(crate) fn empty() -> Result<Histogram<u64>> {
    Ok(Histogram::new_with_bounds(1, LONGEST_US, 3)?)
}

fn ms(us: u64) -> f64 {
    us as f64 / 1_000.0
}

/// Asks for locks.
struct Asker<'a> {
    web: &'a Web,
    people: &'a People,
    idle: Idle,
    /// Names the next job.
    next: &'a mut u64,
}

impl Asker<'_> {
    /// So many jobs at a steady rate.
    async fn ask(&mut self, per_second: u64, count: u64) -> Result<Histogram<u64>> {
        let mut times = empty()?;
        let mut calls = JoinSet::new();
        let mut due = schedule(Duration::from_secs(1).div_f64(per_second as f64), count);
        while let Some((_, due)) = due.recv().await {
            let number = *self.next;
            *self.next += 1;
            let body = self.people.lock_body(number).to_string();
            let request = self.web.post("/v1/trades", &format!("latency-{number}"), "prefer: wait=20\r\n", &body);
            calls.spawn(settled(self.idle.clone(), request, due));
            while let Some(call) = calls.try_join_next() {
                note(&mut times, call??);
            }
        }
        while let Some(call) = calls.join_next().await {
            note(&mut times, call??);
        }
        Ok(times)
    }
}

fn note(times: &mut Histogram<u64>, took: Duration) {
    times.saturating_record(u64::try_from(took.as_micros()).unwrap_or(LONGEST_US));
}

/// How long after it was due a job was told to be settled.
async fn settled(idle: Idle, request: Vec<u8>, due: Instant) -> Result<Duration> {
    let mut connection = idle.take().await?;
    let answer = connection.call(&request).await?;
    let took = due.elapsed();
    let told = String::from_utf8_lossy(answer.body);
    ensure!(answer.status == 200 && told.contains(r#""settled""#), "a lock was answered {}: {told}", answer.status);
    idle.give(connection);
    Ok(took)
}
