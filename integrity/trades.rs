//! Trades: each agrees with the jobs that moved it, with its hold and with its transfers.

use sqlx::{Error, PgConnection};

use crate::check::{Check, check};

pub(super) async fn checks(db: &mut PgConnection) -> Result<Vec<Check>, Error> {
    Ok(vec![
        trades_come_from_locks(db).await?,
        trades_agree_with_holds(db).await?,
        trades_agree_with_events(db).await?,
        trades_agree_with_closings(db).await?,
        trade_fees_are_floored(db).await?,
        releases_pay_out_the_amount(db).await?,
    ])
}

async fn trades_come_from_locks(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "trades-come-from-locks",
        "Every trade is the work of one settled lock-escrow, as it was asked for, and each opened one with a hold.",
        r#"
        select case
                when l.id is null then format('trade %s: there is no settled lock-escrow %s', t.id, t.id)
                when t.id is null then format('lock-escrow %s settled: there is no trade %s', l.id, l.id)
                else format('trade %s: %s of %s from %s to %s, maker %s, hold %s; the lock: %s of %s from %s to %s, maker %s',
                    t.id, t.amount, coalesce(s.code, t.asset::text), t.seller_id, t.buyer_id, t.maker, t.hold_id,
                    l.amount, l.asset, l.seller, l.buyer, l.maker)
            end as "row!",
            count(*) over () as "total!"
        from trade t
        join asset s on s.id = t.asset
        full join (
            select j.id, j.payload ->> 'seller_id' as seller, j.payload ->> 'buyer_id' as buyer,
                j.payload ->> 'asset' as asset, j.payload ->> 'amount' as amount, j.payload ->> 'maker' as maker,
                (j.id >> 24) in (select part from retention) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind = 'lock-escrow'
        ) l on l.id = t.id
        where t.id is null or l.id is null or t.hold_id <> t.id
            or (not l.dropped and (t.seller_id::text is distinct from l.seller or t.buyer_id::text is distinct from l.buyer
                or s.code is distinct from l.asset or t.maker is distinct from l.maker
                or t.amount is distinct from
                    case when l.amount ~ '^[0-9]+([.][0-9]+)?$' and length(l.amount) < 80
                        then l.amount::numeric * 10::numeric ^ s.scale end))
        order by coalesce(t.id, l.id)
        limit (select 20)
        "#
    )
}

async fn trades_agree_with_holds(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "trades-agree-with-holds",
        "Every trade has a hold of exactly its amount in the seller's wallet, open while the trade is, and no hold is without.",
        r#"
        select format('trade %s, %s, of %s: hold %s', coalesce(t.id::text, 'none'), t.state, t.amount,
                coalesce(format('%s of %s on account %s, for %s, %s', h.id, h.amount, h.account_id, h.subject,
                    coalesce('closed by ' || h.closed_by, 'open')), 'none')) as "row!",
            count(*) over () as "total!"
        from trade t
        full join hold h on h.id = t.hold_id
        left join account a on a.id = h.account_id
        left join (select distinct hold_id from withdrawal) w on w.hold_id = h.id
        where case
            when t.id is null then w.hold_id is null
            else h.id is null or h.subject <> t.id or h.amount <> t.amount
                or (a.owner, a.asset, a.purpose) is distinct from (t.seller_id, t.asset, 'wallet')
                or (t.closed_at is null) <> (h.closed_by is null)
                or (t.closed_at is null and t.state in ('released', 'refunded'))
                or (t.closed_at is not null and t.state in ('awaiting_payment', 'paid'))
            end
        order by coalesce(t.id, h.subject)
        limit (select 20)
        "#
    )
}

