//! Draining the queue with real worker processes, and what it took.

use std::fmt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use outbox::settle_options;
use providers::nowpayments::Secret;
use rustix::process::{Pid, Signal, kill_process};
use settlement::{Settings, Settler};
use sqlx::PgConnection;
use sqlx::postgres::PgPoolOptions;

use crate::load::IPN_SECRET;
use crate::server::Server;

/// Ticks of processor time per second, as the kernel counts them for everybody.
const TICKS: f64 = 100.0;
/// How often it is looked whether all is done.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// What a drain took.
#[derive(Clone, Debug)]
pub(crate) struct Drained {
    pub(crate) jobs_per_second: u64,
    pub(crate) statements_per_batch: u64,
    pub(crate) wal_bytes_per_job: u64,
    batches: u64,
    worker_cpu_percent: u64,
    pub(crate) worker_memory_kib: u64,
}

impl fmt::Display for Drained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} jobs/s, {} batches, {} statements per batch, {} bytes of WAL per job; workers {} % of a core, {} KiB each",
            self.jobs_per_second,
            self.batches,
            self.statements_per_batch,
            self.wal_bytes_per_job,
            self.worker_cpu_percent,
            self.worker_memory_kib
        )
    }
}

/// What the connections that settle were found doing, each time that it was looked: asked for by
/// `MONEY_DAY_WAITS`.
#[derive(Default)]
struct Waits(std::collections::BTreeMap<String, u32>);

impl Waits {
    async fn look(&mut self, server: &Server) -> Result<()> {
        if std::env::var_os("MONEY_DAY_WAITS").is_none() {
            return Ok(());
        }
        let rows: Vec<(String,)> = sqlx::query_as(
            "select concat_ws(' ', coalesce(wait_event_type || ':' || wait_event, 'on a processor'),
                 case when wait_event = 'ClientRead' then 'after ' else 'in ' end || regexp_replace(left(query, 60), '\\s+', ' ', 'g'))
             from pg_stat_activity where usename = 'holdfast_worker' and application_name !~ 'notes|operating'",
        )
        .fetch_all(&server.owner)
        .await?;
        for (what,) in rows {
            *self.0.entry(what).or_default() += 1;
        }
        Ok(())
    }

    fn print(&self) {
        let mut found: Vec<(&String, &u32)> = self.0.iter().collect();
        found.sort_by_key(|(_, times)| std::cmp::Reverse(**times));
        for (what, times) in found {
            eprintln!("{times:6}  {what}");
        }
    }
}

/// Settles whatever is queued, outside the measured time.
pub(crate) async fn settle_all(server: &Server) -> Result<()> {
    let options = settle_options(&server.worker_url(), "money_day")?;
    let pool = PgPoolOptions::new().max_connections(2).connect_with(options).await?;
    let settings = Settings { ipn_secrets: vec![Secret::new(IPN_SECRET)?], ..Settings::default() };
    let settler = Settler::new(pool.clone(), settings, 1).await?;
    while let Some(batch) = settler.claim().await? {
        let report = settler.settle(batch).await?;
        ensure!(report.rejected == 0 && report.parked == 0, "the load's preparation was refused: {report:?}");
    }
    pool.close().await;
    Ok(())
}

