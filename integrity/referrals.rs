//! Referrals: what was fixed at lock, and what was paid.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        referrals_are_of_the_traders(db).await?,
        commissions_are_as_fixed(db).await?,
        commissions_were_paid(db).await?,
        shares_are_paid_or_due(db).await?,
    ])
}

async fn referrals_are_of_the_traders(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "referrals-are-of-the-traders",
        "Who shares in a trade's fees brought its maker or its taker, and everybody who was brought has their referrer there.",
        r#"
        select format('trade %s, %s %s: fixed for %s, brought by %s', coalesce(s.trade_id, f.trade_id),
                coalesce(s.side, f.side), coalesce(s.trader::text, 'nobody'), coalesce(f.referrer_id::text, 'nobody'),
                coalesce(s.referrer_id::text, 'nobody')) as "row!",
            count(*) over () as "total!"
        from (
            select v.trade_id, v.side, u.id as trader, u.referrer_id
            from (
                select t.id as trade_id, 'maker' as side, case t.maker when 'seller' then t.seller_id else t.buyer_id end as trader
                from trade t where t.referrals is not null
                union all
                select t.id, 'taker', case t.maker when 'seller' then t.buyer_id else t.seller_id end
                from trade t where t.referrals is not null
            ) v
            join app_user u on u.id = v.trader
            where u.referrer_id is not null
        ) s
        full join trade_referral f on f.trade_id = s.trade_id and f.side = s.side and f.level = 1
        left join trade t on t.id = f.trade_id
        left join (select trade_id, count(*) as fixed from trade_referral group by trade_id) r on r.trade_id = t.id
        where s.referrer_id is distinct from f.referrer_id or t.referrals <> r.fixed
        order by 1
        limit (select 20)
        "#
    )
}

async fn commissions_are_as_fixed(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "commissions-are-as-fixed",
        "Every commission is the floor of the fixed share in the fees of the sides its referrer brought, of a released trade.",
        r#"
        select format('commission %s of %s for %s at level %s of trade %s (%s): %s of %s at %s bp, fixed: %s at %s bp',
                c.job_id, c.amount, c.referrer_id, c.level, c.trade_id, coalesce(t.state, 'unknown'), c.amount, c.base, c.bps,
                coalesce(f.base::text, 'nothing'), coalesce(f.bps::text, 'no')) as "row!",
            count(*) over () as "total!"
        from commission c
        left join trade t on t.id = c.trade_id
        left join lateral (
            select sum(case r.side when 'maker' then t.maker_fee else t.taker_fee end) as base, max(r.bps) as bps
            from trade_referral r
            where r.trade_id = c.trade_id and r.referrer_id = c.referrer_id and r.level = c.level
        ) f on true
        where t.state is distinct from 'released' or f.base is distinct from c.base
            or coalesce(f.bps, c.bps) <> c.bps or c.amount <> div(c.base * c.bps, 10000)
        order by c.job_id
        limit (select 20)
        "#
    )
}

async fn commissions_were_paid(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "commissions-were-paid",
        "Every settled referral-commission has one commission, moved exactly that from the fees to the referrer, and is counted in its trade.",
        r#"
        select w.what as "row!", count(*) over () as "total!"
        from (
            select format('job %s: commission of %s, transfer of %s', coalesce(j.id, c.job_id), coalesce(c.amount::text, 'none'),
                    coalesce(m.amount::text, 'none')) as what, coalesce(j.id, c.job_id) as place
            from (
                select j.id, j.payload from job j
                join outcome o on o.job_id = j.id and o.status = 'settled'
                where j.kind = 'referral-commission'
            ) j
            full join commission c on c.job_id = j.id
            left join transfer m on m.job_id = c.job_id and m.code = 'commission'
            left join account a on a.id = m.credit
            where j.id is null or c.job_id is null or c.amount <> coalesce(m.amount, 0)
                or (m.job_id is not null and a.owner <> c.referrer_id)
                or j.payload ->> 'trade_id' <> c.trade_id::text or j.payload ->> 'referrer_id' <> c.referrer_id::text
            union all
            select format('trade %s: %s counted, %s paid', t.id, t.commissioned, coalesce(p.amount, 0)), t.id
            from trade t
            left join (select trade_id, sum(amount) as amount from commission group by trade_id) p on p.trade_id = t.id
            where t.commissioned <> coalesce(p.amount, 0) or t.commissioned > coalesce(t.maker_fee + t.taker_fee, 0)
        ) w
        order by w.place, w.what
        limit (select 20)
        "#
    )
}

async fn shares_are_paid_or_due(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "shares-are-paid-or-due",
        "Every share in the fees of a released trade has its commission, or the job that pays it is queued or parked.",
        r#"
        select format('trade %s: %s at level %s has a share in fees of %s and neither a commission nor a job',
                s.trade_id, s.referrer_id, s.level, s.base) as "row!",
            count(*) over () as "total!"
        from (
            select r.trade_id, r.referrer_id, r.level, t.hold_id,
                sum(case r.side when 'maker' then t.maker_fee else t.taker_fee end) as base
            from trade_referral r
            join trade t on t.id = r.trade_id and t.state = 'released'
            group by r.trade_id, r.referrer_id, r.level, t.hold_id
        ) s
        left join commission c on c.trade_id = s.trade_id and c.referrer_id = s.referrer_id and c.level = s.level
        left join request q on q.submitter = 1 and q.kind = 'referral-commission'
            and q.key = concat_ws(':', s.hold_id, s.referrer_id, s.level)
        left join outbox o on o.job_id = q.job_id
        left join parked p on p.job_id = q.job_id
        where s.base > 0 and c.job_id is null and o.job_id is null and p.job_id is null
        order by s.trade_id, s.referrer_id
        limit (select 20)
        "#
    )
}
