-- Any number of jobs at once: two statements for the missing wallets and for everything else. Each
-- account is locked once, in the order of ids, and read as it is then; running balances are windows.
-- Postgres finishes the writing parts of such a statement from the last to the first, so that what
-- needs no account is written before any is locked.
-- Which jobs are done is noted for who does not empty the queue in the same transaction.
create function post_batch(ids bigint[], kinds text[], payloads jsonb[], stripe smallint, keep boolean default true)
    returns void
    language plpgsql set enable_seqscan = off set enable_mergejoin = off set plan_cache_mode = force_generic_plan
    as $$
declare
    ended bigint;
begin
    insert into account (id, owner, asset)
    select distinct wallet(w.owner, t.asset), w.owner, t.asset
    from unnest(kinds, payloads) as j (kind, payload)
    join trade t on t.id = (j.payload ->> 'trade')::bigint
    join person s on s.id = t.seller
    join person b on b.id = t.buyer
    cross join lateral (values (t.buyer), (s.referrer), (b.referrer)) as w (owner)
    where j.kind = 'release' and w.owner is not null
        and not exists (select from account a where a.id = wallet(w.owner, t.asset))
    order by 1
    on conflict do nothing;

    with job as materialized (
        select id, kind, (p ->> 'person')::bigint as person, (p ->> 'asset')::smallint as asset,
            (p ->> 'amount')::numeric as amount, (p ->> 'trade')::bigint as trade, p
        from unnest(ids, kinds, payloads) as j (id, kind, p)
    ), followed as (
        update trade t set
            state = case j.kind when 'mark-paid' then 'paid' when 'release' then 'released' else 'refunded' end,
            paid_at = case j.kind when 'mark-paid' then now() else t.paid_at end,
            closed_at = case when j.kind <> 'mark-paid' then now() end,
            maker_fee = case j.kind when 'release' then div(t.amount * t.maker_bps, 10000) end,
            taker_fee = case j.kind when 'release' then div(t.amount * t.taker_bps, 10000) end
        from job j
        where t.id = j.trade and t.state = case j.kind when 'mark-paid' then 'awaiting_payment' else 'paid' end
            and j.person = case j.kind when 'release' then t.seller else t.buyer end
        returning j.id, j.kind, t.seller, t.buyer, t.asset, t.amount, t.hold_id, t.maker_fee, t.taker_fee
    ), moved as materialized (
        select id, 0 as leg, 'deposit' as code, world(asset, stripe) as debit, wallet(person, asset) as credit, amount
        from job where kind = 'deposit-credit'
        union all
        select id, 0, 'trade_settle', wallet(seller, asset), wallet(buyer, asset), amount - maker_fee - taker_fee
        from followed where kind = 'release'
        union all
        select id, 1, 'trade_fee', wallet(seller, asset), fee(asset, stripe), maker_fee + taker_fee
        from followed where kind = 'release' and maker_fee + taker_fee > 0
        union all
        select f.id, 1 + c.leg, 'commission', fee(f.asset, stripe), wallet(c.referrer, f.asset), c.amount
        from followed f
        join person s on s.id = f.seller
        join person b on b.id = f.buyer
        cross join lateral (
            select referrer, div(sum(of_fee) * 2000, 10000) as amount, row_number() over (order by referrer) as leg
            from (values (s.referrer, f.maker_fee), (b.referrer, f.taker_fee)) as shared (referrer, of_fee)
            where referrer is not null group by referrer
        ) c
        where f.kind = 'release' and c.amount > 0
    ), opened as (
        insert into hold (id, account_id, subject, amount)
        select id, wallet(person, asset), id, amount + coalesce((p ->> 'fee')::numeric, 0)
        from job where kind in ('lock-escrow', 'withdrawal-request')
        returning id, account_id, amount
    ), closed as (
        update hold h set closed_by = f.id from followed f where h.id = f.hold_id and f.kind <> 'mark-paid'
            and h.closed_by is null
        returning f.id as job, h.id, h.account_id, h.amount
    ), change as materialized (
        select debit as account, id as job, leg, null::bigint as hold, -amount as d_posted, 0::numeric as d_held from moved
        union all
        select credit, id, leg, null, amount, 0 from moved
        union all
        select account_id, id, null, id, 0, amount from opened
        union all
        select account_id, job, null, id, 0, -amount from closed
    ), held as materialized (
        select a.id, a.posted, a.held, a.version from account a
        where a.id = any (array(select distinct account from change)) order by a.id for update
    ), running as materialized (
        select c.account, h.version + row_number() over w as version, c.job, c.leg, c.hold, c.d_posted, c.d_held,
            h.posted + sum(c.d_posted) over w as posted, h.held + sum(c.d_held) over w as held,
            lead(c.job) over w is null as newest
        from change c left join held h on h.id = c.account
        window w as (partition by c.account order by c.job, c.leg nulls first rows unbounded preceding)
    ), entered as (
        insert into entry (account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held)
        select account, version, job, leg, hold, d_posted, d_held, posted, held from running
    ), balanced as (
        update account a set posted = r.posted, held = r.held, version = r.version
        from running r where a.id = r.account and r.newest
    ), transferred as (
        insert into transfer (job_id, leg, code, debit, credit, amount) select * from moved
    ), noted as (
        insert into done (job_id) select id from job where keep
    ), registered as (
        insert into person (id, referrer) select person, (p ->> 'referrer')::bigint from job where kind = 'user-register'
    ), deposited as (
        insert into deposit (payment, person, asset, credited, credited_by)
        select (p ->> 'payment')::bigint, person, asset, amount, id from job where kind = 'deposit-credit'
    ), locked as (
        insert into trade (id, seller, buyer, asset, amount, hold_id, state, maker_bps, taker_bps, opened_at, pay_by)
        select id, person, (p ->> 'buyer')::bigint, asset, amount, id, 'awaiting_payment', 20, 20, now(),
            now() + interval '2 hours'
        from job where kind = 'lock-escrow'
    ), asked as (
        insert into withdrawal (id, person, asset, amount, fee, address, hold_id, state, requested_at)
        select id, person, asset, amount, (p ->> 'fee')::numeric, p ->> 'address', id, 'awaiting_approval', now()
        from job where kind = 'withdrawal-request'
    )
    -- What was followed up has ended as it should; a change without an account has no version and fails.
    select (select count(*) from job where trade is null) + (select count(*) from followed)
        - abs((select count(*) from closed) - (select count(*) from followed where kind <> 'mark-paid'))
    into ended;
    if ended is distinct from cardinality(ids) then
        raise exception 'a batch of % jobs ended with % of them', cardinality(ids), ended;
    end if;