/// Drains the queue with that many worker processes. The time runs from the start of the first
/// batch to the end of the last one, by the server's clock.
pub(crate) async fn drain(server: &Server, workers: u16, batch: u16, queued: usize) -> Result<Drained> {
    sqlx::raw_sql("select pg_stat_statements_reset()").execute(&server.owner).await?;
    let (last, wal): (i64, String) =
        sqlx::query_as("select max(job_id), pg_current_wal_lsn()::text from outbox").fetch_one(&server.owner).await?;
    let ended_before = outcomes(server).await?;
    let mut processes = Vec::new();
    for _ in 0..workers {
        processes.push(Worker::start(server, batch)?);
    }
    let mut waits = Waits::default();
    let mut eyes = Eyes::open(server).await?;
    let till = loop {
        waits.look(server).await?;
        if let Some(now) = eyes.emptied().await? {
            break now;
        }
        for process in &mut processes {
            ensure!(process.child.try_wait()?.is_none(), "a worker ended while there was work");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    waits.print();
    let (seconds, batches): (f64, i64) = sqlx::query_as(
        "select extract(epoch from $3::timestamptz - min(finished_at))::float8, count(distinct finished_at)
         from outcome where job_id > (select coalesce(max(job_id), 0) from outcome) - $1 * 3 and finished_at > $2::timestamptz",
    )
    .bind(i64::try_from(queued)?)
    .bind(&ended_before.1)
    .bind(till)
    .fetch_one(&server.owner)
    .await?;
    let cpu = processes.iter().map(Worker::cpu_seconds).sum::<Result<f64>>()?;
    let memory = processes.iter().map(Worker::memory_kib).collect::<Result<Vec<_>>>()?.into_iter().max().unwrap_or(0);
    for process in processes {
        process.stop()?;
    }
    refuse_refusals(server).await?;
    let ended = outcomes(server).await?.0.saturating_sub(ended_before.0);
    // What the load's jobs cause is drained in the same time, and not counted.
    let (caused,): (i64,) = sqlx::query_as("select count(*) from job where caused_by is not null and id > $1")
        .bind(last)
        .fetch_one(&server.owner)
        .await?;
    let ended = ended.saturating_sub(caused);
    ensure!(usize::try_from(ended)? == queued, "{ended} of {queued} jobs ended");
    let (bytes,): (i64,) = sqlx::query_as("select pg_wal_lsn_diff(pg_current_wal_lsn(), $1::pg_lsn)::bigint")
        .bind(wal)
        .fetch_one(&server.owner)
        .await?;
    Ok(Drained {
        jobs_per_second: (queued as f64 / seconds) as u64,
        statements_per_batch: statements(server).await?.checked_div(u64::try_from(batches)?).context("no batch ran")?,
        wal_bytes_per_job: u64::try_from(bytes)? / queued as u64,
        batches: u64::try_from(batches)?,
        worker_cpu_percent: (cpu / seconds * 100.0) as u64,
        worker_memory_kib: memory,
    })
}

/// Who looks whether the queue is empty, from its end: from the beginning it would walk through all that was deleted,
/// and take a fifth of two processors for it.
struct Eyes(PgConnection);

impl Eyes {
    async fn open(server: &Server) -> Result<Self> {
        let mut db = server.owner.acquire().await?.detach();
        sqlx::raw_sql("set enable_seqscan = off; set enable_bitmapscan = off; set enable_sort = off")
            .execute(&mut db)
            .await?;
        Ok(Self(db))
    }

    /// When nothing was left in the queue, if nothing is.
    async fn emptied(&mut self) -> Result<Option<String>> {
        let sql = "select (select true from outbox order by job_id desc limit 1), clock_timestamp()::text";
        let (left, now): (Option<bool>, String) = sqlx::query_as(sql).fetch_one(&mut self.0).await?;
        Ok(left.is_none().then_some(now))
    }
}

/// How many jobs have ended, and when the last one did.
async fn outcomes(server: &Server) -> Result<(i64, String)> {
    Ok(sqlx::query_as("select count(*), coalesce(max(finished_at), '-infinity')::text from outcome")
        .fetch_one(&server.owner)
        .await?)
}

/// Statements that workers sent for their batches: not those about themselves, once a second.
async fn statements(server: &Server) -> Result<u64> {
    print_statements(server).await?;
    let (calls,): (i64,) = sqlx::query_as(
        "select sum(calls)::bigint from pg_stat_statements s join pg_roles r on r.oid = s.userid
         where r.rolname = 'holdfast_worker' and query !~ 'beat_at|end_kind|insert into worker_run|partitions_ahead|pg_roles|from asset|from schema|LISTEN|SET|lacks'",
    )
    .fetch_one(&server.owner)
    .await?;
    Ok(u64::try_from(calls)?)
}

/// What the server spent on each statement of web and workers, the most first: asked for by `MONEY_DAY_STATEMENTS`.
pub(crate) async fn print_statements(server: &Server) -> Result<()> {
    if std::env::var_os("MONEY_DAY_STATEMENTS").is_none() {
        return Ok(());
    }
    let rows: Vec<(f64, i64, i64, String)> = sqlx::query_as(
        "select total_exec_time, calls, rows, regexp_replace(left(query, 90), '\\s+', ' ', 'g')
         from pg_stat_statements s join pg_roles r on r.oid = s.userid
         where r.rolname in ('holdfast_api', 'holdfast_worker') order by 1 desc",
    )
    .fetch_all(&server.owner)
    .await?;
    for (ms, calls, rows, query) in rows {
        eprintln!("{ms:9.1} ms {calls:7} calls {rows:8} rows  {query}");
    }
    Ok(())
}

/// The load has enough money for everything, so a refusal is a fault of ours.
pub(crate) async fn refuse_refusals(server: &Server) -> Result<()> {
    let refused: Vec<(String, String, i64)> = sqlx::query_as(
        "select j.kind, o.reason, count(*) from outcome o join job j on j.id = o.job_id where o.status = 'rejected'
         group by 1, 2 union all
         select j.kind, p.reason, count(*) from parked p join job j on j.id = p.job_id group by 1, 2",
    )
    .fetch_all(&server.owner)
    .await?;
    ensure!(refused.is_empty(), "jobs of the load were refused: {refused:?}");
    Ok(())
}

/// A real worker process.
pub(crate) struct Worker {
    child: Child,
}

impl Worker {
    pub(crate) fn start(server: &Server, batch: u16) -> Result<Self> {
        let child = Command::new(server.program.as_path())
            .args(["worker", "--lane", "ledger", "--verify-every", "0", "--batch", &batch.to_string()])
            .env("DATABASE_URL_WORKER", server.worker_url())
            .env("NOWPAYMENTS_IPN_SECRET", IPN_SECRET)
            .env("HOLDFAST_LOG", "warn")
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .spawn()
            .context("starting a worker")?;
        Ok(Self { child })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    /// Ends it at whatever instruction it is.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.signal(Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
        Ok((ticks(11) + ticks(12)) / TICKS)
    }

    /// The most that it ever had resident.
    fn memory_kib(&self) -> Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        Ok(line.trim().trim_end_matches(" kB").parse().unwrap_or(0))
    }

    pub(crate) fn stop(mut self) -> Result<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "a worker ended with {status}");
        Ok(())
    }
}

impl Drop for Worker {
    /// A run that fails leaves no process behind.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) && self.child.kill().is_ok() && self.child.wait().is_err() {
            eprintln!("a worker could not be waited for");
        }
    }
}
