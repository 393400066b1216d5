use jobs::Desk;
use sqlx::PgConnection;

/// Notes what became of the jobs that would have made what is missing. One that is queued, or that
/// has settled since it was looked for, is awaited; one that was refused never makes anything.
pub(crate) async fn load_fates(db: &mut PgConnection, desk: &mut Desk, ids: &[i64]) -> Result<(), sqlx::Error> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    let fates = sqlx::query!(
        r#"
        select o.job_id as "job_id!", null::text as status from outbox o where o.job_id = any ($1)
        union all
        select e.job_id, e.status from outcome e where e.job_id = any ($1) and e.job_id between $2 and $3
        "#,
        ids,
        first,
        last,
    )
    .fetch_all(db)
    .await?;
    for fate in fates {
        match fate.status.as_deref() {
            None | Some("settled") => desk.awaited.insert(fate.job_id),
            Some(_) => desk.refused.insert(fate.job_id),
        };
    }
    Ok(())
}
