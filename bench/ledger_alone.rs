//! Transfers per second on few and on many accounts: Holdfast's deposits, each of which is one transfer
//! from the outside world to a wallet, and pgledger's functions, one at a time and a hundred at a time.
//!
//! Holdfast's figure includes the queue, the signature, the row of the deposit and the outcome.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use sqlx::{AssertSqlSafe, Connection, PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::drain::drain;
use crate::report::{Figure, Goal, Ratio, spread};
use crate::server::Server;
use crate::{Bench, load};

const MEASURE: &str = "ledger";
const UNIT: &str = "transfers/s";
const DATABASE: &str = "pgledger";
/// Accounts between which money moves.
const ACCOUNTS: [usize; 2] = [10, 10_000];
/// Connections and transfers a call that are tried.
const TRIED: [(u16, usize); 7] = [(1, 1), (8, 1), (32, 1), (1, 100), (2, 100), (4, 100), (8, 100)];
const LACKS: &str = "idempotence by keys, a queue, outcomes, holds, per-batch loading: each transfer is a loop's turn";
/// What Holdfast should be, where the best of pgledger is one.
const GOAL: Goal = Goal::Least(4.0);

/// Rounds on few accounts and on many.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Some(path) = bench.sizes.pgledger.clone() else {
        bench.report.skipped(MEASURE, "pgledger", "its SQL is given by --pgledger")?;
        for accounts in ACCOUNTS {
            let mut rates = Vec::new();
            for _ in 0..bench.sizes.rounds {
                rates.push(holdfast(bench, accounts).await?);
            }
            note(bench, accounts, rates)?;
        }
        return Ok(());
    };
    let db = install(&bench.server, &path).await.context("installing pgledger")?;
    for accounts in ACCOUNTS {
        let ids = open(&db, accounts).await?;
        let url = bench.server.url("postgres", DATABASE);
        let share = Duration::from_secs(bench.sizes.seconds.div_ceil(2));
        let (mut rates, mut single, mut hundred) = (Vec::new(), Vec::new(), Vec::new());
        let one = best(&url, &ids, share / 4, |each| each == 1).await?;
        let many = best(&url, &ids, share / 4, |each| each > 1).await?;
        for _ in 0..bench.sizes.rounds {
            rates.push(holdfast(bench, accounts).await?);
            single.push(pgledger(&url, &ids, one, share).await?);
            hundred.push(pgledger(&url, &ids, many, share).await?);
        }
        books(&db).await?;
        let ratios = |theirs: &[f64]| rates.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect::<Vec<_>>();
        let compared = [(ratios(&single), single, one), (ratios(&hundred), hundred, many)];
        note(bench, accounts, rates)?;
        for (rounds, theirs, (connections, each)) in compared {
            let contestant = format!("pgledger, {accounts} accounts, {each} a call");
            let settings = format!("{connections} connections");
            bench.report.figure(
                &Figure { measure: MEASURE, contestant, unit: UNIT, rounds: theirs, settings, lacks: LACKS },
                None,
            )?;
            let of = format!("transfers on {accounts} accounts, holdfast ÷ pgledger with {each} a call");
            bench.report.ratio(&Ratio { measure: MEASURE, of, rounds, goal: Some(GOAL) })?;
        }
    }
    db.close().await;
    Ok(())
}

fn note(bench: &mut Bench, accounts: usize, rounds: Vec<f64>) -> Result<()> {
    let contestant = format!("holdfast, {accounts} accounts");
    let settings = format!("deposits, batches of {}, {} workers", bench.sizes.batch, bench.sizes.workers);
    bench.report.figure(&Figure { measure: MEASURE, contestant, unit: UNIT, rounds, settings, lacks: "" }, None)
}

/// Deposits drained per second, spread evenly over so many wallets.
async fn holdfast(bench: &Bench, accounts: usize) -> Result<f64> {
    let queued = load::queue_deposits(&bench.server, &bench.people, bench.sizes.jobs, accounts).await?;
    let drained = drain(&bench.server, bench.sizes.workers, bench.sizes.batch, queued).await?;
    eprintln!("deposits to {accounts} wallets: {drained}");
    Ok(drained.jobs_per_second as f64)
}

