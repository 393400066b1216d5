use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;

/// A due job whose outbox row the current transaction has locked.
#[derive(Clone, Debug)]
pub struct Claimed {
    /// The job.
    pub job_id: i64,
    /// The kind's stored name.
    pub kind: String,
    /// JSON text.
    pub payload: String,
    /// The principal that asked.
    pub submitted_by: i64,
    /// When it was recorded.
    pub received_at: DateTime<Utc>,
    /// How often it was tried before; the fence of whatever follows.
    pub attempt: i32,
    /// Not before this it was to run.
    pub run_at: DateTime<Utc>,
    /// W3C trace context of what asked for it.
    pub trace_parent: Option<String>,
}

/// What stands for the kind of an outbox row that has no job.
pub const NO_SUCH_JOB: &str = "(no such job)";

/// Where the last claim ended. Rows that were claimed and deleted stay in the index until it is
/// vacuumed; a claim that starts behind them need not step over them again. It is a hint: whoever
/// uses it starts from the beginning now and then as well, and looks once more when nothing was found.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    /// Due time of the last row.
    pub run_at: DateTime<Utc>,
    /// Job of the last row.
    pub job_id: i64,
}

impl Cursor {
    /// Before every row.
    pub const START: Self = Self { run_at: DateTime::UNIX_EPOCH, job_id: 0 };

    /// A second before a row: what was recorded at the same time may be committed later, and is seen from
    /// here.
    #[must_use]
    pub fn late(run_at: DateTime<Utc>) -> Self {
        Self { run_at: run_at.checked_sub_signed(LATE).unwrap_or(DateTime::UNIX_EPOCH), job_id: 0 }
    }

    /// Whether it lies before every row.
    pub fn is_start(self) -> bool {
        self.run_at == Self::START.run_at
    }

    /// Whether it lies before what is committed late, rather than right behind a row.
    pub const fn sees_late(self) -> bool {
        self.job_id == Self::START.job_id
    }
}

/// How late a commit may be to be seen by the next claim; one that is later is seen from the beginning.
const LATE: TimeDelta = TimeDelta::seconds(1);

/// A job that was leased: until the lease ends nobody else claims it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The job.
    pub job_id: i64,
    /// The attempt that this lease began; what follows is fenced by it.
    pub attempt: i32,
}

/// `clock()` of the current transaction.
///
/// # Errors
/// Any error of the database.
pub async fn clock(db: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"select clock() as "now!""#).fetch_one(db).await
}

/// `clock()` of the current transaction, unless the lane is paused.
///
/// # Errors
/// Any error of the database.
pub async fn open_at(db: &mut PgConnection, lane: &str) -> Result<Option<DateTime<Utc>>, sqlx::Error> {
    let at = sqlx::query_scalar!(
        r#"
        select clock() as "at!"
        where not exists (select from pause p where p.scope = 'lane' and p.name = $1)
        "#,
        lane,
    );
    at.fetch_optional(db).await
}

/// Locks up to `limit` due jobs of a lane, in the order in which they fell due, leaving out those
/// that another transaction has locked and the `except` ones.
///
/// The rows stay locked until the transaction ends: the lock is the lease, and a worker that dies
/// leaves nothing to rescue. Where the lane is paused there is nothing to claim.
///
/// # Errors
/// Any error of the database.
pub async fn claim(
    db: &mut PgConnection,
    lane: &str,
    limit: i64,
    from: Cursor,
    except: &[i64],
) -> Result<Vec<Claimed>, sqlx::Error> {
    let due = sqlx::query!(
        r#"
        select job_id, attempt, run_at from outbox
        where lane = $1 and run_at <= (select clock()) and (run_at, job_id + 0) > ($2, $3)
            and job_id not in (select unnest($5::bigint[]))
            and not exists (select from pause p where p.scope = 'lane' and p.name = $1)
        order by lane, run_at, job_id + 0
        limit $4
        for update skip locked
        "#,
        lane,
        from.run_at,
        from.job_id,
        limit,
        except,
    )
    .fetch_all(&mut *db)
    .await?;
    let due = due.into_iter().map(|row| (row.job_id, row.attempt, row.run_at)).collect();
    with_jobs(db, due).await
}

