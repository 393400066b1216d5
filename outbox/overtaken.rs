use sqlx::PgConnection;

/// Which of these jobs have overtaken another: something about the same subject was received
/// earlier, is still queued, and is not part of `batch`. Each job is given with its subject.
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
        where exists (select from outbox o
            where o.subject = a.subject and o.job_id < a.job_id and o.job_id <> all ($3))
        "#,
        &ids,
        &subjects,
        batch,
    )
    .fetch_all(db)
    .await
}
