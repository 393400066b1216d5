//! How long nothing is settled when somebody dies: a worker in the middle of a batch, or Postgres.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use jobs::{AnyJob, UserRegister};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::Bench;
use crate::drain::{Worker, settle_all};
use crate::load::{self, client, record};
use crate::report::{Figure, Goal};

/// Trials for each round.
const TRIALS: usize = 3;
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(1);
/// How often a worker may escape before it is caught with a batch.
const ESCAPES_MAX: usize = 50;
/// Longest time that anything may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// How long Postgres is away in the second kind of trial, in seconds; no time at all in a quick run.
const AWAY_S: u64 = 10;

/// Trials of every kind of death.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let trials = bench.sizes.rounds * TRIALS;
    let (mut busy, mut idle, mut back, mut late) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for trial in 0..trials {
        busy.push(beside_a_busy_one(bench, 4_000 + trial).await?.as_secs_f64() * 1_000.0);
        idle.push(beside_an_idle_one(bench).await?.as_secs_f64() * 1_000.0);
    }
    let quick = bench.sizes.rounds == 1;
    for trial in 0..bench.sizes.rounds {
        back.push(postgres(bench, 5_000 + trial, Duration::ZERO).await?.as_secs_f64());
        if !quick {
            late.push(postgres(bench, 6_000 + trial, Duration::from_secs(AWAY_S)).await?.as_secs_f64());
        }
    }
    let mut note = |contestant: &str, unit, rounds: Vec<f64>, settings: &str, goal| {
        if rounds.is_empty() {
            return Ok(());
        }
        let (contestant, settings) = (contestant.to_owned(), settings.to_owned());
        let figure = Figure { measure: "deaths", contestant, unit, rounds, settings, lacks: "" };
        bench.report.figure(&figure, Some(goal))
    };
    let settings = "SIGKILL in the middle of a batch, until the other worker's next commit is seen";
    note("death of a worker, the other one busy", "ms", busy, settings, Goal::Most(100.0))?;
    let settings = "SIGKILL in the middle of a batch, until the other worker has settled that very batch";
    note("death of a worker, the other one idle", "ms", idle, settings, Goal::Most(100.0))?;
    let settings = "killed and restarted at once; from the time at which it accepts connections";
    note("Postgres back, until the next settlement", "s", back, settings, Goal::Most(1.0))?;
    let settings = format!("away for {AWAY_S} s; from the time at which it accepts connections");
    note("Postgres back after a while, until the next settlement", "s", late, &settings, Goal::Most(1.0))
}

/// Two workers share a queue and one dies with a batch; until the other one's next commit.
async fn beside_a_busy_one(bench: &Bench, round: usize) -> Result<Duration> {
    let sizes = &bench.sizes;
    // Batches that are small against the queue, so that there is something left to settle.
    let batch = sizes.batch.min(u16::try_from(sizes.jobs / 20)?.max(1));
    load::queue(&bench.server, &bench.people, sizes.jobs.min(50_000), round, sizes.load).await?;
    let (victim, other) = (Worker::start(&bench.server, batch)?, Worker::start(&bench.server, batch)?);
    ensure!(caught(bench, &[&victim]).await?.is_some(), "the worker was never caught with a batch");
    let number = run_of(bench, &other).await?;
    let killed = Instant::now();
    victim.kill()?;
    // What the other one holds now, or next, and when it has left the outbox.
    let (mut held, mut before) = (None, None);
    loop {
        let (first, queued): (Option<i64>, bool) = sqlx::query_as(
            "select w.holding[1], exists (select from outbox o where o.job_id = coalesce($2, w.holding[1]))
             from worker_run w where w.id = $1",
        )
        .bind(number)
        .bind(held)
        .fetch_one(&bench.server.owner)
        .await?;
        match (held, first) {
            (Some(_), _) if !queued => break,
            (None, Some(_)) if queued => held = first,
            // It was taken and settled between two looks.
            (None, Some(first)) if *before.get_or_insert(first) != first => break,
            _ => {}
        }
        ensure!(killed.elapsed() < PATIENCE, "the other worker settles nothing");
        sleep(LOOK).await;
    }
    let took = killed.elapsed();
    other.stop()?;
    settle_all(&bench.server).await?;
    Ok(took)
}

