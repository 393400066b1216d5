//! Transfers and entries.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        posted_sums_to_zero(db).await?,
        versions_have_no_gaps(db).await?,
        balances_follow_entries(db).await?,
        balances_not_negative(db).await?,
        entries_have_one_cause(db).await?,
        transfers_have_two_entries(db).await?,
        entries_have_transfers(db).await?,
        transfers_within_one_asset(db).await?,
        transfers_fit_their_code(db).await?,
        transfers_fit_their_kind(db).await?,
        legs_have_no_gaps(db).await?,
        ledger_rows_have_settled_jobs(db).await?,
        refused_jobs_moved_nothing(db).await?,
    ])
}

async fn posted_sums_to_zero(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "posted-sums-to-zero",
        "In every asset, the balances of all accounts sum to zero.",
        r#"
        select format('%s: the sum is %s', coalesce(t.code, 'asset ' || s.asset), s.posted) as "row!",
            count(*) over () as "total!"
        from (
            select a.asset, sum(n.posted) as posted
            from account a
            cross join lateral (
                select e.posted from entry e where e.account_id = a.id order by e.version desc limit 1
            ) n
            group by a.asset
            having sum(n.posted) <> 0
        ) s
        left join asset t on t.id = s.asset
        order by s.asset
        limit (select 20)
        "#
    )
}

async fn versions_have_no_gaps(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "versions-have-no-gaps",
        "The entries of every account are numbered 1, 2, 3 and so on.",
        r#"
        select format('account %s: %s entries, versions %s to %s', account_id, count(*), min(version), max(version))
                as "row!",
            count(*) over () as "total!"
        from entry
        group by account_id
        having min(version) <> 1 or max(version) <> count(*)
        order by account_id
        limit (select 20)
        "#
    )
}

async fn balances_follow_entries(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "balances-follow-entries",
        "Every balance is the one before it plus the change, beginning at zero.",
        r#"
        select format('account %s version %s: posted %s after %s and a change of %s, held %s after %s and a change of %s',
                account_id, version, posted, posted_before, d_posted, held, held_before, d_held) as "row!",
            count(*) over () as "total!"
        from (
            select account_id, version, posted, held, d_posted, d_held,
                lag(version, 1, 0::bigint) over w as version_before,
                lag(posted, 1, 0::numeric) over w as posted_before,
                lag(held, 1, 0::numeric) over w as held_before
            from entry
            window w as (partition by account_id order by version)
        ) e
        -- After a gap, which is another check's, nothing can be said.
        where version = version_before + 1 and (posted <> posted_before + d_posted or held <> held_before + d_held)
        order by account_id, version
        limit (select 20)
        "#
    )
}

async fn balances_not_negative(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "balances-not-negative",
        "No account ever held less than nothing, and none with a floor had less than it held.",
        r#"
        select format('account %s version %s: posted %s, held %s', account_id, version, posted, held) as "row!",
            count(*) over () as "total!"
        from entry
        -- A column of type numeric also takes NaN, which is above every number.
        where held < 0 or (account_id > 0 and posted - held < 0) or posted = 'NaN' or held = 'NaN'
        order by account_id, version
        limit (select 20)
        "#
    )
}

async fn entries_have_one_cause(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "entries-have-one-cause",
        "Every entry is one side of a transfer and changes posted, or belongs to a hold and changes held.",
        r#"
        select format('account %s version %s: leg %s, hold %s, posted changes by %s, held by %s',
                account_id, version, coalesce(leg::text, 'none'), coalesce(hold_id::text, 'none'), d_posted, d_held)
                as "row!",
            count(*) over () as "total!"
        from entry
        where (leg is null) = (hold_id is null)
            or (leg is not null and (d_posted = 0 or d_held <> 0))
            or (hold_id is not null and (d_held = 0 or d_posted <> 0))
        order by account_id, version
        limit (select 20)
        "#
    )
}

async fn transfers_have_two_entries(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "transfers-have-two-entries",
        "Every transfer has exactly two entries: it lowers the payer and raises the receiver by its amount.",
        r#"
        select format('transfer %s/%s of %s from account %s to %s: %s entries, %s of them the payer''s, %s the receiver''s',
                job_id, leg, amount, debit, credit, entries, paid, received) as "row!",
            count(*) over () as "total!"
        from (
            select t.job_id, t.leg, t.debit, t.credit, t.amount, count(e.account_id) as entries,
                count(*) filter (where e.account_id = t.debit and e.d_posted = - t.amount) as paid,
                count(*) filter (where e.account_id = t.credit and e.d_posted = t.amount) as received
            from transfer t
            left join entry e on e.job_id = t.job_id and e.leg = t.leg
            group by t.job_id, t.leg
        ) s
        where entries <> 2 or paid <> 1 or received <> 1
        order by job_id, leg
        limit (select 20)
        "#
    )
}

async fn entries_have_transfers(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "entries-have-transfers",
        "Every entry that names a transfer belongs to one that exists.",
        r#"
        select format('account %s version %s: there is no transfer %s/%s', e.account_id, e.version, e.job_id, e.leg)
                as "row!",
            count(*) over () as "total!"
        from entry e
        where e.leg is not null
            and not exists (select from transfer t where t.job_id = e.job_id and t.leg = e.leg)
        order by e.account_id, e.version
        limit (select 20)
        "#
    )
}

