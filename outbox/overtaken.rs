//! What else is queued about the same subject. The statements subtract where jobs before another are meant,
//! so that no index with the jobs' numbers serves them: in one of them the server would walk through all
//! that is queued, if it takes the queue to be as empty as it was when it was vacuumed last. And each is
//! limited to one, which the server cannot turn into a join with all that waits. For the same reason whoever changes
//! certain jobs names their keys by `any`, which the key of the outbox serves, and joins them by `job_id + 0`, which no
//! index does.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Which of these jobs have overtaken another: something about the same subject was received
/// earlier, is still queued, and is not part of `batch`. Each job is given with its subject. What
/// was scheduled for later, a timer, has not been overtaken: its time has not come. What a pause has
/// put off has.
///
/// Asked under the lock of the subject, so that what is queued now cannot have been settled
/// behind the asker's back.
///
/// # Errors
/// Any error of the database.
pub async fn overtaken(db: &mut PgConnection, jobs: &[(i64, i64)], batch: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, subjects): (Vec<i64>, Vec<i64>) = jobs.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"
        select a.job_id as "job_id!" from unnest($1::bigint[], $2::bigint[]) as a (job_id, subject)
        cross join lateral (
            select from outbox o
            where o.subject = a.subject and o.job_id - a.job_id < 0 and o.job_id not in (select unnest($3::bigint[]))
                and (o.attempt > 0 or o.run_at <= (select clock()) or o.last_error is not null)
            limit 1
        ) earlier
        "#,
        &ids,
        &subjects,
        batch,
    )
    .fetch_all(db)
    .await
}

/// Which of these jobs stand behind another that was tried and put back: something about the same subject was
/// received earlier, is of one of these kinds and is not part of `batch`. Each job is given with its subject, of
/// which a client may have named any: so the kinds are those that have subjects of one sort. What a pause has put
/// off is the pause's: see [`crate::behind_paused`].
///
/// Asked under the lock of the subject, as [`overtaken`].
///
/// # Errors
/// Any error of the database.
pub async fn behind_waiting(
    db: &mut PgConnection,
    jobs: &[(i64, i64)],
    kinds: &[&str],
    batch: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let (ids, subjects): (Vec<i64>, Vec<i64>) = jobs.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"
        select a.job_id as "job_id!" from unnest($1::bigint[], $2::bigint[]) as a (job_id, subject)
        cross join lateral (
            select from outbox o
            where o.subject = a.subject and o.attempt > 0 and o.job_id - a.job_id < 0 and o.job_id not in (select unnest($3::bigint[]))
                and coalesce(o.last_error, '') not like 'paused: %'
                and (select j.kind = any ($4) from job j where j.id = o.job_id)
            limit 1
        ) earlier
        "#,
        &ids,
        &subjects,
        batch,
        kinds as _,
    )
    .fetch_all(db)
    .await
}

/// Which of these subjects, each given with a deadline, have a job that was received by it and is
/// queued or parked, other than those of `batch`.
///
/// Asked under the lock of the subject, as [`overtaken`].
///
/// # Errors
/// Any error of the database.
pub async fn received_by(
    db: &mut PgConnection,
    subjects: &[(i64, DateTime<Utc>)],
    batch: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let (ids, deadlines): (Vec<i64>, Vec<DateTime<Utc>>) = subjects.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"
        select a.subject as "subject!" from unnest($1::bigint[], $2::timestamptz[]) as a (subject, deadline)
        left join lateral (
            select true as found from outbox o
            where o.subject = a.subject and o.job_id not in (select unnest($3::bigint[]))
                and (select j.received_at <= a.deadline from job j where j.id = o.job_id)
            limit 1
        ) queued on true
        left join lateral (
            select true as found from parked p
            where p.subject = a.subject and (select j.received_at <= a.deadline from job j where j.id = p.job_id)
            limit 1
        ) parked on true
        where queued.found or parked.found
        "#,
        &ids,
        &deadlines,
        batch,
    )
    .fetch_all(db)
    .await
}