/// Its SQL from a file, or from a folder, dependencies first. The function that writes an id as a ULID
/// is another project's; where it is not among the files a cheaper one takes its place.
async fn install(server: &Server, path: &Path) -> Result<PgPool> {
    let mut files: Vec<PathBuf> = if path.is_dir() {
        let found = std::fs::read_dir(path)?.map(|file| file.map(|file| file.path())).collect::<Result<Vec<_>, _>>()?;
        found.into_iter().filter(|file| file.extension().is_some_and(|found| found == "sql")).collect()
    } else {
        vec![path.to_owned()]
    };
    files.sort_by_key(|file| (file.file_name().is_some_and(|name| name == "pgledger.sql"), file.clone()));
    let texts = files.iter().map(std::fs::read_to_string).collect::<Result<Vec<_>, _>>()?;
    let db = server.database(DATABASE, None).await?;
    if !texts.iter().any(|text| text.to_lowercase().contains("function uuid_to_ulid")) {
        let stand_in = "create function uuid_to_ulid(id uuid) returns text language sql immutable
            as $$ select translate(id::text, '-', '') $$";
        sqlx::raw_sql(stand_in).execute(&db).await?;
    }
    for text in texts {
        sqlx::raw_sql(AssertSqlSafe(text)).execute(&db).await?;
    }
    Ok(db)
}

async fn open(db: &PgPool, accounts: usize) -> Result<Vec<String>> {
    let ids: Vec<(String,)> = sqlx::query_as(
        "select a.id from generate_series(1, $1::int) n, pgledger_create_account('account ' || n, 'USD') a",
    )
    .bind(i32::try_from(accounts)?)
    .fetch_all(db)
    .await?;
    sqlx::raw_sql("vacuum analyze").execute(db).await?;
    Ok(ids.into_iter().map(|(id,)| id).collect())
}

/// The best of what is tried.
async fn best(url: &str, ids: &[String], lasting: Duration, among: fn(usize) -> bool) -> Result<(u16, usize)> {
    let mut found: Vec<(f64, (u16, usize))> = Vec::new();
    for tried in TRIED.into_iter().filter(|(_, each)| among(*each)) {
        found.push((pgledger(url, ids, tried, lasting).await?, tried));
    }
    let most = spread(&found.iter().map(|(rate, _)| *rate).collect::<Vec<_>>()).2;
    found.into_iter().find(|(rate, _)| *rate >= most).map(|(_, tried)| tried).context("nothing was tried")
}

/// Transfers per second between accounts drawn at random.
async fn pgledger(url: &str, ids: &[String], (connections, each): (u16, usize), lasting: Duration) -> Result<f64> {
    let mut workers = JoinSet::new();
    let began = Instant::now();
    for seed in 0..connections {
        let (mut db, ids) = (PgConnection::connect(url).await?, ids.to_vec());
        workers.spawn(async move {
            let mut rng = StdRng::seed_from_u64(seed.into());
            let mut moved = 0_usize;
            while began.elapsed() < lasting {
                let (from, to): (Vec<&String>, Vec<&String>) = (0..each)
                    .filter_map(|_| {
                        let from = rng.random_range(0..ids.len());
                        Some((ids.get(from)?, ids.get((from + rng.random_range(1..ids.len())) % ids.len())?))
                    })
                    .unzip();
                transfer(&mut db, &from, &to).await?;
                moved += each;
            }
            Ok::<_, anyhow::Error>(moved)
        });
    }
    let mut moved = 0;
    while let Some(ended) = workers.join_next().await {
        moved += ended??;
    }
    Ok(moved as f64 / began.elapsed().as_secs_f64())
}

async fn transfer(db: &mut PgConnection, from: &[&String], to: &[&String]) -> Result<()> {
    let query = match (from, to) {
        ([from], [to]) => {
            sqlx::query_scalar("select count(*) from pgledger_create_transfer($1, $2, '1')").bind(*from).bind(*to)
        }
        _ => sqlx::query_scalar(
            "select count(*) from pgledger_create_transfers(
                transfer_requests => array(
                    select row(f, t, '1')::transfer_request from unnest($1::text[], $2::text[]) as p (f, t)),
                event_at => now())",
        )
        .bind(from)
        .bind(to),
    };
    let made: i64 = query.fetch_one(db).await?;
    ensure!(usize::try_from(made)? == from.len(), "{made} of {} transfers were made", from.len());
    Ok(())
}

/// What came out of one account went into another.
async fn books(db: &PgPool) -> Result<()> {
    let (wrong,): (bool,) = sqlx::query_as(
        "select sum(balance::numeric) <> 0 or (select count(*) from pgledger_entries) <> sum(version)
         from pgledger_accounts",
    )
    .fetch_one(db)
    .await?;
    ensure!(!wrong, "the books of pgledger do not agree");
    Ok(())
}
