//! What has still to happen by itself, and what Holdfast caused.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![timers_are_set(db).await?, ended_trades_are_given_back(db).await?, caused_jobs_have_causes(db).await?])
}

async fn timers_are_set(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "timers-are-set",
        "Every trade that awaits its payment has its deadline ahead of the sweep, or a timer that is queued or parked.",
        r#"
        select format('trade %s awaits its payment until %s, timer %s is nowhere, and the sweep has reached %s',
                t.id, t.pay_by, t.timer_generation, w.swept_to) as "row!",
            count(*) over () as "total!"
        from trade t
        cross join timer_watch w
        where t.state = 'awaiting_payment' and (t.pay_by, t.id) <= (w.swept_to, w.swept_id)
            and not exists (
                select from request r
                where r.submitter = 1 and r.kind = 'timer-expiry' and r.key = t.id || ':' || t.timer_generation
                    and (exists (select from outbox o where o.job_id = r.job_id)
                        or exists (select from parked p where p.job_id = r.job_id)))
        order by t.id
        limit (select 20)
        "#
    )
}

async fn ended_trades_are_given_back(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "ended-trades-are-given-back",
        "The money of every trade that was cancelled or has expired is back, or the refund is queued or parked.",
        r#"
        select format('trade %s, %s at %s: its hold is open and no refund is on its way', t.id, t.state, t.ended_at) as "row!",
            count(*) over () as "total!"
        from trade t
        where t.state in ('cancelled', 'expired') and t.closed_at is null
            and not exists (
                select from request r
                where r.submitter = 1 and r.kind = 'refund' and r.key = 'hold:' || t.hold_id
                    and (exists (select from outbox o where o.job_id = r.job_id)
                        or exists (select from parked p where p.job_id = r.job_id)))
        order by t.id
        limit (select 20)
        "#
    )
}

async fn caused_jobs_have_causes(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "caused-jobs-have-causes",
        "What only Holdfast may cause was caused by Holdfast, and a job that another one caused follows from it.",
        r#"
        select format('job %s (%s) of %s, caused by %s (%s)', j.id, j.kind, j.submitted_by,
                coalesce(j.caused_by::text, 'nothing'), coalesce(c.kind, 'none')) as "row!",
            count(*) over () as "total!"
        from job j
        -- Keys of their own for what has none: see holds-fit-their-kind.
        left join job c on c.id = coalesce(j.caused_by, - j.id)
        left join outcome o on o.job_id = coalesce(c.id, - j.id)
        left join (values
            ('refund', 'trade-event'), ('refund', 'timer-expiry'), ('referral-commission', 'release'),
            ('timer-expiry', 'trade-event'), ('pause', 'verify')
        ) as fits (kind, cause) on fits.kind = j.kind and fits.cause = c.kind
        where (j.caused_by is not null or j.kind in ('timer-expiry', 'referral-commission'))
            and ((j.kind in ('timer-expiry', 'referral-commission') and j.submitted_by <> 1)
                or (j.kind = 'referral-commission' and j.caused_by is null)
                or (j.caused_by is not null
                    and (fits.kind is null or j.submitted_by <> 1 or o.status is distinct from 'settled')))
        order by j.id
        limit (select 20)
        "#
    )
}
