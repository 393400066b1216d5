//! What operators did, and whether they might.

use jobs::KINDS;
use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        pauses_follow_their_history(db).await?,
        operators_records_have_jobs(db).await?,
        cancellations_are_decided(db).await?,
    ])
}

async fn pauses_follow_their_history(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "pauses-follow-their-history",
        "What is paused now is what the newest change of it says.",
        r#"
        select format('%s %s: %s, while the newest change says %s', coalesce(p.scope, c.scope), coalesce(p.name, c.name),
                case when p.scope is null then 'not paused' else format('paused by job %s', p.job_id) end,
                case when c.scope is null then 'nothing'
                    else format('%s by job %s', case when c.paused then 'paused' else 'resumed' end, c.job_id) end)
                as "row!",
            count(*) over () as "total!"
        from pause p
        full join (
            select distinct on (scope, name) * from pause_change order by scope, name, number desc
        ) c on c.scope = p.scope and c.name = p.name
        where (p.scope is not null) <> coalesce(c.paused, false)
            or (p.job_id, p.principal_id, p.reason, p.since) is distinct from (c.job_id, c.principal_id, c.reason, c.at)
                and p.scope is not null
        order by 1
        limit (select 20)
        "#
    )
}

async fn operators_records_have_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "operators-records-have-jobs",
        "Every change of a pause, decision and verification is what a settled job asked for, and the other way round.",
        r#"
        with record as (
            select 'pause' as kind, job_id, principal_id,
                jsonb_build_object('scope', scope, 'name', name, 'paused', paused, 'reason', reason) as payload
            from pause_change
            union all
            select 'parked-decision', decision_job, principal_id,
                jsonb_build_object('job_id', job_id::text, 'decision', decision, 'reason', reason)
            from parked_decision
            union all
            select 'verify', job_id, null, '{}' from verification
        ), asked as (
            select j.kind, j.id, j.submitted_by, j.payload, (j.id >> 24) in (select part from retention) as dropped
            from job j join outcome o on o.job_id = j.id
            where j.kind in ('pause', 'parked-decision', 'verify') and o.status = 'settled'
                and o.result -> 'changed' is distinct from 'false'
        )
        select format('%s job %s: %s', coalesce(r.kind, a.kind), coalesce(r.job_id, a.id),
                case when a.id is null then 'a record without a settled job'
                    when r.job_id is null then 'settled without a record'
                    else 'the record is not what was asked' end) as "row!",
            count(*) over () as "total!"
        from record r
        full join asked a on a.id = r.job_id and a.kind = r.kind
        where a.id is null or r.job_id is null or (not a.dropped and r.payload <> a.payload)
            or coalesce(r.principal_id, a.submitted_by) <> a.submitted_by
        order by coalesce(r.job_id, a.id)
        limit (select 20)
        "#
    )
}

/// Which kinds take two people is a matter of the registry, so it is not read from the rows. A
/// transaction that waited for the first decision may have begun before it.
async fn cancellations_are_decided(db: &mut PgConnection) -> Result<Check, Error> {
    let by_one: Vec<&str> = KINDS.iter().filter(|kind| !kind.moves_money).map(|kind| kind.name).collect();
    check!(
        db,
        "cancellations-are-decided",
        "Every cancelled job was decided on; by two people within a day, unless its kind moves no money.",
        r#"
        select format('job %s (%s): %s', coalesce(o.job_id, d.job_id), coalesce(j.kind, 'no job'),
                case when o.job_id is null then 'decided, and not cancelled'
                    when d.job_id is null then 'cancelled, and nobody decided so'
                    else 'cancelled without a second person' end) as "row!",
            count(*) over () as "total!"
        from (select job_id from outcome where status = 'cancelled') o
        full join (select * from parked_decision where decision = 'cancel' and carried_out) d on d.job_id = o.job_id
        left join job j on j.id = coalesce(o.job_id, d.job_id)
        left join parked_decision f on f.decision_job = d.first_decision
        where o.job_id is null or d.job_id is null
            or (coalesce(j.kind, '') <> all ($1) and not coalesce(
                f.job_id = d.job_id and f.parked_at = d.parked_at and f.principal_id <> d.principal_id
                and f.decision = 'cancel' and not f.carried_out and d.at - f.at between '-1 minute' and '24 hours', false))
        order by 1
        limit (select 20)
        "#,
        &by_one as _
    )
}
