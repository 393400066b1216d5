use std::time::Duration;

use rand::RngExt;
use sqlx::PgConnection;

/// A job that goes back into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Postponed {
    /// The job.
    pub job_id: i64,
    /// The attempt it was claimed with; the row is changed only if it still stands there.
    pub attempt: i32,
    /// When to try again, from `clock()`.
    pub after: Duration,
    /// What it waits for, or why it did not work.
    pub why: &'static str,
}

/// Puts jobs back, each at its own time, their attempts raised by one.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a fence did not hold; the
/// transaction must be rolled back.
pub async fn postpone(db: &mut PgConnection, jobs: &[Postponed]) -> Result<(), sqlx::Error> {
    if jobs.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = jobs.iter().map(|job| job.job_id).collect();
    let attempts: Vec<i32> = jobs.iter().map(|job| job.attempt).collect();
    let micros: Vec<i64> = jobs.iter().map(|job| i64::try_from(job.after.as_micros()).unwrap_or(i64::MAX)).collect();
    let whys: Vec<&str> = jobs.iter().map(|job| job.why).collect();
    // The keys are named besides, and not joined as they are: see `overtaken.rs`.
    let updated = sqlx::query!(
        "
        update outbox o
        set run_at = (select clock()) + p.micros * interval '1 microsecond', attempt = o.attempt + 1, last_error = p.why
        from unnest($1::bigint[], $2::integer[], $3::bigint[], $4::text[]) as p (job_id, attempt, micros, why)
        where o.job_id = any ($1) and o.job_id + 0 = p.job_id and o.attempt = p.attempt
        ",
        &ids,
        &attempts,
        &micros,
        &whys as _,
    )
    .execute(db)
    .await?;
    if usize::try_from(updated.rows_affected()) != Ok(jobs.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}

/// How long to wait before the next attempt: `base` doubled with every attempt, at most `most`,
/// and of that a random part between half and all, so that those who failed together do not come
/// back together.
pub fn backoff(attempt: u32, base: Duration, most: Duration) -> Duration {
    let full = base.saturating_mul(2_u32.saturating_pow(attempt.min(30))).min(most);
    let half = full.checked_div(2).unwrap_or(full);
    let micros = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
    half.saturating_add(Duration::from_micros(rand::rng().random_range(0..=micros)))
}
