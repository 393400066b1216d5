use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ask::SubjectKey;
use crate::overtaken::Columns;
use crate::schema::{SCHEMA_VERSION, SchemaError};

/// How long a job is put off by a pause. Resuming ends it earlier.
const PUT_OFF: &str = "1 hour";
/// How many resumed jobs one call of [`wake`] brings back.
pub const WAKE_MAX: u16 = 1_000;

/// When a transaction began, and what was paused then.
#[derive(Clone, Debug)]
pub struct Moment {
    /// `clock()`.
    pub now: DateTime<Utc>,
    /// What is paused, each as scope and name with a space between them, in order.
    pub paused: Vec<String>,
    /// The oldest schema number whose binary may still settle.
    pub oldest_binary: i32,
    /// Whether any job is put off by a pause, be it over or not.
    pub put_off: bool,
    /// Whether any job of the lane waits for another try.
    pub waiting: bool,
    /// The server's process that this connection belongs to.
    pub backend: i32,
    /// When that server was started: another one that takes over was started at another time.
    pub server_started: DateTime<Utc>,
}

impl Moment {
    /// Refuses to settle on a schema that has moved on beyond this binary.
    ///
    /// # Errors
    /// [`SchemaError::TooNew`], as weather: nobody's job is at fault, and the process is to end.
    pub fn within_window(&self) -> Result<(), sqlx::Error> {
        if self.oldest_binary > SCHEMA_VERSION {
            let outgrown = SchemaError::TooNew { oldest_binary: self.oldest_binary };
            return Err(sqlx::Error::Configuration(outgrown.into()));
        }
        Ok(())
    }
}

/// A job that a pause puts off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutOff {
    /// The job.
    pub job_id: i64,
    /// The attempt it was claimed with; it is not raised, since nothing was tried.
    pub attempt: i32,
    /// Scope and name of the pause, as in [`Moment::paused`].
    pub pause: String,
}

/// `clock()` of the current transaction, what is paused, what waits in a lane, for whom the schema still is, and who is
/// asked, in one statement. What waits is asked for as only its own index has it: in that of what is due next the server
/// would walk through all that is.
///
/// # Errors
/// Any error of the database.
pub async fn moment(db: &mut PgConnection, lane: &str) -> Result<Moment, sqlx::Error> {
    sqlx::query_as!(
        Moment,
        r#"
        select clock() as "now!", pg_backend_pid() as "backend!",
            pg_postmaster_start_time() as "server_started!", (select oldest_binary from schema) as "oldest_binary!",
            exists (select from outbox o where o.last_error like 'paused: %') as "put_off!",
            exists (select from outbox o where case when o.attempt > 0 then o.lane end = $1) as "waiting!",
            array(select p.scope || ' ' || p.name from pause p order by p.scope, p.name) as "paused!"
        "#,
        lane,
    )
    .fetch_one(db)
    .await
}

/// Puts jobs off until their pause is over, or for an hour; then they are looked at again.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a fence did not hold; the
/// transaction must be rolled back.
pub async fn put_off(db: &mut PgConnection, jobs: &[PutOff]) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
    let attempts: Vec<i32> = jobs.iter().map(|job| job.attempt).collect();
    let pauses: Vec<&str> = jobs.iter().map(|job| job.pause.as_str()).collect();
    // The keys are named besides, and not joined as they are: see `overtaken.rs`.
    let updated = sqlx::query!(
        "
        update outbox o
        set run_at = (select clock()) + $4::text::interval, last_error = 'paused: ' || p.pause
        from unnest($1::bigint[], $2::integer[], $3::text[]) as p (job_id, attempt, pause)
        where o.job_id = any ($1) and o.job_id + 0 = p.job_id and o.attempt = p.attempt
        ",
        &ids,
        &attempts,
        &pauses as _,
        PUT_OFF,
    )
    .execute(db)
    .await?;
    if usize::try_from(updated.rows_affected()) != Ok(jobs.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}

/// Which of these jobs stand behind another that a pause has put off: something about the same
/// subject was received earlier and is not part of `batch`. Each job is given with its subject,
/// and told of with the pause that the other waits for.
///
/// Asked under the lock of the subject, as [`crate::overtaken`], and written as that is so that only the index of
/// subjects serves it.
///
/// # Errors
/// Any error of the database.
pub async fn behind_paused(
    db: &mut PgConnection,
    jobs: &[(i64, SubjectKey)],
    batch: &[i64],
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let about = Columns::of(jobs);
    let rows = sqlx::query!(
        r#"
        select a.job_id as "job_id!", substr(f.last_error, 9) as "pause!"
        from unnest($1::bigint[], $2::bigint[], $4::text[]) as a (job_id, subject, subject_type)
        cross join lateral (
            select o.last_error from outbox o
            where o.subject = a.subject and coalesce(o.subject_type, a.subject_type) = a.subject_type
                and o.job_id - a.job_id < 0 and o.job_id not in (select unnest($3::bigint[]))
                and o.last_error || '' like 'paused: %' and (o.run_at > (select clock())) is true
            order by o.job_id - a.job_id limit 1
        ) f
        "#,
        &about.ids,
        &about.subjects,
        batch,
        &about.sorts as _,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.job_id, row.pause)).collect())
}

/// Makes due again what was put off by a pause that is over: up to a thousand jobs of one pause,
/// and says how many of which lanes. Whoever put them off may have committed after the resumption, so this is called
/// again and again; where nothing is paused it costs one look into an empty index.
///
/// # Errors
/// Any error of the database.
pub async fn wake(db: &mut PgConnection) -> Result<Vec<(String, u64)>, sqlx::Error> {
    let woken = sqlx::query!(
        r#"
        with recursive seen as (
            (select last_error from outbox where last_error like 'paused: %' order by last_error limit 1)
            union all
            select (select o.last_error from outbox o
                where o.last_error like 'paused: %' and o.last_error > s.last_error order by o.last_error limit 1)
            from seen s where s.last_error is not null
        ), woken as (
            update outbox set run_at = (select clock()), last_error = null
            where job_id = any (array(
                select o.job_id from outbox o
                where o.last_error like 'paused: %' and o.last_error = (
                    select s.last_error from seen s
                    where s.last_error is not null
                        and not exists (select from pause p where 'paused: ' || p.scope || ' ' || p.name = s.last_error)
                    limit 1)
                order by o.job_id
                limit $1
                for update skip locked
            ))
            returning lane
        )
        select lane, count(*) as "jobs!" from woken group by lane order by lane
        "#,
        i64::from(WAKE_MAX),
    )
    .fetch_all(db)
    .await?;
    Ok(woken.into_iter().map(|row| (row.lane, u64::try_from(row.jobs).unwrap_or_default())).collect())
}
