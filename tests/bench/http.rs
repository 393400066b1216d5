//! The HTTP side: how many jobs are taken a second, and how long it is from POST to settled.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Bench;
use crate::drain::Worker;
use crate::load::{IPN_SECRET, People};
use crate::report::{Figure, Goal};
use crate::server::Server;

/// Connections that ask at once for the accept rate.
const CONNECTIONS: usize = 64;
/// Jobs a second that arrive while the latency is measured.
const RATES: [u64; 2] = [100, 500];
/// Longest time until a process answers.
const PATIENCE: Duration = Duration::from_secs(30);

/// The accept rate, with no worker in the way, and then the latency with one.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let seconds = bench.sizes.seconds;
    let web = Web::start(&bench.server).await?;
    let rounds = vec![accept_rate(&web, seconds).await?];
    let settings = format!("{CONNECTIONS} connections, client included");
    let contestant = "holdfast".to_owned();
    bench
        .report
        .figure(&Figure { measure: "accept", contestant, unit: "202s/s", rounds, settings, lacks: "" }, None)?;
    crate::drain::settle_all(&bench.server).await?;
    let worker = Worker::start(&bench.server, settlement::BATCH_MAX)?;
    // The first jobs wait for the worker to start.
    web.lock(&bench.people, 0, Some(20)).await?;
    for rate in RATES {
        let times = latency(&web, &bench.people, rate, seconds).await?;
        for (percent, goal) in [(50, Goal::Most(5.0)), (99, Goal::Most(25.0))] {
            let figure = Figure {
                measure: "latency",
                contestant: format!("holdfast, {rate} jobs/s, p{percent}"),
                unit: "ms",
                rounds: vec![percentile(&times, percent)],
                settings: "from the time at which a POST was due".to_owned(),
                lacks: "",
            };
            bench.report.figure(&figure, Some(goal))?;
        }
    }
    worker.stop()?;
    crate::drain::settle_all(&bench.server).await
}

async fn accept_rate(web: &Web, seconds: u64) -> Result<f64> {
    let accepted = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(seconds);
    let began = Instant::now();
    let mut clients = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let (web, accepted) = (web.clone(), Arc::clone(&accepted));
        clients.spawn(async move {
            while Instant::now() < until {
                let status = web.register().await?;
                ensure!(status == StatusCode::ACCEPTED, "a registration was answered {status}");
                accepted.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    let rate = (accepted.load(Ordering::Relaxed) as f64 / began.elapsed().as_secs_f64()) as u64;
    Ok(rate as f64)
}

/// Locks arrive at a steady rate, whether those before them are answered or not; each waits for its
/// outcome.
async fn latency(web: &Web, people: &People, rate: u64, seconds: u64) -> Result<Vec<Duration>> {
    let mut ticks = interval(Duration::from_secs(1) / u32::try_from(rate)?);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut answers = JoinSet::new();
    for number in 0..rate * seconds {
        let due = ticks.tick().await;
        let (web, body) = (web.clone(), people.lock_body(number));
        answers.spawn(async move {
            let status = web.post("/v1/trades", &body, Some(20)).await?;
            ensure!(status == StatusCode::OK, "a lock that was waited for was answered {status}");
            // From when it was due, so that a client that falls behind does not flatter.
            Ok(due.elapsed())
        });
    }
    let mut times = Vec::new();
    while let Some(answer) = answers.join_next().await {
        times.push(answer??);
    }
    times.sort_unstable();
    Ok(times)
}

/// The time that so many of a hundred did not exceed, in milliseconds.
fn percentile(times: &[Duration], percent: usize) -> f64 {
    let at = (times.len() * percent / 100).min(times.len().saturating_sub(1));
    times.get(at).copied().unwrap_or_default().as_secs_f64() * 1_000.0
}

/// A real web process, and a client of it.
#[derive(Clone)]
struct Web {
    http: Client,
    base: String,
    key: String,
    keys: Arc<AtomicU64>,
    _process: Arc<Process>,
}

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        if self.0.kill().is_ok() && self.0.wait().is_err() {
            eprintln!("the web process could not be waited for");
        }
    }
}

impl Web {
    async fn start(server: &Server) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let (key, hash) = api::new_key();
        sqlx::query("insert into api_key (principal_id, secret_hash, scopes) values (100, $1, '{submit,read}')")
            .bind(hash.to_vec())
            .execute(&server.owner)
            .await?;
        let process = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["web", "--listen", &address])
            .env("DATABASE_URL_API", server.api_url())
            .env("NOWPAYMENTS_IPN_SECRET", IPN_SECRET)
            .env("HOLDFAST_LOG", "warn")
            .env("HOLDFAST_RATE_PER_SECOND", "1000000")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .spawn()
            .context("starting web")?;
        let web = Self {
            http: Client::builder().no_proxy().pool_max_idle_per_host(CONNECTIONS).timeout(PATIENCE).build()?,
            base: format!("http://{address}"),
            key,
            keys: Arc::new(AtomicU64::new(0)),
            _process: Arc::new(Process(process)),
        };
        let deadline = Instant::now() + PATIENCE;
        while web.http.get(format!("{}/readyz", web.base)).send().await.is_err() {
            ensure!(Instant::now() < deadline, "web does not answer");
            sleep(Duration::from_millis(10)).await;
        }
        Ok(web)
    }

    async fn post(&self, path: &str, body: &Value, wait_s: Option<u32>) -> Result<StatusCode> {
        let key = format!("http-{}", self.keys.fetch_add(1, Ordering::Relaxed));
        let mut call = self.http.post(format!("{}{path}", self.base)).bearer_auth(&self.key).json(body);
        call = call.header("idempotency-key", key);
        if let Some(seconds) = wait_s {
            call = call.header("prefer", format!("wait={seconds}"));
        }
        let answer = call.send().await?;
        let status = answer.status();
        // Read to its end, so that the connection serves the next call.
        answer.bytes().await?;
        Ok(status)
    }

    async fn register(&self) -> Result<StatusCode> {
        self.post("/v1/users", &json!({}), None).await
    }

    async fn lock(&self, people: &People, number: u64, wait_s: Option<u32>) -> Result<()> {
        let status = self.post("/v1/trades", &people.lock_body(number), wait_s).await?;
        ensure!(status == StatusCode::OK, "a lock was answered {status}");
        Ok(())
    }
}
