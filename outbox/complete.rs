use sqlx::PgConnection;

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
/// their effects.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if a job was not in the outbox any
/// more; the transaction must be rolled back.
pub async fn complete(db: &mut PgConnection, ended: &[Ended]) -> Result<(), sqlx::Error> {
    if ended.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = ended.iter().map(|end| end.job_id).collect();
    let statuses: Vec<&str> = ended.iter().map(|end| end.status).collect();
    let reasons: Vec<Option<&str>> = ended.iter().map(|end| end.reason).collect();
    let results: Vec<Option<&str>> = ended.iter().map(|end| end.result.as_deref()).collect();
    let attempts: Vec<i32> = ended.iter().map(|end| end.attempts).collect();
    let inserted = sqlx::query!(
        "
        insert into outcome (job_id, status, reason, result, attempts, finished_at)
        select job_id, status, reason, result::jsonb, attempts, (select clock())
        from unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::integer[])
            as e (job_id, status, reason, result, attempts)
        ",
        &ids,
        &statuses as _,
        &reasons as _,
        &results as _,
        &attempts,
    )
    .execute(&mut *db)
    .await?;
    let deleted = sqlx::query!("delete from outbox where job_id = any ($1)", &ids).execute(db).await?;
    // The rows are locked by us; anything else means that the claim did not hold.
    if usize::try_from(inserted.rows_affected()) != Ok(ended.len())
        || usize::try_from(deleted.rows_affected()) != Ok(ended.len())
    {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}
