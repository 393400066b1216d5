//! graphile-worker at a steady rate, to stand beside the time from POST to settled.

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use serde_json::Value;
use sqlx::PgPool;

use crate::Bench;
use crate::peers::toolbox::{Program, Toolbox};
use crate::peers::{day, rest};
use crate::server::Server;

/// What runs it.
const PROGRAM: Program = Program::Node("graphile_latency.mjs");
/// Jobs at once, the likeliest first.
const AT_ONCE: [usize; 3] = [8, 4, 16];
/// One of so many jobs of the load opens a trade, with some to spare.
const SHARE_OF_LOCKS: usize = 6;
/// With fewer people nothing is spread.
const PEOPLE_MIN: usize = 1_000;

/// What it does not guarantee, and what it is spared.
pub(crate) const LACKS: &str = "HTTP: its jobs are added by the program that works on them; completion is another \
     transaction than the effects; outcomes, rejections with reasons, limits";

/// It, ready to run at one rate.
pub(crate) struct Pace {
    toolbox: Toolbox,
    per_second: u64,
    jobs: u64,
    at_once: usize,
    /// A database for each round, made before anybody else is connected to the server: to make room for one by
    /// dropping another waits for everybody who is.
    databases: Vec<String>,
}

impl Pace {
    /// Prepares the load and finds how many jobs at once suit it best. Why it cannot run, if it cannot.
    pub(crate) async fn enter(bench: &Bench, per_second: u64, seconds: u64) -> Result<Result<Self>> {
        let toolbox = Toolbox::install().await;
        if let Some(why) = toolbox.missing(PROGRAM) {
            return Ok(Err(anyhow::anyhow!(why)));
        }
        let jobs = per_second * seconds;
        let load = usize::try_from(jobs)? * SHARE_OF_LOCKS;
        let people = bench.sizes.people.max(PEOPLE_MIN);
        day::prepare(&bench.server, load, people).await.context("preparing the load of the peer")?;
        let mut pace = Self { toolbox, per_second, jobs, at_once: AT_ONCE[0], databases: Vec::new() };
        if bench.sizes.rounds > 1 {
            let mut best = None;
            for at_once in AT_ONCE {
                pace.at_once = at_once;
                let p50 = match pace.run(&bench.server, &pace.database(&bench.server, at_once).await?).await {
                    Ok(times) => times.value_at_quantile(0.5),
                    Err(why) => return Ok(Err(why)),
                };
                eprintln!("graphile-worker, {per_second} jobs/s, {at_once} at once: p50 {p50} µs");
                if best.is_none_or(|(least, _)| p50 < least) {
                    best = Some((p50, at_once));
                }
            }
            pace.at_once = best.map_or(AT_ONCE[0], |(_, at_once)| at_once);
        }
        for round in 0..bench.sizes.rounds {
            let name = pace.database(&bench.server, 100 + round).await?;
            pace.databases.push(name);
        }
        Ok(Ok(pace))
    }

    /// Makes a database with the load.
    async fn database(&self, server: &Server, number: usize) -> Result<String> {
        let name = format!("pace_{number}");
        server.database(&name, Some(day::TEMPLATE)).await?.close().await;
        Ok(name)
    }

    /// Its settings, in words.
    pub(crate) fn settings(&self) -> String {
        format!("open loop, from the time at which a job was due; {} at once, a procedure per job", self.at_once)
    }

    /// The times from when each job was due until its effects were committed, in microseconds.
    pub(crate) async fn round(&mut self, server: &Server) -> Result<Histogram<u64>> {
        let database = self.databases.pop().context("a round too many")?;
        self.run(server, &database).await
    }

    async fn run(&self, server: &Server, database: &str) -> Result<Histogram<u64>> {
        let db = PgPool::connect(&server.url("postgres", database)).await?;
        let numbers = [self.at_once as u64, self.per_second, self.jobs];
        let arguments: Vec<String> =
            std::iter::once("latency".to_owned()).chain(numbers.map(|number| number.to_string())).collect();
        let running = self.toolbox.start(PROGRAM, &server.url("postgres", database), &arguments).await?;
        rest(&db).await?;
        let report = running.report().await?;
        let times = report.get("us").and_then(Value::as_array).context("no times")?;
        ensure!(times.len() as u64 == self.jobs, "it ended {} of {} jobs", times.len(), self.jobs);
        let mut histogram = crate::latency::empty()?;
        for time in times {
            histogram.saturating_record(time.as_u64().context("a time")?);
        }
        let posted: i64 =
            sqlx::query_scalar("select count(*) from done join load on id = job_id where kind = 'lock-escrow'")
                .fetch_one(&db)
                .await?;
        ensure!(posted as u64 == self.jobs, "{posted} of {} jobs have their effects", self.jobs);
        db.close().await;
        Ok(histogram)
    }
}
