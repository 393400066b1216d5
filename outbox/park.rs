use sqlx::PgConnection;

/// A job that needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parked {
    /// The job.
    pub job_id: i64,
    /// The attempt it was claimed with.
    pub attempt: i32,
    /// Stable code.
    pub reason: &'static str,
    /// What was seen.
    pub detail: String,
}

/// Moves jobs from the outbox to the parked ones. Their attempts go with them, since the fence
/// never restarts.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a fence did not hold; the
/// transaction must be rolled back.
pub async fn park(db: &mut PgConnection, jobs: &[Parked]) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
    let attempts: Vec<i32> = jobs.iter().map(|job| job.attempt).collect();
    let reasons: Vec<&str> = jobs.iter().map(|job| job.reason).collect();
    // A panic's message may contain what text columns refuse.
    let details: Vec<String> = jobs.iter().map(|job| job.detail.replace('\0', "\u{fffd}")).collect();
    // The keys are named besides, and not joined as they are: see `overtaken.rs`.
    let moved = sqlx::query!(
        "
        with gone as (
            delete from outbox o using unnest($1::bigint[], $2::integer[], $3::text[], $4::text[])
                as p (job_id, attempt, reason, detail)
            where o.job_id = any ($1) and o.job_id + 0 = p.job_id and o.attempt = p.attempt
            returning o.job_id, o.lane, o.slot, o.subject, o.subject_type, o.attempt, p.reason, p.detail
        )
        insert into parked (job_id, lane, slot, subject, subject_type, attempt, reason, detail, parked_at)
        select job_id, lane, slot, subject, subject_type, attempt, reason, detail, (select clock()) from gone
        ",
        &ids,
        &attempts,
        &reasons as _,
        &details,
    )
    .execute(db)
    .await?;
    if usize::try_from(moved.rows_affected()) != Ok(jobs.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}
