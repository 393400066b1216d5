//! Withdrawals, their approvals and limits, and what operators set on people.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        withdrawals_come_from_requests(db).await?,
        withdrawals_agree_with_holds(db).await?,
        withdrawals_agree_with_decisions(db).await?,
        approvals_are_independent(db).await?,
        days_are_what_was_asked(db).await?,
        people_agree_with_flags(db).await?,
    ])
}

async fn withdrawals_come_from_requests(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "withdrawals-come-from-requests",
        "Every withdrawal is the work of one settled withdrawal-request, exactly as it was asked for, and each made one.",
        r#"
        select format('withdrawal %s: %s of %s for %s to %s, asked by %s; the request: %s of %s for %s to %s, asked by %s',
                coalesce(w.id, r.id), w.amount, s.code, w.user_id, w.address, w.requested_by,
                r.amount, r.asset, r.user_id, r.address, r.submitted_by) as "row!",
            count(*) over () as "total!"
        from withdrawal w
        join asset s on s.id = w.asset
        full join (
            select j.id, j.submitted_by, j.payload ->> 'user_id' as user_id, j.payload ->> 'asset' as asset,
                j.payload ->> 'amount' as amount, j.payload ->> 'address' as address, j.payload ->> 'memo' as memo,
                (j.id >> 24) in (select part from retention) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind = 'withdrawal-request'
        ) r on r.id = w.id
        where w.id is null or r.id is null or w.hold_id <> w.id or w.requested_by <> r.submitted_by
            or (not r.dropped and (w.user_id::text is distinct from r.user_id or s.code is distinct from r.asset
                or w.address is distinct from r.address or w.memo is distinct from r.memo
                or w.amount is distinct from
                    case when r.amount ~ '^[0-9]+([.][0-9]+)?$' and length(r.amount) < 80
                        then r.amount::numeric * 10::numeric ^ s.scale end))
        order by coalesce(w.id, r.id)
        limit (select 20)
        "#
    )
}

async fn withdrawals_agree_with_holds(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "withdrawals-agree-with-holds",
        "Every withdrawal has a hold of its amount and fee in the person's wallet, open until the money goes back.",
        r#"
        select format('withdrawal %s, %s, of %s and %s: hold %s', w.id, w.state, w.amount, w.fee,
                coalesce(format('%s of %s on account %s, for %s, %s', h.id, h.amount, h.account_id, h.subject,
                    coalesce('closed by ' || h.closed_by, 'open')), 'none')) as "row!",
            count(*) over () as "total!"
        from withdrawal w
        left join hold h on h.id = w.hold_id
        left join account a on a.id = h.account_id
        where h.id is null or h.subject <> w.id or h.amount <> w.amount + w.fee
            or (a.owner, a.asset, a.purpose) is distinct from (w.user_id, w.asset, 'wallet')
            or (w.closed_at is null) <> (h.closed_by is null)
            or (w.closed_at is null) <> (w.state in ('awaiting_approval', 'approved'))
        order by w.id
        limit (select 20)
        "#
    )
}

async fn withdrawals_agree_with_decisions(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "withdrawals-agree-with-decisions",
        "Every withdrawal was approved, rejected and cancelled exactly as settled decisions of those who may say so.",
        r#"
        select format('withdrawal %s, %s, hold closed by %s: %s', coalesce(w.id::text, d.withdrawal_id),
                coalesce(w.state, 'unknown'), coalesce(h.closed_by::text, 'nobody'), coalesce(d.told, 'no decision settled'))
                as "row!",
            count(*) over () as "total!"
        from withdrawal w
        left join hold h on h.id = w.hold_id
        full join (
            select j.payload ->> 'withdrawal_id' as withdrawal_id,
                string_agg(format('%s %s by %s', j.payload ->> 'decision', j.id, j.submitted_by), '; ' order by j.id) as told,
                count(*) filter (where j.payload ->> 'decision' = 'approve') as approvals,
                count(a.job_id) as approved,
                max(j.id) filter (where j.payload ->> 'decision' = 'reject') as reject,
                max(j.id) filter (where j.payload ->> 'decision' = 'cancel') as cancel,
                count(*) filter (where j.payload ->> 'decision' <> 'approve') as ends,
                bool_and(a.approver = j.submitted_by and encode(a.content_hash, 'hex') = lower(j.payload ->> 'content_hash'))
                    filter (where j.payload ->> 'decision' = 'approve') as by_who_asked,
                count(*) as decisions, max(j.id) filter (where a.job_id is null) as other,
                bool_and(a.approver = j.submitted_by) filter (where a.job_id is not null) as by_approvers,
                bool_or((j.id >> 24) in (select part from retention)) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            left join approval a on a.job_id = j.id and a.withdrawal_id::text = j.payload ->> 'withdrawal_id'
            where j.kind = 'withdrawal-decision'
            group by j.payload ->> 'withdrawal_id'
        ) d on d.withdrawal_id = w.id::text
        -- Where payloads were dropped, an approval still names its job, and what is none closed the hold.
        where w.id is null or case
            when coalesce(d.dropped, false) then
                d.decisions <> d.approved + (w.closed_at is not null)::integer or not coalesce(d.by_approvers, true)
                or (select count(*) from approval a where a.withdrawal_id = w.id) <> d.approved
                or h.closed_by is distinct from d.other
            else
                coalesce(d.approvals, 0) <> coalesce(d.approved, 0) or not coalesce(d.by_who_asked, true)
                or (select count(*) from approval a where a.withdrawal_id = w.id) <> coalesce(d.approvals, 0)
                or coalesce(d.ends, 0) <> (w.closed_at is not null)::integer
                or case w.state
                    when 'rejected' then h.closed_by is distinct from d.reject
                    when 'cancelled' then h.closed_by is distinct from d.cancel
                    else coalesce(d.ends, 0) <> 0
                end
            end
        order by w.id, d.withdrawal_id
        limit (select 20)
        "#
    )
}

