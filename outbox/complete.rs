use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::append::{COPY_MIN, Column, JsonText, copy_in};

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The job.
    pub job_id: i64,
    /// The attempt it was claimed with; it leaves the outbox only if its row still stands there.
    pub attempt: i32,
    /// `settled`, `rejected` or `cancelled`.
    pub status: &'static str,
    /// Stable code of the refusal; `None` when settled.
    pub reason: Option<&'static str>,
    /// JSON text for the submitter, where there is something to say.
    pub result: Option<String>,
    /// How many attempts it took.
    pub attempts: i32,
}

/// Records the outcomes and takes the jobs out of the outbox, within the transaction that made
/// their effects. Those that were `caused` meanwhile were never in it (see [`crate::record_settled`]). `now` is the
/// transaction's `clock()`.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a job was not in the outbox any
/// more, or not with its attempt; the transaction must be rolled back.
pub async fn complete(
    db: &mut PgConnection,
    ended: &[Ended],
    caused: &[Ended],
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let queued: Vec<i64> = ended.iter().map(|end| end.job_id).collect();
    let fences: Vec<i32> = ended.iter().map(|end| end.attempt).collect();
    let ended: Vec<&Ended> = ended.iter().chain(caused).collect();
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ended.iter().map(|end| end.job_id).collect();
    let statuses: Vec<&str> = ended.iter().map(|end| end.status).collect();
    let reasons: Vec<Option<&str>> = ended.iter().map(|end| end.reason).collect();
    let results: Vec<Option<JsonText<'_>>> = ended.iter().map(|end| end.result.as_deref().map(JsonText)).collect();
    let attempts: Vec<i32> = ended.iter().map(|end| end.attempts).collect();
    if ended.len() >= COPY_MIN {
        let finished: Vec<DateTime<Utc>> = vec![now; ended.len()];
        let statement =
            "copy outcome (job_id, status, reason, result, attempts, finished_at) from stdin (format binary)";
        let columns: [&(dyn Column + Sync); 6] = [&ids, &statuses, &reasons, &results, &attempts, &finished];
        let recorded = copy_in(&mut *db, statement, ended.len(), &columns).await?;
        // The keys are named besides, and not joined as they are: see `overtaken.rs`.
        let taken = sqlx::query!(
            "
            delete from outbox o using unnest($1::bigint[], $2::integer[]) as f (job_id, attempt)
            where o.job_id = any ($1) and o.job_id + 0 = f.job_id and o.attempt = f.attempt
            ",
            &queued,
            &fences,
        )
        .execute(db)
        .await?;
        return all((ended.len(), queued.len()), (recorded.into(), taken.rows_affected().into()));
    }
    let done = sqlx::query!(
        r#"
        with recorded as (
            insert into outcome (job_id, status, reason, result, attempts, finished_at)
            select e.*, $7 from unnest($1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::integer[]) as e
            returning 1
        ), taken as (
            delete from outbox o using unnest($6::bigint[], $8::integer[]) as f (job_id, attempt)
            where o.job_id = any ($6) and o.job_id + 0 = f.job_id and o.attempt = f.attempt
            returning 1
        )
        select (select count(*) from recorded) as "recorded!", (select count(*) from taken) as "taken!"
        "#,
        &ids,
        &statuses as _,
        &reasons as _,
        &results as _,
        &attempts,
        &queued,
        now,
        &fences,
    )
    .fetch_one(db)
    .await?;
    all((ended.len(), queued.len()), (done.recorded.into(), done.taken.into()))
}

/// Anything else than all of them, recorded and then taken, means that the claim did not hold.
fn all((ended, queued): (usize, usize), (recorded, taken): (i128, i128)) -> Result<(), sqlx::Error> {
    let count = |jobs| i128::try_from(jobs).unwrap_or(i128::MAX);
    if recorded == count(ended) && taken == count(queued) { Ok(()) } else { Err(sqlx::Error::RowNotFound) }
}
