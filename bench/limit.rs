//! How near the settle rate is to the rate at which the server takes the same rows from somebody who
//! only writes them.
//!
//! A round of the load is drained; what it wrote is read from the tables, cut into the batches in which
//! it was written, and written again into a copy of the database as it was before, with the same
//! tables, indexes, constraints and triggers, none of them switched off: by `unnest` and by binary
//! COPY, on one connection and on two. Updates and deletes are by arrays both times. The writer is the
//! owner, so that no row security is checked, and leaves out what a worker notes of itself.

mod rows;
mod written;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use sqlx::postgres::PgPoolCopyExt;
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::drain::drain;
use crate::limit::rows::Piece;
use crate::limit::written::{How, TABLES, WRITES};
use crate::peers::rest;
use crate::report::{Figure, Goal, Ratio};
use crate::server::Server;
use crate::{Bench, load};

const MEASURE: &str = "limit";
/// As the database was before the drain.
const BEFORE: &str = "limit_before";
/// Where it is written again.
const DATABASE: &str = "limit_again";
/// What the settle rate should be of the limit.
const GOAL: Goal = Goal::Least(0.7);

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Unnest,
    Copy,
}

const WAYS: [(&str, Way, usize); 4] = [
    ("unnest, one connection", Way::Unnest, 1),
    ("unnest, two connections", Way::Unnest, 2),
    ("binary COPY, one connection", Way::Copy, 1),
    ("binary COPY, two connections", Way::Copy, 2),
];

/// A statement with its arrays, or a COPY with its bytes.
struct Step {
    insert: Arc<str>,
    copy: Option<Arc<str>>,
    piece: Piece,
}

/// Rounds of the load, and what each wrote written again in every way.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let (mut ours, mut ratios) = (Vec::new(), Vec::new());
    let mut theirs: Vec<Vec<f64>> = WAYS.iter().map(|_| Vec::new()).collect();
    for round in 1..=bench.sizes.rounds {
        let (settled, batches) = drained(bench, 5_000 + round).await.context("the round that is written again")?;
        let batches = Arc::new(batches);
        let mut best = 0.0_f64;
        for ((name, way, connections), rates) in WAYS.iter().zip(&mut theirs) {
            let seconds =
                again(&bench.server, &batches, *way, *connections).await.with_context(|| (*name).to_owned())?;
            let rate = settled.jobs as f64 / seconds;
            eprintln!("the same rows by {name}: {rate:.0} jobs/s");
            best = best.max(rate);
            rates.push(rate);
        }
        ours.push(settled.rate);
        ratios.push(settled.rate / best);
    }
    sqlx::raw_sql("drop schema replay cascade").execute(&bench.server.owner).await?;
    let settings = format!("{} jobs, batches of {}", bench.sizes.jobs, bench.sizes.batch);
    let mut note = |contestant: &str, rounds, lacks| {
        let (contestant, settings, unit) = (contestant.to_owned(), settings.clone(), "jobs/s");
        bench.report.figure(&Figure { measure: MEASURE, contestant, unit, rounds, settings, lacks }, None)
    };
    note("holdfast", ours, "")?;
    for ((name, _, _), rounds) in WAYS.iter().zip(theirs) {
        note(name, rounds, "everything but the writing of rows that are given")?;
    }
    let of = "holdfast ÷ the best of unnest and COPY".to_owned();
    bench.report.ratio(&Ratio { measure: MEASURE, of, rounds: ratios, goal: Some(GOAL) })
}

/// What a drain did.
struct Settled {
    jobs: usize,
    rate: f64,
}

/// Drains a round, and returns what each of its batches wrote; the database as it was is kept.
async fn drained(bench: &Bench, round: usize) -> Result<(Settled, Vec<Vec<Step>>)> {
    let (server, sizes) = (&bench.server, &bench.sizes);
    let jobs = load::queue(server, &bench.people, sizes.jobs, round, sizes.load).await?;
    keep(server).await.context("keeping the database as it is")?;
    written::before(&server.owner).await?;
    let drained = drain(server, sizes.workers, sizes.batch, jobs).await?;
    eprintln!("round {round}: {drained}");
    written::after(&server.owner).await?;
    let mut batches: BTreeMap<usize, Vec<Step>> = BTreeMap::new();
    for write in &WRITES {
        let rows = written::read(&server.owner, write).await?;
        let list = |types: &[String]| {
            let parts = types.iter().zip(1..).map(|(name, at)| format!("${at}::{name}[]"));
            parts.collect::<Vec<_>>().join(", ")
        };
        let (insert, copy) = match write.how {
            How::Statement(sql, _) => (sql.to_owned(), None),
            How::Insert(table) => (
                format!("insert into {table} select * from unnest({})", list(&rows.types)),
                Some(format!("copy {table} from stdin (format binary)")),
            ),
        };
        let (insert, copy): (Arc<str>, Option<Arc<str>>) = (insert.into(), copy.map(Into::into));
        for (number, piece) in rows.batches {
            let (insert, copy) = (Arc::clone(&insert), copy.clone());
            batches.entry(number).or_default().push(Step { insert, copy, piece });
        }
    }
    Ok((Settled { jobs, rate: drained.jobs_per_second as f64 }, batches.into_values().collect()))
}

