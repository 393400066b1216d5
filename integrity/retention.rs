//! Payloads that were dropped, and those that must not be.

use jobs::KINDS;
use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

/// The kinds whose payload may be as short as what a retention leaves of it.
const MAY_SAY_NO_MORE: [&str; 4] = ["user-register", "deposit-credit", "refund", "verify"];

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![dropped_payloads_were_due(db).await?, other_payloads_are_there(db).await?])
}

async fn dropped_payloads_were_due(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "dropped-payloads-were-due",
        "Where payloads were dropped every job was old and had ended, each still has its row, outcome and key, and nothing is added.",
        r#"
        select format('partition %s: %s jobs from %s to %s on record, all before %s; %s from %s to %s, %s ended, %s keys, '
                || 'newest %s; %s', r.part, r.jobs, r.first_job, r.last_job, r.cutoff, coalesce(j.jobs, 0), j.first_job,
                j.last_job, coalesce(j.ended, 0), coalesce(q.keys, 0), greatest(j.received_to, j.finished_to),
                case when g.part is null then 'open to new jobs' else 'closed' end) as "row!",
            count(*) over () as "total!"
        from retention r
        left join (
            select j.id >> 24 as part, count(*) as jobs, min(j.id) as first_job, max(j.id) as last_job,
                count(o.job_id) as ended, max(j.received_at) as received_to, max(o.finished_at) as finished_to
            from job j
            left join outcome o on o.job_id = j.id
            where (j.id >> 24) in (select part from retention)
            group by j.id >> 24
        ) j on j.part = r.part
        left join (
            select job_id >> 24 as part, count(*) as keys from request
            where (job_id >> 24) in (select part from retention) group by job_id >> 24
        ) q on q.part = r.part
        left join (
            select distinct right(c.relname, 6)::bigint as part
            from pg_inherits i
            join pg_class c on c.oid = i.inhrelid
            join pg_trigger t on t.tgrelid = c.oid and t.tgname = c.relname || '_closed' and t.tgenabled in ('O', 'A')
            where i.inhparent = to_regclass('job') and c.relname ~ '_p[0-9]{6}$'
        ) g on g.part = r.part
        where (r.jobs, r.first_job, r.last_job) is distinct from (j.jobs, j.first_job, j.last_job)
            or j.ended <> j.jobs or q.keys is distinct from j.jobs or g.part is null
            or r.months < 3 or greatest(j.received_to, j.finished_to) >= r.cutoff
        order by r.part
        limit (select 20)
        "#
    )
}

/// Of a job that is not among those on record, that it has more of a payload than a retention leaves.
/// Which kinds there are is a matter of the registry; of a kind that is none of them nothing is known.
async fn other_payloads_are_there(db: &mut PgConnection) -> Result<Check, Error> {
    let more: Vec<&str> = KINDS.iter().map(|kind| kind.name).filter(|kind| !MAY_SAY_NO_MORE.contains(kind)).collect();
    check!(
        db,
        "other-payloads-are-there",
        "Every job that is queued or parked, and every other whose payload is not on record as dropped, has its payload.",
        r#"
        select format('job %s%s', p.id, p.what) as "row!", count(*) over () as "total!"
        from (
            select job_id as id, ': it is queued, and its payload was dropped' as what from outbox
            where (job_id >> 24) in (select part from retention)
            union all
            select job_id, ': it is parked, and its payload was dropped' from parked
            where (job_id >> 24) in (select part from retention)
            union all
            select j.id, format(' (%s): of its payload there is only %s', j.kind, j.payload)
            from job j
            where (j.id >> 24) not in (select part from retention)
                and j.kind = any ($1)
                and j.payload - array['trade_id', 'withdrawal_id'] = '{}'
        ) p
        order by p.id, p.what
        limit (select 20)
        "#,
        &more as _
    )
}
