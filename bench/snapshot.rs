//! A snapshot that somebody keeps open: what it costs after a while of work. Two databases on one
//! server do the same rounds in turns, and in one of them nothing can be cleaned up.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::report::{Figure, Goal, Ratio};
use crate::twins::{Twin, drop_database};
use crate::{Bench, Sizes};

/// How old the snapshot is in a quick run.
const QUICK: Duration = Duration::from_secs(3);

/// Rounds in turns from the beginning of the snapshot on; those count that begin when it is old enough.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Sizes { rounds, lasting, .. } = bench.sizes.clone();
    let wanted = if lasting.is_quick() { QUICK } else { Duration::from_mins(lasting.snapshot_minutes) };
    let free = Twin::new(bench, "unpinned").await?;
    let pinned = Twin::new(bench, "pinned").await?;
    let mut snapshot = pinned.server.owner.begin_with("begin isolation level repeatable read read only").await?;
    sqlx::raw_sql("select count(*) from asset").execute(&mut *snapshot).await?;
    let opened = Instant::now();
    let (mut with, mut without, mut course) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1.. {
        let age = opened.elapsed();
        // Who begins takes turns as well.
        let (one, other) = if round % 2 == 0 {
            let one = pinned.round(&bench.sizes, round).await?;
            (one, free.round(&bench.sizes, round).await?)
        } else {
            let other = free.round(&bench.sizes, round).await?;
            (pinned.round(&bench.sizes, round).await?, other)
        };
        eprintln!("snapshot {:.0} s old: {one:.0} jobs/s, without {other:.0}", age.as_secs_f64());
        course.push(json!({ "age_s": age.as_secs(), "with": one, "without": other }));
        if age >= wanted {
            with.push(one);
            without.push(other);
        }
        if with.len() >= rounds {
            break;
        }
    }
    let (dead,): (i64,) = sqlx::query_as("select n_dead_tup from pg_stat_user_tables where relname = 'outbox'")
        .fetch_one(&pinned.server.owner)
        .await?;
    ensure!(snapshot.rollback().await.is_ok(), "the snapshot was lost on the way");
    record(bench, with, without, wanted)?;
    bench.report.detail(json!({ "measure": "snapshot", "course": course, "dead_rows_of_outbox": dead }))?;
    for twin in [free, pinned] {
        let name = twin.end().await?;
        drop_database(bench, name).await?;
    }
    Ok(())
}

fn record(bench: &mut Bench, with: Vec<f64>, without: Vec<f64>, wanted: Duration) -> Result<()> {
    let jobs = bench.sizes.jobs;
    let ratios = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    let settings = format!("rounds of {jobs} jobs; rounds of the same went on all the time");
    let age = format!("a snapshot {} s old", wanted.as_secs());
    for (contestant, rounds) in [(format!("holdfast, {age}"), with), ("holdfast, no snapshot".to_owned(), without)] {
        let (settings, unit) = (settings.clone(), "jobs/s");
        bench.report.figure(&Figure { measure: "snapshot", contestant, unit, rounds, settings, lacks: "" }, None)?;
    }
    let of = format!("settle rate with {age} ÷ without");
    bench.report.ratio(&Ratio { measure: "snapshot", of, rounds: ratios, goal: Some(Goal::Least(0.75)) })
}
