use jobs::Desk;
use sqlx::PgConnection;

/// Notes what became of the jobs that would have made what is missing, each given with the kind
/// that makes it. One that is queued, or that has settled since it was looked for, is awaited; one
/// that was refused never makes anything; a job of another kind is neither.
pub(crate) async fn load_fates(
    db: &mut PgConnection,
    desk: &mut Desk,
    makers: &[(i64, &'static str)],
) -> Result<(), sqlx::Error> {
    let (ids, kinds): (Vec<i64>, Vec<&str>) = makers.iter().copied().unzip();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids. What is queued is asked for one by
    // one, so that nothing walks through all of it.
    let fates = sqlx::query!(
        r#"
        select j.id, o.job_id is not null as "queued!", e.status as "status?"
        from unnest($1::bigint[], $2::text[]) as m (id, kind)
        join job j on j.id = m.id and j.kind = m.kind and j.id between $3 and $4
        left join lateral (select q.job_id from outbox q where q.job_id = m.id limit 1) o on true
        left join outcome e on e.job_id = m.id and e.job_id between $3 and $4
        "#,
        &ids,
        &kinds as _,
        first,
        last,
    )
    .fetch_all(db)
    .await?;
    for fate in fates {
        match fate.status.as_deref() {
            None if !fate.queued => continue,
            None | Some("settled") => desk.awaited.insert(fate.id),
            Some(_) => desk.refused.insert(fate.id),
        };
    }
    Ok(())
}
