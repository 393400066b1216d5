-- A past of finished jobs, row for row what they would have left. People come in pairs who trade with
-- each other in one asset; a pair does 40 jobs, and 6 commissions go to who brought it:
--
--      0 …  1  register                      28 … 33  release three trades each
--      2 … 11  five deposits each            34 … 35  refund the fourth
--     12 … 19  lock four trades each         36 … 39  request two withdrawals each
--     20 … 27  mark them as paid             40 … 45  commissions, to the first of the pair before
--
-- Pair p of an asset has the 46 ids from base + 46 p on; x tells the two of a pair apart, and every
-- account's entries follow from p, x and the number of the job within the pair.

create function past_at(id bigint, upto bigint, till timestamptz) returns timestamptz
    language sql immutable parallel safe
    as $$ select till - (upto - id) * interval '200 microseconds' $$;

create function past_fact(payment bigint, amount text, code text, person bigint) returns text
    language sql immutable parallel safe
    as $$
        select string_agg(length(field) || ':' || field || ',', '' order by place)
        from unnest(array[payment::text, 'finished', amount, code, amount, 'user-' || person]) with ordinality as f (field, place)
    $$;

create function past(
    an_asset smallint, base bigint, upto bigint, till timestamptz, low bigint, high bigint,
    wallets bigint, world bigint, fees bigint, inbox bigint, deposited text, traded text, withdrawn text
) returns void language plpgsql as $$
declare
    a asset;
    d numeric; t numeric; f numeric; c numeric; h numeric; w numeric;
