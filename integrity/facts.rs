//! Deposits once more, held against the signed callbacks that they rest on.
//!
//! The signatures themselves were verified by the worker that settled; without the secret nobody
//! can do that here. A fact is read from the key under which it was recorded: payment id, status,
//! amount and currency, each as its length, a colon and the text.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        callbacks_have_jobs(db).await?,
        deposit_jobs_have_callbacks(db).await?,
        paid_facts_are_accounted_for(db).await?,
        credits_are_what_was_signed(db).await?,
        credits_are_what_is_written(db).await?,
    ])
}

async fn callbacks_have_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "callbacks-have-jobs",
        "Every callback that states a fact has a deposit-credit asked under that fact.",
        r#"
        select format('callback %s: no deposit-credit is asked under %s', i.id, i.fact_key) as "row!",
            count(*) over () as "total!"
        from ipn_inbox i
        where i.fact_key is not null
            and not exists (select from request r
                where r.submitter = 2 and r.kind = 'deposit-credit' and r.key = i.fact_key)
        order by i.id
        limit (select 20)
        "#
    )
}

async fn deposit_jobs_have_callbacks(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "deposit-jobs-have-callbacks",
        "Every settled deposit-credit was asked by the provider and names a callback that states the fact it was asked under.",
        r#"
        select format('job %s, asked by %s under %s: callback %s states %s', j.id, j.submitted_by, coalesce(r.key, 'nothing'),
                coalesce(i.id::text, 'none'), coalesce(i.fact_key, 'nothing')) as "row!",
            count(*) over () as "total!"
        from job j
        join outcome o on o.job_id = j.id and o.status = 'settled'
        left join request r on r.job_id = j.id
        left join ipn_inbox i on i.id =
            case when j.payload ->> 'inbox_id' ~ '^[0-9]{1,18}$' then (j.payload ->> 'inbox_id')::bigint end
        where j.kind = 'deposit-credit'
            and (j.submitted_by <> 2 or i.fact_key is null or r.key <> i.fact_key)
        order by j.id
        limit (select 20)
        "#
    )
}

async fn paid_facts_are_accounted_for(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "paid-facts-are-accounted-for",
        "Every payment that a settled deposit-credit was told of is a deposit, and if paid it is credited or lies with a person.",
        r#"
        select format('job %s, told that payment %s is %s: deposit %s', f.job_id, f.payment_id, f.status,
                coalesce(d.state, 'none')) as "row!",
            count(*) over () as "total!"
        from (
            select j.id as job_id, split_part(split_part(i.fact_key, ',', 1), ':', 2) as payment_id,
                split_part(split_part(i.fact_key, ',', 2), ':', 2) as status
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            join ipn_inbox i on i.id =
                case when j.payload ->> 'inbox_id' ~ '^[0-9]{1,18}$' then (j.payload ->> 'inbox_id')::bigint end
            where j.kind = 'deposit-credit' and i.fact_key is not null
        ) f
        left join deposit d on d.provider = 'nowpayments' and d.payment_id = f.payment_id
        where d.payment_id is null
            or (f.status in ('finished', 'partially_paid') and d.credited is null
                and d.state not in ('review', 'refunded', 'rejected'))
        order by f.job_id
        limit (select 20)
        "#
    )
}

async fn credits_are_what_was_signed(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "credits-are-what-was-signed",
        "Every credit is the amount and asset of a paid fact of its payment, floored; every clawback follows a refund of it.",
        r#"
        select format('deposit %s, %s by job %s, %s of %s: the callback states %s', c.payment_id, c.did, c.job_id, c.credited,
                s.code, coalesce(i.fact_key, 'nothing')) as "row!",
            count(*) over () as "total!"
        from (
            select credited_by as job_id, 'credited' as did, payment_id, credited, asset
            from deposit where credited_by is not null
            union all
            select clawed_back_by, 'taken back', payment_id, credited, asset
            from deposit where clawed_back_by is not null
        ) c
        join asset s on s.id = c.asset
        join job j on j.id = c.job_id
        join ipn_inbox i on i.id =
            case when j.payload ->> 'inbox_id' ~ '^[0-9]{1,18}$' then (j.payload ->> 'inbox_id')::bigint end
        cross join lateral (
            select split_part(split_part(i.fact_key, ',', 1), ':', 2) as payment_id,
                split_part(split_part(i.fact_key, ',', 2), ':', 2) as status,
                split_part(split_part(i.fact_key, ',', 3), ':', 2) as amount,
                split_part(split_part(i.fact_key, ',', 4), ':', 2) as currency
        ) f
        where f.payment_id is distinct from c.payment_id
            or case c.did
                when 'credited' then f.status not in ('finished', 'partially_paid') or f.currency <> s.code
                    or c.credited is distinct from case when f.amount ~ '^[0-9]+([.][0-9]+)?$' and length(f.amount) < 80
                        then floor(f.amount::numeric * 10::numeric ^ s.scale) end
                else f.status <> 'refunded'
            end
        order by c.payment_id, c.did
        limit (select 20)
        "#
    )
}

async fn credits_are_what_is_written(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "credits-are-what-is-written",
        "Every credit is the floor of the amount that its deposit keeps as the provider wrote it, in that currency.",
        r#"
        select format('deposit %s: credited %s of %s, written %s %s', d.payment_id, d.credited, s.code,
                coalesce(d.outcome_text, 'nothing'), coalesce(d.outcome_currency, '')) as "row!",
            count(*) over () as "total!"
        from deposit d
        join asset s on s.id = d.asset
        where d.credited is not null
            and (d.outcome_currency is distinct from s.code
                or d.credited is distinct from case
                    when d.outcome_text ~ '^[0-9]+([.][0-9]+)?$' and length(d.outcome_text) < 80
                    then floor(d.outcome_text::numeric * 10::numeric ^ s.scale) end)
        order by d.payment_id
        limit (select 20)
        "#
    )
}
