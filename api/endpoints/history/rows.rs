//! What a history is made of, as it is stored.

use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// A job about a trade or a withdrawal, wherever it is.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) id: i64,
    pub(crate) kind: String,
    /// Which event or decision it is, where its kind has several.
    pub(crate) event: Option<String>,
    /// The person who acts, where its payload names one.
    pub(crate) user_id: Option<String>,
    pub(crate) submitted_by: i64,
    /// The name of that principal.
    pub(crate) principal: String,
    pub(crate) caused_by: Option<i64>,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) status: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) parked_reason: Option<String>,
    /// When what it said beyond that was dropped.
    pub(crate) payload_dropped_at: Option<DateTime<Utc>>,
}

/// What a job did to an account; minor units.
#[derive(Debug)]
pub(crate) struct Effect {
    pub(crate) job_id: i64,
    pub(crate) owner: i64,
    pub(crate) purpose: String,
    pub(crate) asset: i16,
    pub(crate) what: String,
    pub(crate) d_posted: String,
    pub(crate) d_held: String,
}

/// The jobs about a trade or a withdrawal behind an id, oldest first: the one that opened it, whose
/// id it has, and those whose payload names it.
///
/// The expression and the kinds are those of the index `job_subject`; said otherwise, every job there
/// ever was would be read.
pub(crate) async fn steps(pool: &PgPool, subject: i64, behind: i64, max: i64) -> Result<Vec<Step>, sqlx::Error> {
    sqlx::query_as!(
        Step,
        r#"
        with about as (
            select id, kind, payload, submitted_by, caused_by, received_at from job where id = $1
            union all
            select id, kind, payload, submitted_by, caused_by, received_at from job
            where coalesce(payload ->> 'trade_id', payload ->> 'withdrawal_id') = $4 and kind in
                ('trade-event', 'release', 'refund', 'timer-expiry', 'referral-commission', 'withdrawal-decision')
        ), page as (
            select * from about where id > $2 order by id limit $3
        )
        select j.id as "id!", j.kind as "kind!", coalesce(j.payload ->> 'event', j.payload ->> 'decision') as event,
            j.payload ->> 'user_id' as user_id, j.submitted_by as "submitted_by!", p.name as principal, j.caused_by,
            j.received_at as "received_at!", x.status as "status?", x.reason, x.finished_at as "finished_at?",
            q.reason as "parked_reason?", (select g.detached_at from retention g where g.part = j.id >> 24) as "payload_dropped_at?"
        from page j
        join principal p on p.id = j.submitted_by
        left join outcome x on x.job_id = j.id
        left join parked q on q.job_id = j.id
        order by j.id
        "#,
        subject,
        behind,
        max,
        subject.to_string(),
    )
    .fetch_all(pool)
    .await
}

/// What jobs about a trade or a withdrawal did: both sides of their transfers, and its hold.
pub(crate) async fn effects(pool: &PgPool, subject: i64, jobs: &[i64]) -> Result<Vec<Effect>, sqlx::Error> {
    // A hold has the id of the job that opened it, and what is held is held from the first job on.
    sqlx::query_as!(
        Effect,
        r#"
        with moved as (
            select h.id as job_id, -2 as leg, 0 as side, 'hold_opened' as what, h.account_id,
                0::numeric as d_posted, h.amount as d_held
            from hold h where h.id = any ($1)
            union all
            select h.closed_by, -1, 0, 'hold_closed', h.account_id, 0, -h.amount
            from hold h where h.id = $2 and h.closed_by = any ($1)
            union all
            select t.job_id, t.leg, s.side, t.code, s.account_id, s.d_posted, 0
            from transfer t
            cross join lateral (values (0, t.debit, -t.amount), (1, t.credit, t.amount)) s (side, account_id, d_posted)
            where t.job_id = any ($1)
        )
        select m.job_id as "job_id!", a.owner, a.purpose, a.asset, m.what as "what!", m.d_posted::text as "d_posted!",
            m.d_held::text as "d_held!"
        from moved m join account a on a.id = m.account_id
        order by m.job_id, m.leg, m.side
        "#,
        jobs,
        subject,
    )
    .fetch_all(pool)
    .await
}