end
$$;

-- The strongest queue written by hand: one call claims what comes after the last one, posts and
-- deletes. It returns the last job, so that the next call need not step over what is deleted.
create function settle_some(batch integer, stripe smallint, after bigint) returns bigint
    language plpgsql set enable_seqscan = off
    as $$
declare
    ids bigint[];
    kinds text[];
    payloads jsonb[];
begin
    with claimed as (
        delete from queue
        where id = any (array(select id from queue where id > after order by id limit batch for update skip locked))
        returning id, kind, payload
    )
    select array_agg(id), array_agg(kind), array_agg(payload) into ids, kinds, payloads from claimed;
    if ids is null then
        return null;
    end if;
    perform post_batch(ids, kinds, payloads, stripe, false);
    return (select max(id) from unnest(ids) as id);
end
$$;

-- The same through a table of one row per job that is updated: ready, running, done. A queue whose
-- workers die must have committed that a job is running, so it takes two calls.
create function single_claim(batch integer) returns bigint[]
    language sql set enable_seqscan = off
    as $$
    with taken as (
        update single set state = 'running', attempts = attempts + 1, locked_by = 'worker', locked_at = now()
        where id = any (array(
            select id from single where queue = 'ledger' and state = 'ready' and run_at <= now()
            order by priority, run_at, id limit batch for update skip locked))
        returning id
    )
    select array_agg(id) from taken
    $$;

create function single_settle(claimed bigint[], stripe smallint) returns integer
    language plpgsql set enable_seqscan = off
    as $$
declare
    ids bigint[];
    kinds text[];
    payloads jsonb[];
begin
    with finished as (
        update single set state = 'done', finished_at = now() where id = any (claimed) and state = 'running'
        returning id, kind, payload
    )
    select array_agg(id), array_agg(kind), array_agg(payload) into ids, kinds, payloads from finished;
    perform post_batch(ids, kinds, payloads, stripe, false);
    return cardinality(ids);
end
$$;