async fn trades_agree_with_events(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "trades-agree-with-events",
        "Every trade was marked as paid, taken back, extended, cancelled and expired exactly as settled jobs of its people and timers say.",
        r#"
        select format('trade %s, %s, paid at %s of %s, extended at %s, undone at %s, timer %s: %s',
                coalesce(t.id::text, e.trade_id), coalesce(t.state, 'unknown'), coalesce(t.paid_at::text, 'never'), t.pay_by,
                coalesce(t.extended_at::text, 'never'), coalesce(t.undone_at::text, 'never'), t.timer_generation,
                coalesce(e.told, 'no event settled')) as "row!",
            count(*) over () as "total!"
        from trade t
        full join (
            select j.payload ->> 'trade_id' as trade_id,
                string_agg(format('%s %s by %s, received at %s', coalesce(j.payload ->> 'event', j.kind), j.id,
                    coalesce(j.payload ->> 'user_id', 'Holdfast'), j.received_at), '; ' order by j.id) as told,
                count(*) filter (where j.payload ->> 'event' = 'mark-paid') as paid,
                array_agg(j.received_at) filter (where j.payload ->> 'event' = 'mark-paid') as paid_at,
                count(*) filter (where j.payload ->> 'event' = 'undo') as undone,
                max(j.received_at) filter (where j.payload ->> 'event' = 'undo') as undone_at,
                count(*) filter (where j.payload ->> 'event' = 'extend') as extended,
                max(j.received_at) filter (where j.payload ->> 'event' = 'extend') as extended_at,
                sum((j.payload ->> 'minutes')::integer) filter (where j.payload ->> 'event' = 'extend') as minutes,
                count(*) filter (where j.payload ->> 'event' = 'cancel') as cancelled,
                count(*) filter (where j.kind = 'timer-expiry') as expired,
                array_agg(distinct j.payload ->> 'user_id') filter (where j.payload ->> 'event' in ('mark-paid', 'undo', 'cancel'))
                    as by_buyer,
                array_agg(distinct j.payload ->> 'user_id') filter (where j.payload ->> 'event' = 'extend') as by_seller,
                count(*) filter (where j.kind = 'trade-event') as events,
                array_agg(j.received_at) filter (where j.kind = 'trade-event') as events_at,
                bool_or((j.id >> 24) in (select part from retention)) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind in ('trade-event', 'timer-expiry')
            group by j.payload ->> 'trade_id'
        ) e on e.trade_id = t.id::text
        -- Where payloads were dropped, how many events there were and when still tells.
        where t.id is null
            or coalesce(e.expired, 0) <> (t.state = 'expired')::integer
            or (t.state in ('awaiting_payment', 'expired') and t.paid_at is not null)
            or (t.state in ('paid', 'released') and t.paid_at is null)
            or t.paid_at > t.pay_by
            or case
                when coalesce(e.dropped, false) then
                    e.events <> (t.paid_at is not null)::integer + 2 * (t.undone_at is not null)::integer
                        + (t.extended_at is not null)::integer + (t.state = 'cancelled')::integer
                    or t.paid_at <> all (e.events_at) or t.undone_at <> all (e.events_at)
                    or t.extended_at <> all (e.events_at)
                    or t.timer_generation <> 1 + (t.undone_at is not null)::integer + (t.extended_at is not null)::integer
                else
                    coalesce(e.by_buyer <> array[t.buyer_id::text], false)
                    or coalesce(e.by_seller <> array[t.seller_id::text], false)
                    or coalesce(e.paid, 0) - coalesce(e.undone, 0) <> (t.paid_at is not null)::integer
                    or t.paid_at <> all (e.paid_at)
                    or t.undone_at is distinct from e.undone_at or coalesce(e.undone, 0) > 1
                    or t.extended_at is distinct from e.extended_at or coalesce(e.extended, 0) > 1
                    or t.timer_generation <> 1 + coalesce(e.undone, 0) + coalesce(e.extended, 0)
                    or coalesce(e.cancelled, 0) <> (t.state = 'cancelled')::integer
            end
        order by t.id, e.trade_id
        limit (select 20)
        "#
    )
}

