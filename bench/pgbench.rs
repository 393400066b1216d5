//! The server's own yardstick: TPC-B as pgbench runs it, on the same server with the same settings.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use sqlx::PgPool;

use crate::peers::rest;
use crate::report::{Figure, Goal, Ratio};
use crate::server::Server;
use crate::{Bench, settle};

/// What the settle rate should be, in transactions of TPC-B.
const GOAL: Goal = Goal::Least(6.0);

/// Rows of pgbench's tables, in its units of 100,000 accounts.
const SCALE: &str = "20";
/// Connections that are tried for the best figure.
const CLIENTS: [u16; 4] = [1, 4, 16, 32];

/// Rounds of the load and of pgbench in turns.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let seconds = bench.sizes.seconds;
    let Some(pgbench) = Pgbench::prepare(&bench.server, seconds).await? else {
        return bench.report.skipped("pgbench", "pgbench", "this server came without it");
    };
    let (mut rates, mut ratios) = (Vec::new(), Vec::new());
    for round in 1..=bench.sizes.rounds {
        let drained = settle::round(bench, 1_000 + round).await?;
        pgbench.warm_up(seconds).await?;
        let tps = pgbench.tps(seconds)?;
        rates.push(tps);
        ratios.push(drained.jobs_per_second as f64 / tps);
    }
    let settings = format!("scale {SCALE}, {} clients, prepared", pgbench.clients);
    let figure = Figure {
        measure: "pgbench",
        contestant: "pgbench TPC-B".to_owned(),
        unit: "transactions/s",
        rounds: rates,
        settings,
        lacks: "",
    };
    bench.report.figure(&figure, None)?;
    let of = "settle rate ÷ pgbench TPC-B".to_owned();
    bench.report.ratio(&Ratio { measure: "pgbench", of, rounds: ratios, goal: Some(GOAL) })
}

/// pgbench, with its tables made and its best number of connections found.
struct Pgbench {
    program: PathBuf,
    url: String,
    clients: u16,
}

impl Pgbench {
    /// Makes its database and finds how many connections are best; none where the server came
    /// without the program.
    async fn prepare(server: &Server, seconds: u64) -> Result<Option<Self>> {
        let Some(program) = server.program("pgbench") else { return Ok(None) };
        sqlx::raw_sql("create database tpcb").execute(&server.owner).await?;
        let mut pgbench = Self { program, url: server.url("postgres", "tpcb"), clients: 1 };
        pgbench.run(&["--initialize", "--quiet", "--scale", SCALE])?;
        let mut best = (0.0, pgbench.clients);
        for clients in CLIENTS {
            pgbench.clients = clients;
            let tps = pgbench.tps(seconds.div_ceil(3))?;
            eprintln!("pgbench with {clients} clients: {tps:.0} transactions/s");
            if tps > best.0 {
                best = (tps, clients);
            }
        }
        pgbench.clients = best.1;
        Ok(Some(pgbench))
    }

    /// Its tables are at rest, and their pages have been written since the last checkpoint.
    async fn warm_up(&self, seconds: u64) -> Result<()> {
        let db = PgPool::connect(&self.url).await?;
        rest(&db).await?;
        db.close().await;
        self.tps(seconds.div_ceil(2)).map(|_| ())
    }

    /// Transactions per second.
    fn tps(&self, seconds: u64) -> Result<f64> {
        let (clients, seconds) = (self.clients.to_string(), seconds.to_string());
        let said = self.run(&["--client", &clients, "--jobs", "2", "--protocol", "prepared", "--time", &seconds])?;
        said.lines()
            .find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok())
            .with_context(|| format!("pgbench printed no rate:\n{said}"))
    }

    fn run(&self, arguments: &[&str]) -> Result<String> {
        let output = Command::new(&self.program).args(arguments).arg(&self.url).output().context("starting pgbench")?;
        ensure!(output.status.success(), "pgbench failed: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}
