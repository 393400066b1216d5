//! What else is queued about the same subject. The statements subtract where jobs before another are meant,
//! so that no index with the jobs' numbers serves them: in one of them the server would walk through all
//! that is queued, if it takes the queue to be as empty as it was when it was vacuumed last. And each is
//! limited to one, which the server cannot turn into a join with all that waits. For the same reason whoever changes
//! certain jobs names their keys by `any`, which the key of the outbox serves, and joins them by `job_id + 0`, which no
//! index does.

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ask::SubjectKey;

/// Jobs and what they are about, column by column.
pub(crate) struct Columns {
    pub(crate) ids: Vec<i64>,
    pub(crate) sorts: Vec<&'static str>,
    pub(crate) subjects: Vec<i64>,
}

impl Columns {
    pub(crate) fn of(jobs: &[(i64, SubjectKey)]) -> Self {
        Self {
            ids: jobs.iter().map(|(id, _)| *id).collect(),
            sorts: jobs.iter().map(|(_, about)| about.subject_type).collect(),
            subjects: jobs.iter().map(|(_, about)| about.subject).collect(),
        }
    }
}

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
pub async fn overtaken(
    db: &mut PgConnection,
    jobs: &[(i64, SubjectKey)],
    batch: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let about = Columns::of(jobs);
    sqlx::query_scalar!(
        r#"
        select a.job_id as "job_id!"
        from unnest($1::bigint[], $2::bigint[], $4::text[]) as a (job_id, subject, subject_type)
        cross join lateral (
            select from outbox o
            where o.subject = a.subject and coalesce(o.subject_type, a.subject_type) = a.subject_type
                and o.job_id - a.job_id < 0 and o.job_id not in (select unnest($3::bigint[]))
                and (o.attempt > 0 or o.run_at <= (select clock()) or o.last_error is not null)
            limit 1
        ) earlier
        "#,
        &about.ids,
        &about.subjects,
        batch,
        &about.sorts as _,
    )
    .fetch_all(db)
    .await
}

/// Which of these jobs stand behind another that was tried and put back: something about the same subject was
/// received earlier, is of one of these kinds and is not part of `batch`. Each job is given with its subject. What a
/// pause has put off is the pause's: see [`crate::behind_paused`].
///
/// Asked under the lock of the subject, as [`overtaken`].
///
/// # Errors
/// Any error of the database.
pub async fn behind_waiting(
    db: &mut PgConnection,
    jobs: &[(i64, SubjectKey)],
    kinds: &[&str],
    batch: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let about = Columns::of(jobs);
    sqlx::query_scalar!(
        r#"
        select a.job_id as "job_id!"
        from unnest($1::bigint[], $2::bigint[], $5::text[]) as a (job_id, subject, subject_type)
        cross join lateral (
            select from outbox o
            where o.subject = a.subject and coalesce(o.subject_type, a.subject_type) = a.subject_type
                and o.attempt > 0 and o.job_id - a.job_id < 0 and o.job_id not in (select unnest($3::bigint[]))
                and coalesce(o.last_error, '') not like 'paused: %'
                and (select j.kind = any ($4) from job j where j.id = o.job_id)
            limit 1
        ) earlier
        "#,
        &about.ids,
        &about.subjects,
        batch,
        kinds as _,
        &about.sorts as _,
    )
    .fetch_all(db)
    .await
}

/// Which of these subjects, all of one sort and each given with a deadline, have a job that was received by it and is
/// queued or parked, other than those of `batch`.
///
/// Asked under the lock of the subject, as [`overtaken`].
///
/// # Errors
/// Any error of the database.
pub async fn received_by(
    db: &mut PgConnection,
    subject_type: &str,
    subjects: &[(i64, DateTime<Utc>)],
    batch: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    let (ids, deadlines): (Vec<i64>, Vec<DateTime<Utc>>) = subjects.iter().copied().unzip();
    sqlx::query_scalar!(
        r#"
        select a.subject as "subject!" from unnest($1::bigint[], $2::timestamptz[]) as a (subject, deadline)
        left join lateral (
            select true as found from outbox o
            where o.subject = a.subject and coalesce(o.subject_type, $4) = $4
                and o.job_id not in (select unnest($3::bigint[]))
                and (select j.received_at <= a.deadline from job j where j.id = o.job_id)
            limit 1
        ) queued on true
        left join lateral (
            select true as found from parked p
            where p.subject = a.subject and coalesce(p.subject_type, $4) = $4
                and (select j.received_at <= a.deadline from job j where j.id = p.job_id)
            limit 1
        ) parked on true
        where queued.found or parked.found
        "#,
        &ids,
        &deadlines,
        batch,
        subject_type,
    )
    .fetch_all(db)
    .await
}
