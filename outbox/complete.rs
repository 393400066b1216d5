use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::append;
use crate::append::JsonText;

/// What came of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// The job.
    pub job_id: i64,
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
/// their effects. `now` is its `clock()`.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a job was not in the outbox any
/// more; the transaction must be rolled back.
pub async fn complete(db: &mut PgConnection, ended: &[Ended], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ended.iter().map(|end| end.job_id).collect();
    let statuses: Vec<&str> = ended.iter().map(|end| end.status).collect();
    let reasons: Vec<Option<&str>> = ended.iter().map(|end| end.reason).collect();
    let results: Vec<Option<JsonText<'_>>> = ended.iter().map(|end| end.result.as_deref().map(JsonText)).collect();
    let attempts: Vec<i32> = ended.iter().map(|end| end.attempts).collect();
    let finished: Vec<DateTime<Utc>> = vec![now; ended.len()];
    let inserted = append!(
        &mut *db,
        ids.len(),
        "outcome" ("job_id, status, reason, result, attempts, finished_at")
            from ("$1::bigint[], $2::text[], $3::text[], $4::jsonb[], $5::integer[], $6::timestamptz[]"):
        &ids,
        &statuses,
        &reasons,
        &results,
        &attempts,
        &finished,
    )
    .await?;
    let deleted = sqlx::query!("delete from outbox where job_id = any ($1)", &ids).execute(db).await?;
    // The rows are locked by us; anything else means that the claim did not hold.
    if usize::try_from(inserted) != Ok(ended.len()) || usize::try_from(deleted.rows_affected()) != Ok(ended.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}