begin
    select * into strict a from asset where id = an_asset;
    d := deposited::numeric * 10::numeric ^ a.scale;
    t := traded::numeric * 10::numeric ^ a.scale;
    w := withdrawn::numeric * 10::numeric ^ a.scale;
    h := w + a.withdraw_fee;
    f := div(t * a.maker_bps, 10000) + div(t * a.taker_bps, 10000);
    c := div(f * 2000, 10000);
    d := trunc(d); t := trunc(t); w := trunc(w); h := trunc(h);

    create temporary table step on commit drop as
        select o::bigint as o,
            case when o < 2 then 'user-register' when o < 12 then 'deposit-credit' when o < 20 then 'lock-escrow'
                when o < 28 then 'trade-event' when o < 34 then 'release' when o < 36 then 'refund'
                when o < 40 then 'withdrawal-request' else 'referral-commission' end as kind,
            (case when o < 2 then o when o < 12 then (o - 2) / 5 when o < 20 then (o - 12) / 4 when o < 28 then (o - 20) / 4
                when o < 34 then (o - 28) / 3 when o < 36 then o - 34 when o < 40 then (o - 36) / 2 else (o - 40) / 3 end)::bigint as x,
            (case when o < 2 then 1 when o < 12 then (o - 2) % 5 when o < 20 then (o - 12) % 4 when o < 28 then (o - 20) % 4
                when o < 34 then (o - 28) % 3 when o < 36 then 3 when o < 40 then (o - 36) % 2 else (o - 40) % 3 end + 1)::bigint as n
        from generate_series(0, 45) as o;
    -- b: the first id of the pair; me and you: the two people; trade: the trade that a job is about.
    create temporary table life on commit drop as
        select p, b, b + o as id, kind, x, n, b + x as me, b + 1 - x as you,
            case when p > 0 then b - 46 end as referrer, b + 12 + 4 * x + n - 1 as trade,
            wallets + 2 * p + x as mine, wallets + 2 * p + 1 - x as yours, inbox + 10 * p + 5 * x + n as callback,
            past_at(b + o, upto, till) as at
        from (select p, base + 46 * p as b from generate_series(low, high - 1) as p) pair
        cross join step
        where kind <> 'referral-commission' or p > 0;
    analyze life;

    insert into app_user (id, referrer_id, registered_at)
        select id, referrer, at from life where kind = 'user-register' order by id;
    insert into account (id, owner, asset, purpose)
        select mine, me, an_asset, 'wallet' from life where kind = 'user-register' order by id;
    insert into ipn_inbox (id, provider, body, signature, fact_key, received_at) overriding system value
        select callback, 'nowpayments',
            convert_to(format('{"actually_paid":%s,"order_id":"user-%s","outcome_amount":%s,"outcome_currency":"%s",'
                || '"pay_address":"0x0000000000000000000000000000000000000001","pay_currency":"%s","payment_id":%s,'
                || '"payment_status":"finished","price_amount":20,"price_currency":"usd","purchase_id":"%s"}',
                deposited, me, deposited, a.code, a.code, 9000000000 + callback, callback), 'UTF8'),
            encode(sha512(callback::text::bytea), 'hex'), past_fact(9000000000 + callback, deposited, a.code, me), at
        from life where kind = 'deposit-credit' order by callback;
    insert into request (submitter, kind, key, payload_hash, job_id)
        select case kind when 'deposit-credit' then 2 when 'referral-commission' then 1 else 100 end, kind,
            case kind when 'deposit-credit' then past_fact(9000000000 + callback, deposited, a.code, me)
                when 'referral-commission' then concat_ws(':', trade, referrer, 1) else 'past-' || id end,
            sha256(id::text::bytea), id
        from life order by 1, 2, 3;
    insert into job (id, kind, payload, submitted_by, caused_by, received_at)
        select id, kind,
            case kind
                when 'user-register' then jsonb_strip_nulls(jsonb_build_object('referrer_id', referrer::text))
                when 'deposit-credit' then jsonb_build_object('inbox_id', callback::text)
                when 'lock-escrow' then jsonb_build_object('seller_id', me::text, 'buyer_id', you::text, 'asset', a.code,
                    'amount', traded, 'maker', 'seller')
                when 'trade-event' then jsonb_build_object('trade_id', trade::text, 'event', 'mark-paid', 'user_id', you::text)
                when 'release' then jsonb_build_object('trade_id', trade::text, 'user_id', me::text)
                when 'refund' then jsonb_build_object('trade_id', trade::text, 'user_id', you::text)
                when 'withdrawal-request' then jsonb_build_object('user_id', me::text, 'asset', a.code, 'amount', withdrawn,
                    'address', 'somewhere')
                else jsonb_build_object('trade_id', trade::text, 'referrer_id', referrer::text, 'level', 1, 'fee_stripe', 15)
            end,
            case kind when 'deposit-credit' then 2 when 'referral-commission' then 1 else 100 end,
            case kind when 'referral-commission' then b + 28 + 3 * x + n - 1 end, at
        from life order by id;
    insert into outcome (job_id, status, attempts, finished_at) select id, 'settled', 1, at from life order by id;
    insert into hold (id, account_id, subject, amount, closed_by)
        select id, mine, id, case kind when 'lock-escrow' then t else h end,
            case when kind = 'lock-escrow' then case when n < 4 then b + 28 + 3 * x + n - 1 else b + 34 + x end end
        from life where kind in ('lock-escrow', 'withdrawal-request') order by id;
    insert into trade (id, seller_id, buyer_id, asset, amount, hold_id, state, maker, maker_bps, taker_bps, maker_fee,
            taker_fee, opened_at, pay_by, paid_at, closed_at, referrals, commissioned)
        select id, me, you, an_asset, t, id, case when n < 4 then 'released' else 'refunded' end, 'seller', a.maker_bps,
            a.taker_bps, case when n < 4 then div(t * a.maker_bps, 10000) end,
            case when n < 4 then div(t * a.taker_bps, 10000) end, at, at + interval '120 minutes',
            past_at(b + 20 + 4 * x + n - 1, upto, till),
            past_at(case when n < 4 then b + 28 + 3 * x + n - 1 else b + 34 + x end, upto, till),
            case when p > 0 then 2 else 0 end, case when p > 0 and n < 4 then c else 0 end
        from life where kind = 'lock-escrow' order by id;
    insert into trade_referral (trade_id, side, level, referrer_id, tier, bps)
        select id, side, 1, referrer, 'standard', 2000
        from life cross join (values ('maker'), ('taker')) as s (side)
        where kind = 'lock-escrow' and p > 0 order by id, side;
    insert into commission (job_id, trade_id, referrer_id, level, base, bps, amount)
        select id, trade, referrer, 1, f, 2000, c from life where kind = 'referral-commission' order by id;
    insert into deposit (provider, payment_id, order_id, user_id, asset, status, state, outcome_text, outcome_currency,
            credited, credited_by, first_job, last_job)
        select 'nowpayments', (9000000000 + callback)::text, 'user-' || me, me, an_asset, 'finished', 'credited', deposited,
            a.code, d, id, id, id
        from life where kind = 'deposit-credit' order by id;
    insert into withdrawal_day (user_id, asset, day, version, used, day_max)
        select me, an_asset, (past_at(b + x, upto, till) at time zone 'UTC')::date, n, n * w, 1e27
        from life where kind = 'withdrawal-request' order by id;
    insert into withdrawal (id, user_id, requested_by, asset, rail, network, address, amount, fee, network_fee_max, hold_id,
            content_hash, state, approvals_needed, day, requested_at)
        select id, me, 100, an_asset, a.rail, a.network, 'somewhere', w, a.withdraw_fee, a.network_fee_max, id,
            sha256(id::text::bytea), 'awaiting_approval', 1, (past_at(b + x, upto, till) at time zone 'UTC')::date, at
        from life where kind = 'withdrawal-request' order by id;

    insert into transfer (job_id, leg, code, debit, credit, amount)
        select id, 0, 'deposit', world, mine, d from life where kind = 'deposit-credit'
        union all select id, 0, 'trade_settle', mine, yours, t - f from life where kind = 'release'
        union all select id, 1, 'trade_fee', mine, fees, f from life where kind = 'release'
        union all select id, 0, 'commission', fees, wallets + 2 * (p - 1), c from life where kind = 'referral-commission'
        order by 1, 2;
    insert into entry (account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held)
        -- The outside pays in.
        select world, 10 * p + 5 * x + n, id, 0, null::bigint, - d, 0, - d * (10 * p + 5 * x + n), 0
        from life where kind = 'deposit-credit'
        union all
        select mine, n, id, 0, null, d, 0, d * n, 0 from life where kind = 'deposit-credit'
        union all
        select mine, 5 + n, id, null, id, 0, t, 5 * d, t * n from life where kind = 'lock-escrow'
        -- The first of a pair releases and then receives, the second receives and then releases.
        union all
        select mine, 9 + 3 * x + 3 * (n - 1) + m, id, case m when 2 then 0 when 3 then 1 end, case m when 1 then trade end,
            case m when 1 then 0 when 2 then f - t else - f end, case m when 1 then - t else 0 end,
            5 * d + 3 * x * (t - f) - t * (n - 1) - case m when 1 then 0 when 2 then t - f else t end, t * (4 - n)
        from life cross join (values (1), (2), (3)) as move (m) where kind = 'release'
        union all
        select yours, 9 + 9 * x + n, id, 0, null, t - f, 0, 5 * d - 3 * x * t + n * (t - f), case x when 1 then t else 4 * t end
        from life where kind = 'release'
        union all
        select mine, 22, id, null, trade, 0, - t, 5 * d - 3 * f, 0 from life where kind = 'refund'
        union all
        select mine, 22 + n, id, null, id, 0, h, 5 * d - 3 * f, h * n from life where kind = 'withdrawal-request'
        union all
        select wallets + 2 * (p - 1), 24 + 3 * x + n, id, 0, null, c, 0, 5 * d - 3 * f + c * (3 * x + n), 2 * h
        from life where kind = 'referral-commission'
        -- Fees come in, and a share of them goes out again.
        union all
        select fees, greatest(12 * p - 6, 0) + 3 * x + n, id, 1, null, f, 0,
            f * (6 * p + 3 * x + n) - c * 6 * greatest(p - 1, 0), 0
        from life where kind = 'release'
        union all
        select fees, 12 * p + 3 * x + n, id, 0, null, - c, 0, f * 6 * (p + 1) - c * (6 * (p - 1) + 3 * x + n), 0
        from life where kind = 'referral-commission'
        order by 1, 2;
    drop table life, step;
end
$$;