/// Copies the database as it is into another one with the same schema.
async fn keep(server: &Server) -> Result<()> {
    let kept = server.database(BEFORE, None).await?;
    outbox::migrate(&kept).await?;
    for table in TABLES {
        let mut db = kept.acquire().await?;
        // Only here: rows come in without being checked one by one, as they were checked before.
        sqlx::raw_sql("set session_replication_role = replica").execute(&mut *db).await?;
        let mut from =
            server.owner.copy_out_raw(&format!("copy (select * from {table}) to stdout (format binary)")).await?;
        let mut into = db.copy_in_raw(&format!("copy {table} from stdin (format binary)")).await?;
        while let Some(bytes) = from.try_next().await? {
            into.send(bytes).await?;
        }
        into.finish().await?;
        sqlx::raw_sql("reset session_replication_role").execute(&mut *db).await?;
    }
    sqlx::raw_sql("vacuum (freeze, analyze)").execute(&kept).await?;
    kept.close().await;
    Ok(())
}

/// Seconds that it takes to write the batches again.
async fn again(server: &Server, batches: &Arc<Vec<Vec<Step>>>, way: Way, connections: usize) -> Result<f64> {
    let db = server.database(DATABASE, Some(BEFORE)).await?;
    rest(&db).await?;
    // Statements are planned as a worker's are.
    let options = outbox::settle_options(&server.url("postgres", DATABASE), "money_day")?;
    let mut opened = Vec::new();
    for _ in 0..connections {
        opened.push(PgConnection::connect_with(&options).await?);
    }
    let (committed, seen) = watch::channel(0_usize);
    let committed = Arc::new(committed);
    let mut writers = JoinSet::new();
    let began = Instant::now();
    for (first, mut db) in opened.into_iter().enumerate() {
        let (batches, committed, mut seen) = (Arc::clone(batches), Arc::clone(&committed), seen.clone());
        writers.spawn(async move {
            for (number, batch) in batches.iter().enumerate().skip(first).step_by(connections) {
                // At most the batch before is still under way: others' rows are there.
                seen.wait_for(|committed| *committed + connections > number).await?;
                write(&mut db, batch, way).await?;
                committed.send_modify(|committed| *committed += 1);
            }
            Ok::<_, anyhow::Error>(())
        });
    }
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    let seconds = began.elapsed().as_secs_f64();
    compare(&server.owner, &db).await?;
    db.close().await;
    Ok(seconds)
}

/// A batch in a transaction.
async fn write(db: &mut PgConnection, batch: &[Step], way: Way) -> Result<()> {
    let mut tx = db.begin().await?;
    for step in batch {
        match &step.copy {
            Some(copy) if way == Way::Copy => {
                let mut into = tx.copy_in_raw(copy).await?;
                into.send(&step.piece.copy[..]).await?;
                into.finish().await?;
            }
            _ => {
                let mut query = sqlx::query(AssertSqlSafe(Arc::clone(&step.insert)));
                for column in &step.piece.columns {
                    query = query.bind(column);
                }
                query.execute(&mut *tx).await.with_context(|| step.insert.to_string())?;
            }
        }
    }
    Ok(tx.commit().await?)
}

/// Both have the same rows now.
async fn compare(settled: &PgPool, again: &PgPool) -> Result<()> {
    for table in TABLES {
        let sql =
            format!("select count(*), coalesce(sum(hashtextextended(x::text, 0)::numeric), 0)::text from {table} x");
        let (theirs, ours): ((i64, String), (i64, String)) = (
            sqlx::query_as(AssertSqlSafe(sql.clone())).fetch_one(again).await?,
            sqlx::query_as(AssertSqlSafe(sql)).fetch_one(settled).await?,
        );
        ensure!(theirs == ours, "{table} has {} rows where it should have {}, or others", theirs.0, ours.0);
    }
    Ok(())
}
