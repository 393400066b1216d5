//! Jobs, and where each of them is.

use jobs::{KINDS, KindInfo};
use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        jobs_are_in_one_place(db).await?,
        queue_rows_have_jobs(db).await?,
        queue_rows_know_their_subject(db).await?,
        jobs_have_one_request(db).await?,
        requests_agree_with_jobs(db).await?,
        partitions_exist(db).await?,
        guards_are_in_place(db).await?,
    ])
}

async fn jobs_are_in_one_place(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "jobs-are-in-one-place",
        "Every job has exactly one of an outbox row, an outcome and a parked row.",
        r#"
        select format('job %s (%s): %s', j.id, j.kind,
                coalesce(nullif(concat_ws(' and ', case when q.job_id is not null then 'outbox' end,
                    case when o.job_id is not null then 'outcome' end,
                    case when p.job_id is not null then 'parked' end), ''), 'nowhere')) as "row!",
            count(*) over () as "total!"
        from job j
        left join outbox q on q.job_id = j.id
        left join outcome o on o.job_id = j.id
        left join parked p on p.job_id = j.id
        where (q.job_id is not null)::integer + (o.job_id is not null)::integer + (p.job_id is not null)::integer <> 1
        order by j.id
        limit (select 20)
        "#
    )
}

async fn queue_rows_have_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "queue-rows-have-jobs",
        "Every outbox row, outcome, parked row and request names a job that exists.",
        r#"
        select format('%s: there is no job %s', r.what, r.job_id) as "row!", count(*) over () as "total!"
        from (
            select 'outbox' as what, q.job_id from outbox q where not exists (select from job j where j.id = q.job_id)
            union all
            select 'outcome', o.job_id from outcome o where not exists (select from job j where j.id = o.job_id)
            union all
            select 'parked', p.job_id from parked p where not exists (select from job j where j.id = p.job_id)
            union all
            select format('request %s of %s', r.kind, r.submitter), r.job_id
            from request r where not exists (select from job j where j.id = r.job_id)
        ) r
        order by r.job_id, r.what
        limit (select 20)
        "#
    )
}

/// What a kind is about is a matter of the registry, and which of them a payload names is its own. Of a kind that a newer
/// release has brought nothing is known, and a row of an older one does not say of which sort its subject is.
async fn queue_rows_know_their_subject(db: &mut PgConnection) -> Result<Check, Error> {
    let kinds: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
    let sorts: Vec<&str> = KINDS.iter().map(|kind| kind.about.sort.as_str()).collect();
    let named = |kind: &KindInfo| if kind.about.is_named { kind.about.sort.field() } else { None };
    let fields: Vec<Option<&str>> = KINDS.iter().map(named).collect();
    check!(
        db,
        "queue-rows-know-their-subject",
        "Every outbox row and parked row says what its job is about, as its kind and payload say it.",
        r#"
        select format('%s: job %s (%s) is about %s %s, not %s %s', q.what, j.id, j.kind, k.sort, n.number, q.subject_type,
                q.subject) as "row!",
            count(*) over () as "total!"
        from (
            select 'outbox' as what, job_id, subject, subject_type from outbox
            union all
            select 'parked', job_id, subject, subject_type from parked
        ) q
        join job j on j.id = q.job_id
        join unnest($1::text[], $2::text[], $3::text[]) as k (kind, sort, field) on k.kind = j.kind
        cross join lateral (
            select case when k.field is null then j.id::text else j.payload ->> k.field end as number
        ) n
        where q.subject_type <> k.sort
            or (q.subject::text <> n.number and (q.subject_type is not null or k.sort <> 'payment'))
        order by j.id
        limit (select 20)
        "#,
        &kinds as _,
        &sorts as _,
        &fields as _
    )
}

async fn jobs_have_one_request(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "jobs-have-one-request",
        "Every job is named by exactly one request.",
        r#"
        select format('job %s (%s): %s requests', j.id, j.kind, coalesce(r.requests, 0)) as "row!",
            count(*) over () as "total!"
        from job j
        left join (select job_id, count(*) as requests from request group by job_id) r on r.job_id = j.id
        where coalesce(r.requests, 0) <> 1
        order by j.id
        limit (select 20)
        "#
    )
}

async fn requests_agree_with_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "requests-agree-with-jobs",
        "Every request names a job of its own kind and submitter.",
        r#"
        select format('request of job %s: %s by %s, the job: %s by %s', j.id, r.kind, r.submitter, j.kind, j.submitted_by)
                as "row!",
            count(*) over () as "total!"
        from request r
        join job j on j.id = r.job_id
        where r.kind <> j.kind or r.submitter <> j.submitted_by
        order by j.id
        limit (select 20)
        "#
    )
}

async fn partitions_exist(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "partitions-exist",
        "The partitions for the newest job and for those that come after it are there.",
        r#"
        select format('%s is missing; the newest job has id %s', w.child, n.id) as "row!", count(*) over () as "total!"
        from (
            -- Sequences are read outside the snapshot, so this may only be too careful.
            select greatest(coalesce((select max(id) from job), 0), coalesce((
                select last_value from pg_sequences where schemaname = current_schema() and sequencename = 'job_id'
            ), 0)) as id
        ) n
        cross join (values ('job'), ('outcome')) as parent (name)
        cross join generate_series(0, 1) as ahead (parts)
        cross join lateral (
            select format('%s_p%s', parent.name, lpad((n.id / 16777216 + ahead.parts)::text, 6, '0')) as child
        ) w
        where not exists (
            select from pg_inherits i
            where i.inhparent = to_regclass(parent.name) and i.inhrelid = to_regclass(w.child)
        )
        order by w.child
        limit (select 20)
        "#
    )
}

async fn guards_are_in_place(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "guards-are-in-place",
        "No trigger is switched off, every constraint was validated, and every partition is append-only.",
        r#"
        select g.what as "row!", count(*) over () as "total!"
        from (
            select format('trigger %s on %s is switched off', t.tgname, c.relname) as what
            from pg_trigger t
            join pg_class c on c.oid = t.tgrelid
            where c.relnamespace = current_schema()::regnamespace and t.tgenabled not in ('O', 'A')
            union all
            select format('constraint %s on %s was not validated', n.conname, c.relname)
            from pg_constraint n
            join pg_class c on c.oid = n.conrelid
            where c.relnamespace = current_schema()::regnamespace and not n.convalidated
            union all
            select format('partition %s has no trigger that makes it append-only', c.relname)
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            where i.inhparent in (to_regclass('job'), to_regclass('outcome'))
                and not exists (
                    select from pg_trigger t where t.tgrelid = c.oid and t.tgfoid = to_regproc('refuse_change')
                )
        ) g
        order by g.what
        limit (select 20)
        "#
    )
}