/// One of two workers dies with all that was queued; until the other one has settled it.
async fn beside_an_idle_one(bench: &Bench) -> Result<Duration> {
    let workers = [Worker::start(&bench.server, bench.sizes.batch)?, Worker::start(&bench.server, bench.sizes.batch)?];
    for worker in &workers {
        run_of(bench, worker).await?;
    }
    for _ in 0..ESCAPES_MAX {
        let register = AnyJob::UserRegister(UserRegister { referrer_id: None });
        let asks = (0..bench.sizes.batch).map(|_| client(&bench.people, &register)).collect::<Result<Vec<_>>>()?;
        let queued = record(&bench.server, &asks).await?;
        let [first, second] = &workers;
        let Some(place) = caught(bench, &[first, second]).await? else { continue };
        let [first, second] = workers;
        let (victim, other) = if place == 0 { (first, second) } else { (second, first) };
        let killed = Instant::now();
        victim.kill()?;
        until_settled(bench, &queued).await?;
        let took = killed.elapsed();
        other.stop()?;
        settle_all(&bench.server).await?;
        return Ok(took);
    }
    bail!("no worker was ever caught with a batch")
}

/// Stops one of the workers while it has a transaction open that has written something, and tells
/// which; none if there is nothing left to catch it with.
async fn caught(bench: &Bench, workers: &[&Worker]) -> Result<Option<usize>> {
    let began = Instant::now();
    let mut escapes = 0;
    while escapes < ESCAPES_MAX && began.elapsed() < PATIENCE {
        for (place, worker) in workers.iter().enumerate() {
            if !has_open_batch(bench, worker).await? {
                continue;
            }
            worker.signal(Signal::STOP)?;
            if has_open_batch(bench, worker).await? {
                return Ok(Some(place));
            }
            worker.signal(Signal::CONT)?;
            escapes += 1;
        }
        let (left,): (bool,) =
            sqlx::query_as("select exists (select from outbox)").fetch_one(&bench.server.owner).await?;
        if !left {
            return Ok(None);
        }
        sleep(LOOK).await;
    }
    Ok(None)
}

async fn has_open_batch(bench: &Bench, worker: &Worker) -> Result<bool> {
    let (open,): (bool,) = sqlx::query_as(
        "select exists (select from pg_stat_activity
             where datname = current_database() and application_name like $1 and backend_xid is not null)
             and exists (select from worker_run where lane = 'ledger' and name like $1 and holding <> '{}')",
    )
    .bind(format!("holdfast worker %:{}", worker.pid()))
    .fetch_one(&bench.server.owner)
    .await?;
    Ok(open)
}

/// The number of a worker's run, once it has begun one.
async fn run_of(bench: &Bench, worker: &Worker) -> Result<i64> {
    let began = Instant::now();
    loop {
        let run: Option<(i64,)> =
            sqlx::query_as("select max(id) from worker_run where lane = 'ledger' and name like $1 having count(*) > 0")
                .bind(format!("holdfast worker %:{}", worker.pid()))
                .fetch_optional(&bench.server.owner)
                .await?;
        if let Some((run,)) = run {
            return Ok(run);
        }
        ensure!(began.elapsed() < PATIENCE, "a worker does not begin");
        sleep(LOOK).await;
    }
}

/// Returns when all of these jobs have an outcome.
async fn until_settled(bench: &Bench, ids: &[i64]) -> Result<()> {
    let began = Instant::now();
    loop {
        let (settled,): (bool,) = sqlx::query_as("select not exists (select from outbox where job_id = any ($1))")
            .bind(ids)
            .fetch_one(&bench.server.owner)
            .await?;
        if settled {
            return Ok(());
        }
        ensure!(began.elapsed() < PATIENCE, "what the dead worker held is not settled");
        sleep(LOOK).await;
    }
}

/// Postgres is killed under a working worker and comes back; until something more is settled.
async fn postgres(bench: &Bench, round: usize, away: Duration) -> Result<Duration> {
    let sizes = &bench.sizes;
    let batch = sizes.batch.min(u16::try_from(sizes.jobs / 20)?.max(1));
    let (before,): (i64,) = sqlx::query_as("select max(id) from job").fetch_one(&bench.server.owner).await?;
    load::queue(&bench.server, &bench.people, sizes.jobs.min(50_000), round, sizes.load).await?;
    let worker = Worker::start(&bench.server, batch)?;
    ended(bench, before, 0).await?;
    bench.server.crash().await?;
    sleep(away).await;
    bench.server.restart().await?;
    let up = Instant::now();
    let known = ended_now(bench, before).await?;
    ended(bench, before, known).await?;
    let took = up.elapsed();
    worker.stop()?;
    settle_all(&bench.server).await?;
    Ok(took)
}

/// Returns when more than that many of the jobs behind a number have ended.
async fn ended(bench: &Bench, behind: i64, than: i64) -> Result<()> {
    let began = Instant::now();
    while ended_now(bench, behind).await? <= than {
        ensure!(began.elapsed() < PATIENCE, "nothing is settled");
        sleep(LOOK).await;
    }
    Ok(())
}

async fn ended_now(bench: &Bench, behind: i64) -> Result<i64> {
    let (count,): (i64,) = sqlx::query_as("select count(*) from outcome where job_id > $1")
        .bind(behind)
        .fetch_one(&bench.server.owner)
        .await?;
    Ok(count)
}
