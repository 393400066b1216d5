use sqlx::PgConnection;

/// A parked job that ends without effect.
#[derive(Clone, Debug)]
pub struct Cancelled {
    /// The job.
    pub job_id: i64,
    /// The attempt it was parked with.
    pub attempt: i32,
    /// JSON text for the submitter.
    pub result: String,
}

/// Puts parked jobs back into the queue, due at once. Each is given with the attempt that it was
/// parked with, from which it goes on.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a job was not parked any more;
/// the transaction must be rolled back.
pub async fn unpark(db: &mut PgConnection, jobs: &[(i64, i32)]) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let (ids, attempts): (Vec<i64>, Vec<i32>) = jobs.iter().copied().unzip();
    let moved = sqlx::query!(
        "
        with gone as (
            delete from parked p using unnest($1::bigint[], $2::integer[]) as r (job_id, attempt)
            where p.job_id = r.job_id and p.attempt = r.attempt
            returning p.job_id, p.lane, p.slot, p.subject, p.subject_type, p.attempt, p.reason
        )
        insert into outbox (job_id, lane, slot, subject, subject_type, run_at, attempt, last_error)
        select job_id, lane, slot, subject, subject_type, (select clock()), attempt, 'retried after ' || reason from gone
        ",
        &ids,
        &attempts,
    )
    .execute(db)
    .await?;
    if usize::try_from(moved.rows_affected()) != Ok(jobs.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}

/// Ends parked jobs without effect.
///
/// # Errors
/// As [`unpark`].
pub async fn cancel_parked(db: &mut PgConnection, jobs: &[Cancelled]) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
    let attempts: Vec<i32> = jobs.iter().map(|job| job.attempt).collect();
    let results: Vec<&str> = jobs.iter().map(|job| job.result.as_str()).collect();
    let ended = sqlx::query!(
        "
        with gone as (
            delete from parked p using unnest($1::bigint[], $2::integer[], $3::text[]) as c (job_id, attempt, result)
            where p.job_id = c.job_id and p.attempt = c.attempt
            returning p.job_id, p.attempt, c.result
        )
        insert into outcome (job_id, status, reason, result, attempts, finished_at)
        select job_id, 'cancelled', 'cancelled_by_operator', result::jsonb, attempt + 1, (select clock()) from gone
        ",
        &ids,
        &attempts,
        &results as _,
    )
    .execute(db)
    .await?;
    if usize::try_from(ended.rows_affected()) != Ok(jobs.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}
