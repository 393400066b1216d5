//! Draining the queue, and what it took.

use std::fmt;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use outbox::connect_options;
use providers::nowpayments::Secret;
use settlement::{Settings, Settler};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::load::IPN_SECRET;
use crate::server::Server;

/// What a drain took.
#[derive(Clone, Debug)]
pub(crate) struct Drained {
    pub(crate) jobs_per_second: u64,
    pub(crate) statements_per_batch: u64,
    pub(crate) wal_bytes_per_job: u64,
    batches: u64,
    postponed: u64,
    client_cpu_percent: u64,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs/s, {} batches, {} statements per batch, {} bytes of WAL per job, {} postponed, client {} % of a core",
            self.jobs_per_second,
            self.batches,
            self.statements_per_batch,
            self.wal_bytes_per_job,
            self.postponed,
            self.client_cpu_percent
        )
    }
}

async fn settler(server: &Server, batch: u16, run: i64) -> Result<(PgPool, Settler)> {
    let options = connect_options(&server.worker_url(), "money_day")?;
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    let settings =
        Settings { batch_max: batch, ipn_secrets: vec![Secret::new(IPN_SECRET)?], ..Settings::default() };
    let settler = Settler::new(pool.clone(), settings, run).await?;
    Ok((pool, settler))
}

/// Settles whatever is queued, outside the measured time.
pub(crate) async fn settle_all(server: &Server) -> Result<()> {
    let (pool, settler) = settler(server, 1024, 1).await?;
    while let Some(batch) = settler.claim().await? {
        let report = settler.settle(batch).await?;
        ensure!(report.rejected == 0 && report.parked == 0, "the load's preparation was refused: {report:?}");
    }
    pool.close().await;
    Ok(())
}

/// Drains the queue with that many workers.
pub(crate) async fn drain(server: &Server, workers: u16, batch: u16, queued: usize) -> Result<Drained> {
    sqlx::raw_sql("select pg_stat_statements_reset()").execute(&server.owner).await?;
    let mut settlers = Vec::new();
    for run in 0..workers {
        settlers.push(settler(server, batch, i64::from(run)).await?);
    }
    let wal: (String,) = sqlx::query_as("select pg_current_wal_lsn()::text").fetch_one(&server.owner).await?;
    let started = Instant::now();
    let cpu = cpu_time()?;
    let tasks: Vec<tokio::task::JoinHandle<Result<(u64, u64, u64)>>> = settlers
        .into_iter()
        .map(|(pool, settler)| {
            tokio::spawn(async move {
                let (mut batches, mut postponed, mut ended) = (0_u64, 0_u64, 0_u64);
                let mut idle = 0;
                while idle < 3 {
                    let Some(batch) = settler.claim().await? else {
                        idle += 1;
                        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                        continue;
                    };
                    idle = 0;
                    match settler.settle(batch).await {
                        Ok(report) => {
                            batches += 1;
                            postponed += report.postponed;
                            ended += report.ended();
                        }
                        Err(error) => eprintln!("batch tried again: {error}"),
                    }
                }
                pool.close().await;
                Ok::<_, anyhow::Error>((batches, postponed, ended))
            })
        })
        .collect();
    let (mut batches, mut postponed, mut ended) = (0, 0, 0);
    for task in tasks {
        let (b, p, e) = task.await??;
        batches += b;
        postponed += p;
        ended += e;
    }
    let seconds = started.elapsed().as_secs_f64();
    refuse_refusals(server).await?;
    let cpu = cpu_time()? - cpu;
    ensure!(ended == queued as u64, "{ended} of {queued} jobs ended");
    let bytes: (i64,) = sqlx::query_as("select pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
        .bind(wal.0)
        .fetch_one(&server.owner)
        .await?;
    let calls: (i64,) = sqlx::query_as(
        "select coalesce(sum(calls), 0)::bigint from pg_stat_statements s join pg_roles r on r.oid = s.userid
         where r.rolname = 'holdfast_worker'",
    )
    .fetch_one(&server.owner)
    .await?;
    if std::env::var_os("MONEY_DAY_STATEMENTS").is_some() {
        let rows: Vec<(f64, i64, i64, String)> = sqlx::query_as(
            "select total_exec_time, calls, rows, regexp_replace(left(query, 90), '\\s+', ' ', 'g') from pg_stat_statements s
             join pg_roles r on r.oid = s.userid where r.rolname = 'holdfast_worker' order by 1 desc limit 30",
        )
        .fetch_all(&server.owner)
        .await?;
        for (ms, calls, rows, query) in rows {
            eprintln!("{ms:9.1} ms {calls:5} calls {rows:8} rows  {query}");
        }
    }
    Ok(Drained {
        jobs_per_second: (queued as f64 / seconds) as u64,
        statements_per_batch: u64::try_from(calls.0)?.checked_div(batches).context("no batch ran")?,
        wal_bytes_per_job: u64::try_from(bytes.0)? / queued as u64,
        batches,
        postponed,
        client_cpu_percent: (cpu / seconds * 100.0) as u64,
    })
}

/// The load has enough money for everything, so a refusal is a fault of ours.
async fn refuse_refusals(server: &Server) -> Result<()> {
    let refused: Vec<(String, String, i64)> = sqlx::query_as(
        "select j.kind, o.reason, count(*) from outcome o join job j on j.id = o.job_id where o.status = 'rejected'
         group by 1, 2 union all select j.kind, p.reason, count(*) from parked p join job j on j.id = p.job_id group by 1, 2",
    )
    .fetch_all(&server.owner)
    .await?;
    ensure!(refused.is_empty(), "jobs of the load were refused: {refused:?}");
    Ok(())
}

/// Seconds of processor time that this process has used.
fn cpu_time() -> Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    Ok((ticks(11) + ticks(12)) / 100.0)
}
