//! Calls of the outside: what was planned before one, and how it ended. Everything after the lease is fenced by the
//! attempt that it began.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::claim::{Claimed, Leased, interval, with_jobs};

/// Which kinds of a lane are leased.
#[derive(Clone, Copy, Debug)]
pub enum Kinds<'a> {
    /// These.
    Of(&'a [&'a str]),
    /// All others.
    Not(&'a [&'a str]),
}

/// A call as it is recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRow {
    /// The attempt that it was planned in.
    pub attempt: i32,
    /// How it ended; `None` where nobody recorded that.
    pub reply: Option<String>,
}

/// Leases up to `limit` due jobs of a lane that are of some kinds, as [`crate::lease`] does, leaving out the `except`
/// ones. Jobs of other kinds that are due before them are stepped over, each at the price of a look at its job.
///
/// # Errors
/// Any error of the database.
pub async fn lease_kinds(
    db: &mut PgConnection,
    lane: &str,
    kinds: Kinds<'_>,
    (limit, lease): (i64, Duration),
    except: &[i64],
) -> Result<Vec<Leased>, sqlx::Error> {
    let (names, among) = match kinds {
        Kinds::Of(names) => (names, true),
        Kinds::Not(names) => (names, false),
    };
    sqlx::query_as!(
        Leased,
        "
        update outbox set attempt = attempt + 1, run_at = (select clock()) + $5
        where job_id = any (array(
            select o.job_id from outbox o
            where o.lane = $1 and o.run_at <= (select clock()) and o.job_id not in (select unnest($6::bigint[]))
                and coalesce((select j.kind = any ($2) from job j where j.id = o.job_id), false) = $3
                and not exists (select from pause p where p.scope = 'lane' and p.name = $1)
            order by o.lane, o.run_at, o.job_id + 0
            limit $4
            for update skip locked
        ))
        returning job_id, attempt
        ",
        lane,
        names as _,
        among,
        limit,
        interval(lease),
        except,
    )
    .fetch_all(db)
    .await
}

/// Whether one of these jobs is due.
///
/// # Errors
/// Any error of the database.
pub async fn is_any_due(db: &mut PgConnection, jobs: &[i64]) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select exists (
            select from outbox where job_id = any ($1) and (run_at <= (select clock())) is true
        ) as "due!"
        "#,
        jobs,
    )
    .fetch_one(db)
    .await
}

/// Locks a leased job, unless its lease has passed to somebody else or it has ended.
///
/// # Errors
/// Any error of the database.
pub async fn claim_leased(db: &mut PgConnection, leased: Leased) -> Result<Option<Claimed>, sqlx::Error> {
    let held = sqlx::query!(
        "select job_id, attempt, run_at from outbox where job_id = $1 and attempt = $2 for update",
        leased.job_id,
        leased.attempt,
    )
    .fetch_optional(&mut *db)
    .await?;
    let held = held.into_iter().map(|row| (row.job_id, row.attempt, row.run_at)).collect();
    Ok(with_jobs(db, held).await?.pop())
}

/// Renews a lease. Whether it was still there to be renewed.
///
/// # Errors
/// Any error of the database.
pub async fn renew(db: &mut PgConnection, leased: Leased, lease: Duration) -> Result<bool, sqlx::Error> {
    let renewed = sqlx::query!(
        "update outbox set run_at = (select clock()) + $3 where job_id = $1 and attempt = $2",
        leased.job_id,
        leased.attempt,
        interval(lease),
    )
    .execute(db)
    .await?;
    Ok(renewed.rows_affected() == 1)
}

/// The calls that were planned for a job, in their order.
///
/// # Errors
/// Any error of the database.
pub async fn calls_of(db: &mut PgConnection, job_id: i64) -> Result<Vec<CallRow>, sqlx::Error> {
    sqlx::query_as!(
        CallRow,
        r#"
        select c.attempt, e.reply as "reply?"
        from call c left join call_end e on e.job_id = c.job_id and e.attempt = c.attempt
        where c.job_id = $1
        order by c.attempt
        "#,
        job_id,
    )
    .fetch_all(db)
    .await
}

/// Records that a call of an endpoint, which only reads or does not, is about to be made, in the transaction whose commit comes before it.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if the fence did not hold; the transaction must be rolled
/// back, and nothing be called.
pub async fn plan_call(
    db: &mut PgConnection,
    leased: Leased,
    (endpoint, only_reads): (&str, bool),
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let planned = sqlx::query!(
        "
        insert into call (job_id, attempt, endpoint, only_reads, planned_at)
        select job_id, attempt, $3, $5, $4 from outbox where job_id = $1 and attempt = $2
        ",
        leased.job_id,
        leased.attempt,
        endpoint,
        now,
        only_reads,
    )
    .execute(db)
    .await?;
    one(planned.rows_affected())
}

/// Records how a call ended, in the transaction that makes the effects of it. To be called before the job leaves the
/// outbox or is put back.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if the fence did not hold; the transaction must be rolled
/// back.
pub async fn end_call(
    db: &mut PgConnection,
    leased: Leased,
    reply: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let ended = sqlx::query!(
        "
        insert into call_end (job_id, attempt, reply, recorded_at)
        select job_id, attempt, $3, $4 from outbox where job_id = $1 and attempt = $2
        ",
        leased.job_id,
        leased.attempt,
        reply,
        now,
    )
    .execute(db)
    .await?;
    one(ended.rows_affected())
}

const fn one(rows: u64) -> Result<(), sqlx::Error> {
    if rows == 1 { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}
