//! Holds, and what accounts hold because of them.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        held_is_open_holds(db).await?,
        holds_have_their_entries(db).await?,
        entries_have_holds(db).await?,
        holds_fit_their_kind(db).await?,
    ])
}

async fn held_is_open_holds(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "held-is-open-holds",
        "What every account holds is the sum of its open holds.",
        r#"
        select format('account %s: held %s, open holds %s',
                coalesce(n.account_id, h.account_id), coalesce(n.held, 0), coalesce(h.amount, 0)) as "row!",
            count(*) over () as "total!"
        from (
            select a.id as account_id, e.held
            from account a
            cross join lateral (
                select e.held from entry e where e.account_id = a.id order by e.version desc limit 1
            ) e
        ) n
        full join (
            select account_id, sum(amount) as amount from hold where closed_by is null group by account_id
        ) h on h.account_id = n.account_id
        where coalesce(n.held, 0) <> coalesce(h.amount, 0)
        order by coalesce(n.account_id, h.account_id)
        limit (select 20)
        "#
    )
}

async fn holds_have_their_entries(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "holds-have-their-entries",
        "Every hold has one entry that opened it and, exactly if it is closed, a later one that closed it, both of its amount.",
        r#"
        select format('hold %s of %s on account %s, %s: %s entries, %s of them opening it, %s closing it', id, amount,
                account_id, coalesce('closed by ' || closed_by, 'open'), entries, opened, closed) as "row!",
            count(*) over () as "total!"
        from (
            select h.id, h.account_id, h.amount, h.closed_by, count(e.account_id) as entries,
                count(*) filter (where e.account_id = h.account_id and e.job_id = h.id and e.d_held = h.amount) as opened,
                count(*) filter (where e.account_id = h.account_id and e.job_id = h.closed_by and e.d_held = - h.amount)
                    as closed,
                max(e.version) filter (where e.d_held > 0) as opened_at,
                min(e.version) filter (where e.d_held < 0) as closed_at
            from hold h
            left join entry e on e.hold_id = h.id
            group by h.id
        ) s
        where opened <> 1 or closed <> (closed_by is not null)::integer or entries <> opened + closed
            or closed_at < opened_at
        order by id
        limit (select 20)
        "#
    )
}

async fn entries_have_holds(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "entries-have-holds",
        "Every entry that names a hold belongs to one that exists.",
        r#"
        select format('account %s version %s: there is no hold %s', e.account_id, e.version, e.hold_id) as "row!",
            count(*) over () as "total!"
        from entry e
        where e.hold_id is not null and not exists (select from hold h where h.id = e.hold_id)
        order by e.account_id, e.version
        limit (select 20)
        "#
    )
}

async fn holds_fit_their_kind(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "holds-fit-their-kind",
        "Every hold was opened by a job of a kind that opens holds and closed by one of a kind that closes them.",
        r#"
        select format('hold %s, %s: opened by a %s, closed by a %s', h.id, coalesce('closed by ' || h.closed_by, 'open'),
                opener.kind, closer.kind) as "row!",
            count(*) over () as "total!"
        from hold h
        left join job opener on opener.id = h.id
        -- An open hold has a key of its own, which no job has: rows of equal keys, as millions without one are, cannot
        -- be parted, and while the server tries to it takes all memory there is.
        left join job closer on closer.id = coalesce(h.closed_by, - h.id)
        where case opener.kind
                when 'lock-escrow' then closer.kind not in ('release', 'refund')
                when 'withdrawal-request' then closer.kind <> 'withdrawal-decision'
                else true
            end
        order by h.id
        limit (select 20)
        "#
    )
}