async fn trades_agree_with_closings(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "trades-agree-with-closings",
        "The money of a trade went out or back exactly if one release or refund settled, asked by who may, and it closed the hold.",
        r#"
        select format('trade %s, %s, hold closed by %s: %s', coalesce(t.id::text, c.trade_id), coalesce(t.state, 'unknown'),
                coalesce(t.closed_by::text, 'nobody'),
                coalesce(format('%s %s by %s', c.kind, c.id, c.user_id), 'no release and no refund settled')) as "row!",
            count(*) over () as "total!"
        from (
            select t.id, t.state, t.seller_id, t.buyer_id, t.closed_at, h.closed_by
            from trade t
            join hold h on h.id = t.hold_id
        ) t
        full join (
            select j.id, j.kind, j.submitted_by, j.payload ->> 'trade_id' as trade_id, j.payload ->> 'user_id' as user_id,
                (j.id >> 24) in (select part from retention) as dropped
            from job j
            join outcome o on o.job_id = j.id and o.status = 'settled'
            where j.kind in ('release', 'refund')
        ) c on c.trade_id = t.id::text
        where t.id is null or (c.id is null and t.closed_at is not null)
            or (c.id is not null and (t.closed_at is null or t.closed_by is distinct from c.id
                or case
                    when c.dropped then t.state <> all (case when c.kind = 'release' then array['released']
                        when c.submitted_by = 1 then array['cancelled', 'expired'] else array['refunded'] end)
                    when c.kind = 'release' then t.state <> 'released' or c.user_id is distinct from t.seller_id::text
                    -- A refund that nobody asked for gives back what was cancelled or has expired.
                    when c.user_id is null then t.state not in ('cancelled', 'expired') or c.submitted_by <> 1
                    else t.state <> 'refunded' or c.user_id <> t.buyer_id::text
                end))
        order by t.id, c.id
        limit (select 20)
        "#
    )
}

async fn trade_fees_are_floored(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "trade-fees-are-floored",
        "A released trade paid its maker and its taker fee, each the floor of its share; no other paid any.",
        r#"
        select format('trade %s, %s, of %s: maker fee %s at %s bp, taker fee %s at %s bp', id, state, amount,
                coalesce(maker_fee::text, 'none'), maker_bps, coalesce(taker_fee::text, 'none'), taker_bps) as "row!",
            count(*) over () as "total!"
        from trade
        where maker_fee is distinct from case when state = 'released' then div(amount * maker_bps, 10000) end
            or taker_fee is distinct from case when state = 'released' then div(amount * taker_bps, 10000) end
        order by id
        limit (select 20)
        "#
    )
}

async fn releases_pay_out_the_amount(db: &mut PgConnection) -> Result<Check, Error> {
    check!(
        db,
        "releases-pay-out-the-amount",
        "What a release moves out of the seller's wallet is the amount: the fees to the house, the rest to the buyer.",
        r#"
        select format('trade %s, released by %s, of %s: %s to the buyer, fees of %s, %s elsewhere', id, closed_by, amount,
                settled, charged, stray) as "row!",
            count(*) over () as "total!"
        from (
            select t.id, t.amount, t.maker_fee, t.taker_fee, h.closed_by,
                coalesce(sum(m.amount) filter (where m.code = 'trade_settle' and c.owner = t.buyer_id), 0) as settled,
                coalesce(sum(m.amount) filter (where m.code = 'trade_fee' and c.owner = 0), 0) as charged,
                coalesce(sum(m.amount) filter (where m.debit <> h.account_id
                    or c.owner is distinct from case m.code when 'trade_settle' then t.buyer_id else 0 end), 0) as stray
            from trade t
            join hold h on h.id = t.hold_id
            left join transfer m on m.job_id = h.closed_by and m.code in ('trade_settle', 'trade_fee')
            left join account c on c.id = m.credit
            where t.state = 'released'
            group by t.id, h.id
        ) s
        where settled + charged <> amount or charged <> maker_fee + taker_fee or stray <> 0
        order by id
        limit (select 20)
        "#
    )
}
