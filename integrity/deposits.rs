//! Deposits: each agrees with the transfers and jobs that credited it and took it back.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        deposits_agree_with_transfers(db).await?,
        deposits_agree_with_jobs(db).await?,
        deposit_states_agree(db).await?,
        world_moved_by_deposits(db).await?,
        receivables_not_positive(db).await?,
        receivables_are_shortfalls(db).await?,
    ])
}

async fn deposits_agree_with_transfers(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "deposits-agree-with-transfers",
        "What a deposit says was credited, taken back and missing is what its jobs moved, in its person's accounts.",
        r#"
        select format('job %s, %s of person %s in asset %s: deposit %s says %s, the transfers %s', job_id, code, owner, asset,
                coalesce(d.payment_id, 'none'), coalesce(d.amount, 0), coalesce(m.amount, 0)) as "row!",
            count(*) over () as "total!"
        from (
            select credited_by as job_id, 'deposit' as code, user_id as owner, asset, credited as amount, payment_id
            from deposit where credited > 0
            union all
            select clawed_back_by, 'clawback', user_id, asset, clawed_back, payment_id
            from deposit where clawed_back > 0
            union all
            select clawed_back_by, 'clawback_shortfall', user_id, asset, shortfall, payment_id
            from deposit where shortfall > 0
        ) d
        full join (
            select t.job_id, t.code, a.owner, a.asset, sum(t.amount) as amount
            from transfer t
            join account a on a.id = case t.code when 'deposit' then t.credit else t.debit end
            where t.code in ('deposit', 'clawback', 'clawback_shortfall')
            group by t.job_id, t.code, a.owner, a.asset
        ) m using (job_id, code, owner, asset)
        where d.amount is distinct from m.amount
        order by job_id, code
        limit (select 20)
        "#
    )
}

async fn deposits_agree_with_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "deposits-agree-with-jobs",
        "A settled deposit-credit credited or took back exactly one deposit if its result says so, and otherwise none.",
        r#"
        select format('job %s: its outcome says %s; deposit %s says %s', coalesce(j.id, d.job_id),
                coalesce(j.did, 'nothing, or is missing'), coalesce(d.payment_id, 'none'), coalesce(d.did, 'nothing'))
                as "row!",
            count(*) over () as "total!"
        from (
            select j.id, case when o.result is null then 'credited'
                when o.result ->> 'deposit' in ('reversed', 'loss') then o.result ->> 'deposit' end as did
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind = 'deposit-credit'
        ) j
        full join (
            select job_id, did, payment_id, count(*) over (partition by job_id) as deposits
            from (
                select credited_by as job_id, 'credited' as did, payment_id from deposit where credited_by is not null
                union all
                select clawed_back_by, case shortfall when 0 then 'reversed' else 'loss' end, payment_id
                from deposit where clawed_back_by is not null
            ) d
        ) d on d.job_id = j.id
        where d.did is distinct from j.did or d.deposits > 1
        order by coalesce(j.id, d.job_id)
        limit (select 20)
        "#
    )
}

async fn deposit_states_agree(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "deposit-states-agree",
        "Every deposit's state agrees with what was credited and taken back, and what is taken back is all that was credited.",
        r#"
        select format('deposit %s, %s: credited %s by %s, taken back %s and %s missing by %s, review %s', payment_id, state,
                coalesce(credited::text, 'nothing'), coalesce(credited_by::text, 'nobody'),
                coalesce(clawed_back::text, 'nothing'), coalesce(shortfall::text, 'nothing'),
                coalesce(clawed_back_by::text, 'nobody'), coalesce(review_reason, 'none')) as "row!",
            count(*) over () as "total!"
        from deposit
        where case state
                when 'credited' then credited is null or clawed_back is not null
                when 'reversed' then clawed_back is distinct from credited or shortfall is distinct from 0
                when 'loss' then shortfall is null or shortfall <= 0 or clawed_back + shortfall is distinct from credited
                when 'review' then review_reason is null or clawed_back is not null
                else credited is not null or clawed_back is not null
            end
            or credited < 0 or clawed_back < 0 or shortfall < 0
            or (credited is null) <> (credited_by is null)
            or (clawed_back is null) <> (clawed_back_by is null) or (clawed_back is null) <> (shortfall is null)
            or (credited is not null and (user_id is null or asset is null))
            or clawed_back_by = credited_by
        order by payment_id
        limit (select 20)
        "#
    )
}

async fn world_moved_by_deposits(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "world-moved-by-deposits",
        "In every asset, the outside has paid in what the deposits credited, less what was taken back of them.",
        r#"
        select format('%s: the outside stands at %s, credited %s, taken back %s, missing %s',
                coalesce(t.code, 'asset ' || asset), coalesce(w.posted, 0), coalesce(d.credited, 0),
                coalesce(d.clawed_back, 0), coalesce(d.shortfall, 0)) as "row!",
            count(*) over () as "total!"
        from (
            select a.asset, sum(n.posted) as posted
            from account a
            cross join lateral (
                select e.posted from entry e where e.account_id = a.id order by e.version desc limit 1
            ) n
            where a.purpose = 'world'
            group by a.asset
        ) w
        full join (
            select asset, sum(credited) as credited, coalesce(sum(clawed_back), 0) as clawed_back,
                coalesce(sum(shortfall), 0) as shortfall
            from deposit where credited is not null group by asset
        ) d using (asset)
        left join asset t on t.id = asset
        where coalesce(w.posted, 0) <> - coalesce(d.credited - d.clawed_back - d.shortfall, 0)
        order by asset
        limit (select 20)
        "#
    )
}

async fn receivables_not_positive(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "receivables-not-positive",
        "Nobody ever repaid more than they owed.",
        r#"
        select format('account %s of person %s, version %s: posted %s', a.id, a.owner, e.version, e.posted) as "row!",
            count(*) over () as "total!"
        from account a
        join entry e on e.account_id = a.id
        where a.purpose = 'receivable' and e.posted > 0
        order by a.id, e.version
        limit (select 20)
        "#
    )
}

async fn receivables_are_shortfalls(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "receivables-are-shortfalls",
        "What people owe is what their deposits' clawbacks lacked, less what later credits repaid.",
        r#"
        select format('person %s in asset %s: owes %s; missing %s, repaid %s', owner, asset, coalesce(- n.posted, 0),
                coalesce(d.shortfall, 0), coalesce(r.repaid, 0)) as "row!",
            count(*) over () as "total!"
        from (
            select a.owner, a.asset, n.posted
            from account a
            cross join lateral (
                select e.posted from entry e where e.account_id = a.id order by e.version desc limit 1
            ) n
            where a.purpose = 'receivable'
        ) n
        full join (
            select user_id as owner, asset, sum(shortfall) as shortfall
            from deposit where shortfall > 0 group by user_id, asset
        ) d using (owner, asset)
        full join (
            select a.owner, a.asset, sum(t.amount) as repaid
            from transfer t
            join account a on a.id = t.credit
            where t.code = 'receivable_repay' and a.purpose = 'receivable'
            group by a.owner, a.asset
        ) r using (owner, asset)
        where coalesce(- n.posted, 0) <> coalesce(d.shortfall, 0) - coalesce(r.repaid, 0)
        order by owner, asset
        limit (select 20)
        "#
    )
}