async fn transfers_within_one_asset(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "transfers-within-one-asset",
        "Both accounts of every transfer are of the same asset, and they are two.",
        r#"
        select format('transfer %s/%s: account %s has asset %s, account %s has asset %s',
                t.job_id, t.leg, t.debit, d.asset, t.credit, c.asset) as "row!",
            count(*) over () as "total!"
        from transfer t
        join account d on d.id = t.debit
        join account c on c.id = t.credit
        where d.asset <> c.asset or d.id = c.id
        order by t.job_id, t.leg
        limit (select 20)
        "#
    )
}

async fn transfers_fit_their_code(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "transfers-fit-their-code",
        "Every transfer goes between accounts of the purposes that its code is for, and only a trade goes between people.",
        r#"
        select format('transfer %s/%s: %s from the %s account %s of %s to the %s account %s of %s',
                t.job_id, t.leg, t.code, d.purpose, d.id, d.owner, c.purpose, c.id, c.owner) as "row!",
            count(*) over () as "total!"
        from transfer t
        join account d on d.id = t.debit
        join account c on c.id = t.credit
        left join (values
            ('deposit', 'world', 'wallet'),
            ('clawback', 'wallet', 'world'),
            ('clawback_shortfall', 'receivable', 'world'),
            ('receivable_repay', 'wallet', 'receivable'),
            ('receivable_loss', 'fee', 'receivable'),
            ('trade_settle', 'wallet', 'wallet'),
            ('trade_fee', 'wallet', 'fee'),
            ('commission', 'fee', 'wallet'),
            ('commission_clawback', 'wallet', 'fee'),
            ('payout', 'wallet', 'world'),
            ('payout_fee', 'wallet', 'fee'),
            ('payout_cost', 'fee', 'world')
        ) as fits (code, payer, receiver) on fits.code = t.code and fits.payer = d.purpose and fits.receiver = c.purpose
        -- What an operator corrects may go anywhere.
        where t.code not in ('adjustment', 'reversal')
            and (fits.code is null
                or (t.code <> 'trade_settle' and d.owner <> 0 and c.owner <> 0 and d.owner <> c.owner))
        order by t.job_id, t.leg
        limit (select 20)
        "#
    )
}

async fn transfers_fit_their_kind(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "transfers-fit-their-kind",
        "Every transfer has a code that jobs of its kind may use, and none has it twice within a job.",
        r#"
        select format('job %s: %s times %s in a %s', t.job_id, t.times, t.code, j.kind) as "row!",
            count(*) over () as "total!"
        from (select job_id, code, count(*) as times from transfer group by job_id, code) t
        join job j on j.id = t.job_id
        left join (values
            ('deposit-credit', 'deposit'),
            ('deposit-credit', 'receivable_repay'),
            ('deposit-credit', 'clawback'),
            ('deposit-credit', 'clawback_shortfall'),
            ('release', 'trade_settle'),
            ('release', 'trade_fee'),
            ('release', 'receivable_repay'),
            ('refund', 'receivable_repay'),
            ('withdrawal-decision', 'receivable_repay'),
            ('referral-commission', 'commission'),
            ('referral-commission', 'receivable_repay')
        ) as fits (kind, code) on fits.kind = j.kind and fits.code = t.code
        where fits.kind is null or t.times > 1
        order by t.job_id, t.code
        limit (select 20)
        "#
    )
}

async fn legs_have_no_gaps(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "legs-have-no-gaps",
        "The transfers of every job are one group, numbered 0, 1, 2 and so on.",
        r#"
        select format('job %s: %s transfers, legs %s to %s', job_id, count(*), min(leg), max(leg)) as "row!",
            count(*) over () as "total!"
        from transfer
        group by job_id
        having min(leg) <> 0 or max(leg) + 1 <> count(*)
        order by job_id
        limit (select 20)
        "#
    )
}

async fn ledger_rows_have_settled_jobs(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "ledger-rows-have-settled-jobs",
        "Every transfer, every entry and both ends of every hold belong to a job that has ended.",
        r#"
        select format('job %s wrote to the ledger (%s) and has no outcome', m.job_id, string_agg(m.what, ', ' order by m.what))
                as "row!",
            count(*) over () as "total!"
        from (
            select job_id, 'transfer' as what from transfer
            union select job_id, 'entry' from entry
            union select id, 'hold opened' from hold
            union select closed_by, 'hold closed' from hold where closed_by is not null
        ) m
        where not exists (select from outcome o where o.job_id = m.job_id)
        group by m.job_id
        order by m.job_id
        limit (select 20)
        "#
    )
}

async fn refused_jobs_moved_nothing(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "refused-jobs-moved-nothing",
        "No job that was rejected or cancelled wrote to the ledger.",
        r#"
        select format('job %s was %s and wrote to the ledger (%s)', o.job_id, o.status, string_agg(m.what, ', ' order by m.what))
                as "row!",
            count(*) over () as "total!"
        from outcome o
        join (
            select job_id, 'transfer' as what from transfer
            union select job_id, 'entry' from entry
            union select id, 'hold opened' from hold
            union select closed_by, 'hold closed' from hold where closed_by is not null
        ) m on m.job_id = o.job_id
        where o.status <> 'settled'
        group by o.job_id, o.status
        order by o.job_id
        limit (select 20)
        "#
    )
}
