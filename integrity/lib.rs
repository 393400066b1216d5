//! The integrity checks: what must be true of a database of Holdfast, whatever happened to it.
//!
//! Every check is one statement that looks for rows that contradict each other, and all of them
//! read one snapshot, so they may run while workers settle. None of them trusts a constraint or a
//! trigger: what Postgres guards is proved here a second time from the rows themselves.

mod accounts;
mod calls;
mod check;
mod deposits;
mod facts;
mod holds;
mod ledger;
mod operating;
mod queue;
mod referrals;
mod retention;
mod timers;
mod trades;
mod withdrawals;

use std::fmt;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{Connection, PgConnection, PgPool};

pub use check::Check;

/// What the checks found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verification {
    /// `clock()` of the snapshot that everything was read in.
    pub at: DateTime<Utc>,
    /// The number of the newest migration.
    pub schema: i32,
    /// Every check, also those that found nothing, always in the same order.
    pub checks: Vec<Check>,
    /// What is held, asset by asset, for those that have an account.
    pub totals: Vec<Totals>,
}

/// The balances of an asset, in minor units, as decimal text: a corrupted sum may exceed any type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Code of the asset.
    pub asset: String,
    /// Decimal places of one unit.
    pub scale: i16,
    /// What people have, their escrow included.
    pub wallets: String,
    /// The part of it that stands in escrow.
    pub held: String,
    /// What the house has earned.
    pub fees: String,
    /// The outside: minus what came in and has not gone out.
    pub world: String,
    /// Minus what people owe after clawbacks.
    pub receivables: String,
}

impl Verification {
    /// Whether nothing was found at all.
    pub fn is_clean(&self) -> bool {
        self.checks.iter().all(Check::is_clean)
    }

    /// The checks that found something.
    pub fn failed(&self) -> impl Iterator<Item = &Check> {
        self.checks.iter().filter(|check| !check.is_clean())
    }
}

/// The check whose rows begin with the code of an asset and a colon.
pub const ASSETS_BALANCE: &str = "posted-sums-to-zero";

/// Runs every check in one snapshot. Reads only; any role that may read may run it.
///
/// It takes a while where there is much to read, and holds one snapshot open as long.
///
/// # Errors
/// Any error of the database: nothing is known then, which is not the same as clean.
pub async fn verify(pool: &PgPool) -> Result<Verification, sqlx::Error> {
    // A connection of its own, which is closed if this is dropped: one that was dropped while it began would go back to
    // the pool in a transaction that nobody knows of.
    let mut db = pool.acquire().await?.detach();
    let mut tx = db.begin_with("begin isolation level repeatable read read only").await?;
    // Before anything takes the snapshot: a partition of job that is replaced by another one afterwards would be
    // empty in it, so whoever drops payloads has to wait (decision 14).
    sqlx::query!("lock table only job in access share mode").execute(&mut *tx).await?;
    let verification = verify_within(&mut tx).await?;
    tx.rollback().await?;
    // What was found is found, however the connection ends.
    db.close().await.ok();
    Ok(verification)
}

/// Runs every check within the caller's open transaction, whose settings it changes until the end
/// of that transaction. Unless it reads one snapshot, what others commit meanwhile may look like a
/// contradiction.
///
/// # Errors
/// As [`verify`]; the transaction must be rolled back.
pub async fn verify_within(db: &mut PgConnection) -> Result<Verification, sqlx::Error> {
    // Workers connect with settings for small statements on large tables; these read whole tables.
    // A nested loop that was planned without statistics, as after a restore, would never end.
    // Parallel workers are left out because they need shared memory that a container may not give.
    sqlx::query!(
        r#"
        select set_config('enable_seqscan', 'on', true) as a, set_config('enable_nestloop', 'off', true) as b,
            set_config('statement_timeout', '0', true) as c, set_config('work_mem', '64MB', true) as d,
            set_config('jit', 'off', true) as e, set_config('max_parallel_workers_per_gather', '0', true) as f
        "#
    )
    .fetch_one(&mut *db)
    .await?;
    let seen = sqlx::query!(r#"select clock() as "at!", version from schema"#).fetch_one(&mut *db).await?;
    let mut checks = ledger::checks(db).await?;
    checks.extend(holds::checks(db).await?);
    checks.extend(accounts::checks(db).await?);
    checks.extend(queue::checks(db).await?);
    checks.extend(trades::checks(db).await?);
    checks.extend(timers::checks(db).await?);
    checks.extend(referrals::checks(db).await?);
    checks.extend(withdrawals::checks(db).await?);
    checks.extend(deposits::checks(db).await?);
    checks.extend(facts::checks(db).await?);
    checks.extend(operating::checks(db).await?);
    checks.extend(retention::checks(db).await?);
    checks.extend(calls::checks(db).await?);
    let totals = totals(db).await?;
    Ok(Verification { at: seen.at, schema: seen.version, checks, totals })
}

async fn totals(db: &mut PgConnection) -> Result<Vec<Totals>, sqlx::Error> {
    sqlx::query_as!(
        Totals,
        r#"
        select t.code as asset, t.scale,
            coalesce(sum(n.posted) filter (where a.purpose = 'wallet'), 0)::text as "wallets!",
            coalesce(sum(n.held), 0)::text as "held!",
            coalesce(sum(n.posted) filter (where a.purpose = 'fee'), 0)::text as "fees!",
            coalesce(sum(n.posted) filter (where a.purpose = 'world'), 0)::text as "world!",
            coalesce(sum(n.posted) filter (where a.purpose = 'receivable'), 0)::text as "receivables!"
        from account a
        join asset t on t.id = a.asset
        cross join lateral (
            select e.posted, e.held from entry e where e.account_id = a.id order by e.version desc limit 1
        ) n
        group by t.id
        order by t.id
        "#
    )
    .fetch_all(db)
    .await
}

impl fmt::Display for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed = self.failed().count();
        let checks = self.checks.len();
        let at = self.at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
        if failed == 0 {
            writeln!(f, "clean: {checks} checks at {at}, schema {}", self.schema)?;
        } else {
            writeln!(f, "NOT CLEAN: {failed} of {checks} checks failed at {at}, schema {}", self.schema)?;
        }
        for check in &self.checks {
            writeln!(f, "{check}")?;
        }
        for totals in &self.totals {
            writeln!(f, "{totals}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "  {:<12} wallets {} (in escrow {}), fees {}, world {}, receivables {}; minor units, {} decimal places",
            self.asset, self.wallets, self.held, self.fees, self.world, self.receivables, self.scale
        )
    }
}