/// Locks these jobs, whether due or not, leaving out those that are gone or locked by another.
///
/// # Errors
/// Any error of the database.
pub async fn claim_these(db: &mut PgConnection, ids: &[i64]) -> Result<Vec<Claimed>, sqlx::Error> {
    let due = sqlx::query!(
        "select job_id, attempt, run_at from outbox where job_id = any ($1) order by job_id for update skip locked",
        ids,
    )
    .fetch_all(&mut *db)
    .await?;
    let due = due.into_iter().map(|row| (row.job_id, row.attempt, row.run_at)).collect();
    with_jobs(db, due).await
}

/// Adds what the jobs say, in the order of their ids, which is the order of receipt.
pub(crate) async fn with_jobs(
    db: &mut PgConnection,
    mut due: Vec<(i64, i32, DateTime<Utc>)>,
) -> Result<Vec<Claimed>, sqlx::Error> {
    due.sort_unstable();
    let ids: Vec<i64> = due.iter().map(|(id, _, _)| *id).collect();
    let (Some(&first), Some(&last)) = (ids.first(), ids.last()) else {
        return Ok(Vec::new());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    let jobs = sqlx::query!(
        r#"
        select id, kind, payload::text as "payload!", submitted_by, received_at, trace_parent
        from job where id = any ($1) and id between $2 and $3 order by id
        "#,
        &ids,
        first,
        last,
    )
    .fetch_all(db)
    .await?;
    let mut jobs = jobs.into_iter().peekable();
    Ok(due
        .into_iter()
        .map(|(job_id, attempt, run_at)| match jobs.next_if(|job| job.id == job_id) {
            Some(job) => Claimed {
                job_id,
                kind: job.kind,
                payload: job.payload,
                submitted_by: job.submitted_by,
                received_at: job.received_at,
                attempt,
                run_at,
                trace_parent: job.trace_parent,
            },
            // Nobody records a row without its job, but if one is there it must not stop the lane:
            // no kind has this name, so it ends with a person.
            None => Claimed {
                job_id,
                kind: NO_SUCH_JOB.to_owned(),
                payload: String::new(),
                submitted_by: 0,
                received_at: run_at,
                attempt,
                run_at,
                trace_parent: None,
            },
        })
        .collect())
}

/// The stored name of a job's kind, or [`NO_SUCH_JOB`].
///
/// # Errors
/// Any error of the database.
pub async fn kind_of(db: &mut PgConnection, job_id: i64) -> Result<String, sqlx::Error> {
    let kind = sqlx::query_scalar!("select kind from job where id = $1", job_id).fetch_optional(db).await?;
    Ok(kind.unwrap_or_else(|| NO_SUCH_JOB.to_owned()))
}

/// Leases up to `limit` due jobs of a lane, or of `only` where that is given: moves them ahead by
/// `lease` and raises their attempts, which fence whatever follows. An expired lease needs no
/// rescuer, since the row is simply due again. Where the lane is paused there is nothing to lease.
///
/// # Errors
/// Any error of the database.
pub async fn lease(
    db: &mut PgConnection,
    lane: &str,
    limit: i64,
    lease: Duration,
    only: Option<&[i64]>,
) -> Result<Vec<Leased>, sqlx::Error> {
    match only {
        // Looked up by their keys, whatever else is due: neither lane nor time is asked as an index has it.
        Some(only) => {
            sqlx::query_as!(
                Leased,
                "
                update outbox set attempt = attempt + 1, run_at = (select clock()) + $4
                where job_id = any (array(
                    select job_id from outbox
                    where job_id = any ($3) and lane || '' = $1 and (run_at <= (select clock())) is true
                        and not exists (select from pause p where p.scope = 'lane' and p.name = $1)
                    order by job_id
                    limit $2
                    for update skip locked
                ))
                returning job_id, attempt
                ",
                lane,
                limit,
                only,
                interval(lease),
            )
            .fetch_all(db)
            .await
        }
        None => {
            sqlx::query_as!(
                Leased,
                "
                update outbox set attempt = attempt + 1, run_at = (select clock()) + $3
                where job_id = any (array(
                    select job_id from outbox
                    where lane = $1 and run_at <= (select clock())
                        and not exists (select from pause p where p.scope = 'lane' and p.name = $1)
                    order by lane, run_at, job_id + 0
                    limit $2
                    for update skip locked
                ))
                returning job_id, attempt
                ",
                lane,
                limit,
                interval(lease),
            )
            .fetch_all(db)
            .await
        }
    }
}

/// A duration as Postgres takes it; what leaves its range is the longest one that fits.
pub(crate) fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}
