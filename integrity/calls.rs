//! What was called, and how it ended.

use jobs::CALLS;
use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![calls_agree_with_jobs(db).await?])
}

/// The job's rows are looked up for each call: calls are few against jobs. What is recorded of a call is committed with
/// what comes of it, so the two have one time.
async fn calls_agree_with_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    let kinds: Vec<&str> = CALLS.iter().map(|kind| kind.info.name).collect();
    let endpoints: Vec<&str> = CALLS.iter().map(|kind| kind.endpoint.name).collect();
    let reading: Vec<bool> = CALLS.iter().map(|kind| kind.endpoint.only_reads).collect();
    check!(
        db,
        "calls-agree-with-jobs",
        "Every call was planned under an attempt of a job that calls that endpoint, and recorded with what came of it.",
        r#"
        select format('call %s of job %s (%s): %s', f.attempt, f.job_id, coalesce(f.kind, 'no job'), f.what) as "row!",
            count(*) over () as "total!"
        from (
            select c.*, case
                    when c.planned_at is null then 'it ended, and was never planned'
                    when c.kind is null then 'there is no such job'
                    when c.endpoint <> k.endpoint then format('it called %s instead of %s', c.endpoint, k.endpoint)
                    when c.only_reads <> k.only_reads then 'what it does there is recorded otherwise than its endpoint says'
                    when c.attempt > coalesce(c.ended, c.parked, c.queued, 0) then 'there was no such attempt'
                    when c.planned_at < c.received_at - interval '1 minute' then 'planned before the job was recorded'
                    when c.recorded_at < c.planned_at - interval '1 minute' then 'recorded before it was planned'
                    when c.attempt = c.ended and c.recorded_at <> c.finished_at then 'not recorded with its outcome'
                    when c.attempt = c.parked and c.recorded_at <> c.parked_at then 'not recorded when it was parked'
                    when c.status = 'cancelled' and not c.only_reads and c.reply is distinct from 'refused'
                        then 'cancelled, and it may have happened'
                    when c.kind = 'verify' and c.attempt = c.ended and c.status = 'settled'
                        and c.reply is distinct from 'answered' then 'settled, and never answered'
                end as what
            from (
                select job_id, attempt, p.endpoint, p.only_reads, p.planned_at, e.reply, e.recorded_at,
                    (select j.kind from job j where j.id = job_id_of) as kind,
                    (select j.received_at from job j where j.id = job_id_of) as received_at,
                    (select o.attempts from outcome o where o.job_id = job_id_of) as ended,
                    (select o.status from outcome o where o.job_id = job_id_of) as status,
                    (select o.finished_at from outcome o where o.job_id = job_id_of) as finished_at,
                    (select r.attempt from parked r where r.job_id = job_id_of) as parked,
                    (select r.parked_at from parked r where r.job_id = job_id_of) as parked_at,
                    (select q.attempt from outbox q where q.job_id = job_id_of) as queued
                from call p full join call_end e using (job_id, attempt)
                cross join lateral (select job_id as job_id_of) this
            ) c
            left join unnest($1::text[], $2::text[], $3::boolean[]) as k (kind, endpoint, only_reads) on k.kind = c.kind
        ) f
        where f.what is not null
        order by f.job_id, f.attempt
        limit (select 20)
        "#,
        &kinds as _,
        &endpoints as _,
        &reading
    )
}
