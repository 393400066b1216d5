//! Accounts, the people that own them, and the references that no foreign key guards.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        accounts_fit_their_purpose(db).await?,
        accounts_have_owners(db).await?,
        references_resolve(db).await?,
        people_come_from_registrations(db).await?,
        referrers_form_no_cycle(db).await?,
    ])
}

async fn accounts_fit_their_purpose(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "accounts-fit-their-purpose",
        "Only accounts of the outside and receivables have ids without a floor, and only the house has fee and outside accounts.",
        r#"
        select format('account %s: %s of owner %s, stripe %s', id, purpose, owner, stripe) as "row!",
            count(*) over () as "total!"
        from account
        where purpose not in ('wallet', 'fee', 'world', 'receivable')
            or id = 0 or (id < 0) <> (purpose in ('world', 'receivable'))
            or (owner = 0) <> (purpose in ('fee', 'world')) or (stripe <> 0 and owner <> 0)
        order by id
        limit (select 20)
        "#
    )
}

async fn accounts_have_owners(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "accounts-have-owners",
        "Every account belongs to the house or to a person who exists.",
        r#"
        select format('account %s: there is no person %s', a.id, a.owner) as "row!", count(*) over () as "total!"
        from account a
        where a.owner <> 0 and not exists (select from app_user u where u.id = a.owner)
        order by a.id
        limit (select 20)
        "#
    )
}

async fn references_resolve(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "references-resolve",
        "Every row that a foreign key would guard, were there one, names rows that exist.",
        r#"
        select r.what || ' does not exist' as "row!", count(*) over () as "total!"
        from (
            select format('entry %s/%s: account %s', e.account_id, e.version, e.account_id) as what
            from entry e where not exists (select from account a where a.id = e.account_id)
            union all
            select format('transfer %s/%s: account %s, which pays,', t.job_id, t.leg, t.debit)
            from transfer t where not exists (select from account a where a.id = t.debit)
            union all
            select format('transfer %s/%s: account %s, which receives,', t.job_id, t.leg, t.credit)
            from transfer t where not exists (select from account a where a.id = t.credit)
            union all
            select format('hold %s: account %s', h.id, h.account_id)
            from hold h where not exists (select from account a where a.id = h.account_id)
            union all
            select format('account %s: asset %s', a.id, a.asset)
            from account a where not exists (select from asset s where s.id = a.asset)
            union all
            select format('trade %s: seller %s', t.id, t.seller_id)
            from trade t where not exists (select from app_user u where u.id = t.seller_id)
            union all
            select format('trade %s: buyer %s', t.id, t.buyer_id)
            from trade t where not exists (select from app_user u where u.id = t.buyer_id)
            union all
            select format('trade %s: asset %s', t.id, t.asset)
            from trade t where not exists (select from asset s where s.id = t.asset)
            union all
            select format('deposit %s: person %s', d.payment_id, d.user_id)
            from deposit d where d.user_id is not null and not exists (select from app_user u where u.id = d.user_id)
            union all
            select format('deposit %s: asset %s', d.payment_id, d.asset)
            from deposit d where d.asset is not null and not exists (select from asset s where s.id = d.asset)
            union all
            select format('deposit %s: its first job %s', d.payment_id, d.first_job)
            from deposit d where not exists (select from job j where j.id = d.first_job)
            union all
            select format('deposit %s: its last job %s', d.payment_id, d.last_job)
            from deposit d where not exists (select from job j where j.id = d.last_job)
            union all
            select format('person %s: referrer %s', u.id, u.referrer_id)
            from app_user u
            where u.referrer_id is not null and not exists (select from app_user r where r.id = u.referrer_id)
            union all
            select format('job %s: principal %s, who asked,', j.id, j.submitted_by)
            from job j where not exists (select from principal p where p.id = j.submitted_by)
            union all
            select format('job %s: job %s, which caused it,', j.id, j.caused_by)
            from job j where j.caused_by is not null and not exists (select from job c where c.id = j.caused_by)
        ) r
        order by r.what
        limit (select 20)
        "#
    )
}

async fn people_come_from_registrations(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "people-come-from-registrations",
        "Every person is the work of one settled registration, with the referrer that it named, and each made one.",
        r#"
        select case
                when j.id is null then format('person %s: there is no settled registration %s', u.id, u.id)
                when u.id is null then format('registration %s settled: there is no person %s', j.id, j.id)
                else format('person %s: referrer %s, asked for %s', u.id, coalesce(u.referrer_id::text, 'none'),
                    coalesce(j.referrer, 'none'))
            end as "row!",
            count(*) over () as "total!"
        from app_user u
        full join (
            select j.id, j.payload ->> 'referrer_id' as referrer, (j.id >> 24) in (select part from retention) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind = 'user-register'
        ) j on j.id = u.id
        where u.id is null or j.id is null or (not j.dropped and u.referrer_id::text is distinct from j.referrer)
        order by coalesce(u.id, j.id)
        limit (select 20)
        "#
    )
}

async fn referrers_form_no_cycle(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "referrers-form-no-cycle",
        "Nobody is their own referrer, however many people stand between.",
        r#"
        -- Every cycle has somebody whose referrer has no lower id; hardly anybody else has such a
        -- referrer, so only from those is the chain followed.
        with recursive chain as (
            select id as start, referrer_id as at from app_user where referrer_id >= id
            union
            select c.start, u.referrer_id
            from chain c
            join app_user u on u.id = c.at
            where c.at <> c.start and u.referrer_id is not null
        )
        select format('person %s is a referrer of themselves, with referrer %s', u.id, u.referrer_id) as "row!",
            count(*) over () as "total!"
        from chain c
        join app_user u on u.id = c.start
        where c.at = c.start
        order by u.id
        limit (select 20)
        "#
    )
}