async fn approvals_are_independent(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "approvals-are-independent",
        "Nobody approved what they asked for or would receive, and what is approved has enough different approvers in time.",
        r#"
        select b.what as "row!", count(*) over () as "total!"
        from (
            select format('approval %s of withdrawal %s by %s, asked by %s, for %s', a.job_id, a.withdrawal_id, a.approver,
                    w.requested_by, w.user_id) as what, a.withdrawal_id as place
            from approval a
            join withdrawal w on w.id = a.withdrawal_id
            left join principal p on p.id = a.approver
            where a.approver = w.requested_by or p.id is null or p.user_id = w.user_id
                or a.requester <> w.requested_by or a.beneficiary <> w.user_id or a.content_hash <> w.content_hash
            union all
            select format('withdrawal %s, approved at %s: %s approvals counted then, %s are needed', w.id, w.approved_at,
                    n.approvals, w.approvals_needed), w.id
            from withdrawal w
            cross join lateral (
                select count(distinct a.approver) as approvals from approval a
                where a.withdrawal_id = w.id and a.approved_at <= w.approved_at and a.valid_until > w.approved_at
            ) n
            where w.approved_at is not null and n.approvals < w.approvals_needed
        ) b
        order by b.place, b.what
        limit (select 20)
        "#
    )
}

async fn days_are_what_was_asked(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "days-are-what-was-asked",
        "What is used of every day's limit is the sum of the withdrawals of that day that were not given back, and within it; none of its versions is missing.",
        r#"
        select format('%s, asset %s, %s: %s of %s used in version %s of %s, withdrawals of %s',
                coalesce(d.user_id, w.user_id), coalesce(d.asset, w.asset), coalesce(d.day, w.day), coalesce(d.used, 0),
                coalesce(d.day_max, 0), coalesce(d.version, 0), coalesce(d.versions, 0), coalesce(w.amount, 0)) as "row!",
            count(*) over () as "total!"
        from (
            select user_id, asset, day, version, n.versions, newest.used, newest.day_max
            from (
                select user_id, asset, day, max(version) as version, count(*) as versions from withdrawal_day
                group by user_id, asset, day
            ) n
            join withdrawal_day newest using (user_id, asset, day, version)
        ) d
        full join (
            select user_id, asset, day, sum(amount) as amount from withdrawal where closed_at is null
            group by user_id, asset, day
        ) w on w.user_id = d.user_id and w.asset = d.asset and w.day = d.day
        where coalesce(d.used, 0) <> coalesce(w.amount, 0) or d.used > d.day_max or d.version <> d.versions
        order by 1
        limit (select 20)
        "#
    )
}

async fn people_agree_with_flags(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "people-agree-with-flags",
        "Whoever is frozen, known or favoured was made so by an operator's settled job, or frozen by a loss.",
        r#"
        select format('%s: %s', f.who, f.what) as "row!", count(*) over () as "total!"
        from (
            select u.id as who, format('tier %s, kyc %s, %s: the newest flag says otherwise', u.tier, u.kyc,
                    case when u.frozen then 'frozen' else 'not frozen' end) as what
            from app_user u
            left join (
                select distinct on (user_id) user_id, tier, kyc, frozen from user_flag order by user_id, place desc
            ) g on g.user_id = u.id
            where u.tier <> coalesce(g.tier, 'standard') or u.kyc <> coalesce(g.kyc, 0)
                or (u.frozen <> coalesce(g.frozen, false)
                    -- A loss freezes by itself.
                    and not (u.frozen and exists (select from deposit d where d.user_id = u.id and d.state = 'loss')))
            union all
            select coalesce(g.user_id::text, j.payload ->> 'user_id')::bigint, format('flag %s by %s', coalesce(g.job_id, j.id),
                    coalesce(g.principal_id, j.submitted_by))
            from user_flag g
            full join (
                select j.id, j.payload, j.submitted_by from job j
                join outcome o on o.job_id = j.id and o.status = 'settled'
                where j.kind = 'user-flag'
            ) j on j.id = g.job_id
            where g.job_id is null or j.id is null or g.principal_id <> j.submitted_by
                or g.user_id::text <> j.payload ->> 'user_id'
        ) f
        order by f.who, f.what
        limit (select 20)
        "#
    )
}
