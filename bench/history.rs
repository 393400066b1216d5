//! What a long past costs: the settle rate with millions of finished jobs compared with none, on two
//! databases of one server in turns.

use std::time::Instant;

use anyhow::Result;
use chrono::{DateTime, Utc};
use serde_json::json;
use sqlx::{PgPool, raw_sql};

use crate::partitions::pass_jobs;
use crate::report::{Figure, Goal, Ratio};
use crate::twins::{Twin, drop_database};
use crate::{Bench, Sizes};

/// Ids of a pair of people: 40 jobs and 6 commissions (see `history.sql`).
const IDS_PER_PAIR: i64 = 46;
/// Pairs that are written in one transaction.
const PAIRS_AT_ONCE: i64 = 10_000;
/// The stripe of house accounts that the past has used.
const STRIPE: i16 = 15;
/// What is deposited, traded and withdrawn, each time.
const ASSETS: [(&str, [&str; 3]); 5] = [
    ("usdttrc20", ["125.5", "0.75", "10"]),
    ("btc", ["0.0025", "0.000015", "0.0001"]),
    ("trx", ["950.25", "5.5", "50"]),
    ("ltc", ["1.75", "0.0105", "0.1"]),
    ("xrp", ["88.125", "0.5", "5"]),
];

/// Makes the past, and then rounds in turns.
pub(crate) async fn measure(bench: &mut Bench) -> Result<()> {
    let Sizes { rounds, jobs, lasting, .. } = bench.sizes.clone();
    let new = Twin::new(bench, "new").await?;
    let old = Twin::new(bench, "old").await?;
    let began = Instant::now();
    let finished = make(&old.server.owner, lasting.history).await?;
    let made_s = began.elapsed().as_secs();
    let (bytes,): (i64,) =
        sqlx::query_as("select pg_database_size(current_database())").fetch_one(&old.server.owner).await?;
    eprintln!("history: {finished} finished jobs made in {made_s} s, {} MB", bytes / 1_000_000);
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        // Who begins takes turns as well.
        if round % 2 == 0 {
            with.push(old.round(&bench.sizes, round).await?);
        }
        without.push(new.round(&bench.sizes, round).await?);
        if round % 2 == 1 {
            with.push(old.round(&bench.sizes, round).await?);
        }
    }
    let ratios = with.iter().zip(&without).map(|(with, without)| with / without).collect();
    let past = format!("{finished} finished jobs");
    for (contestant, rounds) in [(format!("holdfast, {past}"), with), ("holdfast, no past".to_owned(), without)] {
        let (settings, unit) =
            (format!("rounds of {jobs} jobs; the database has {bytes} bytes with the past"), "jobs/s");
        bench.report.figure(&Figure { measure: "history", contestant, unit, rounds, settings, lacks: "" }, None)?;
    }
    let of = format!("settle rate with {past} ÷ with none");
    bench.report.ratio(&Ratio { measure: "history", of, rounds: ratios, goal: Some(Goal::Least(0.9)) })?;
    let document = json!({ "measure": "history", "finished": finished, "bytes": bytes, "made_s": made_s });
    bench.report.detail(document)?;
    for twin in [new, old] {
        let name = twin.end().await?;
        drop_database(bench, name).await?;
    }
    Ok(())
}

/// Writes at least so many finished jobs by set-based statements; returns how many.
async fn make(owner: &PgPool, jobs: u64) -> Result<i64> {
    raw_sql(include_str!("history.sql")).execute(owner).await?;
    let pairs = i64::try_from(jobs)? / IDS_PER_PAIR / i64::try_from(ASSETS.len())? + 1;
    let all = pairs * i64::try_from(ASSETS.len())?;
    let (first, till): (i64, DateTime<Utc>) =
        sqlx::query_as("select nextval('job_id'), clock()").fetch_one(owner).await?;
    let upto = first + all * IDS_PER_PAIR;
    let (wallets, inbox) = reserve(owner, upto, all).await?;
    for (segment, (code, [deposited, traded, withdrawn])) in (0..).zip(ASSETS) {
        let (asset, world, fees) = house(owner, code).await?;
        let mut low = 0;
        while low < pairs {
            let high = pairs.min(low + PAIRS_AT_ONCE);
            sqlx::query("select past($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)")
                .bind(asset)
                .bind(first + segment * pairs * IDS_PER_PAIR)
                .bind(upto)
                .bind(till)
                .bind(low)
                .bind(high)
                .bind(wallets + segment * pairs * 2)
                .bind(world)
                .bind(fees)
                .bind(inbox + segment * pairs * 10)
                .bind(deposited)
                .bind(traded)
                .bind(withdrawn)
                .execute(owner)
                .await?;
            low = high;
        }
    }
    for afterwards in ["drop function past, past_fact, past_at", "vacuum analyze", "checkpoint"] {
        raw_sql(afterwards).execute(owner).await?;
    }
    // The first pair of each asset was brought by nobody.
    Ok(all * IDS_PER_PAIR - i64::try_from(ASSETS.len())? * 6)
}

/// Moves the sequences on and makes the partitions; the first wallet, and the callback before the first.
async fn reserve(owner: &PgPool, upto: i64, pairs: i64) -> Result<(i64, i64)> {
    let (wallets, inbox): (i64, i64) =
        sqlx::query_as("select nextval('account_id'), (select coalesce(max(id), 0) from ipn_inbox)")
            .fetch_one(owner)
            .await?;
    pass_jobs(owner, upto).await?;
    sqlx::query("select setval('account_id', $1), setval(pg_get_serial_sequence('ipn_inbox', 'id'), $2)")
        .bind(wallets + 2 * pairs)
        .bind(inbox + 10 * pairs)
        .execute(owner)
        .await?;
    Ok((wallets, inbox))
}

/// The asset, and the house's accounts that the past has used: the outside and the fees.
async fn house(owner: &PgPool, code: &str) -> Result<(i16, i64, i64)> {
    Ok(sqlx::query_as(
        "with made as (
             insert into account (id, owner, asset, purpose, stripe)
             select case purpose when 'world' then - nextval('account_id') else nextval('account_id') end, 0, a.id, purpose, $2
             from asset a cross join (values ('world'), ('fee')) as p (purpose) where a.code = $1
             returning id, asset
         )
         select asset, min(id), max(id) from made group by asset",
    )
    .bind(code)
    .bind(STRIPE)
    .fetch_one(owner)
    .await?)
}
