-- One job in one call, in whatever transaction its caller has open: what a handler of a peer does.

-- Changes a balance and writes the entry that says so.
create function change(job bigint, at_leg smallint, of_hold bigint, of_account bigint, posted_by numeric, held_by numeric)
    returns void language plpgsql
    as $$
begin
    with a as (
        update account set posted = posted + posted_by, held = held + held_by, version = version + 1
        where id = of_account returning id, version, posted, held
    )
    insert into entry (account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held)
    select id, version, job, at_leg, of_hold, posted_by, held_by, posted, held from a;
    if not found then
        raise exception 'job %: there is no account %', job, of_account;
    end if;
end
$$;

create function move(job bigint, at_leg smallint, for_what text, from_account bigint, to_account bigint, moved numeric)
    returns void language plpgsql
    as $$
begin
    insert into transfer (job_id, leg, code, debit, credit, amount)
    values (job, at_leg, for_what, from_account, to_account, moved);
    perform change(job, at_leg, null, from_account, -moved, 0);
    perform change(job, at_leg, null, to_account, moved, 0);
end
$$;

create function post_follow_up(job bigint, kind text, followed bigint, by bigint) returns void language plpgsql
    as $$
declare
    t trade;
    share record;
    stripe constant smallint := job % 16;
begin
    update trade set
        state = case kind when 'mark-paid' then 'paid' when 'release' then 'released' else 'refunded' end,
        paid_at = case kind when 'mark-paid' then now() else paid_at end,
        closed_at = case when kind <> 'mark-paid' then now() end,
        maker_fee = case kind when 'release' then div(amount * maker_bps, 10000) end,
        taker_fee = case kind when 'release' then div(amount * taker_bps, 10000) end
    where id = followed and state = case kind when 'mark-paid' then 'awaiting_payment' else 'paid' end
        and by = case kind when 'release' then seller else buyer end
    returning * into t;
    if not found then
        raise exception 'job %: trade % is not in a state for %', job, followed, kind;
    end if;
    if kind = 'mark-paid' then
        return;
    end if;
    update hold set closed_by = job where id = t.hold_id and closed_by is null;
    if kind = 'refund' then
        perform change(job, null, t.hold_id, wallet(t.seller, t.asset), 0, -t.amount);
        return;
    end if;
    insert into account (id, owner, asset)
    select distinct wallet(w.owner, t.asset), w.owner, t.asset
    from person s, person b, lateral (values (t.buyer), (s.referrer), (b.referrer)) as w (owner)
    where s.id = t.seller and b.id = t.buyer and w.owner is not null
        and not exists (select from account a where a.id = wallet(w.owner, t.asset))
    order by 1 on conflict do nothing;
    -- People's accounts in the order of ids; those of the house, which many meet at, come last.
    perform from account a
    where a.id in (
        select wallet(w.owner, t.asset) from person s, person b,
            lateral (values (t.seller), (t.buyer), (s.referrer), (b.referrer)) as w (owner)
        where s.id = t.seller and b.id = t.buyer)
    order by a.id for update;
    perform change(job, null, t.hold_id, wallet(t.seller, t.asset), 0, -t.amount);
    perform move(job, 0::smallint, 'trade_settle', wallet(t.seller, t.asset), wallet(t.buyer, t.asset),
        t.amount - t.maker_fee - t.taker_fee);
    if t.maker_fee + t.taker_fee > 0 then
        perform move(job, 1::smallint, 'trade_fee', wallet(t.seller, t.asset), fee(t.asset, stripe),
            t.maker_fee + t.taker_fee);
    end if;
    for share in
        select p.referrer, div(sum(x.of_fee) * 2000, 10000) as amount, 1 + row_number() over (order by p.referrer) as leg
        from (values (t.seller, t.maker_fee), (t.buyer, t.taker_fee)) as x (payer, of_fee)
        join person p on p.id = x.payer
        where p.referrer is not null group by p.referrer
    loop
        if share.amount > 0 then
            perform move(job, share.leg::smallint, 'commission', fee(t.asset, stripe), wallet(share.referrer, t.asset),
                share.amount);
        end if;
    end loop;
end
$$;

create function post_job(job bigint, kind text, p jsonb) returns void language plpgsql
    as $$
declare
    who constant bigint := (p ->> 'person')::bigint;
    coin constant smallint := (p ->> 'asset')::smallint;
    sum constant numeric := (p ->> 'amount')::numeric;
    extra numeric;
begin
    insert into done (job_id) values (job);
    case kind
    when 'deposit-credit' then
        insert into deposit (payment, person, asset, credited, credited_by)
        values ((p ->> 'payment')::bigint, who, coin, sum, job);
        insert into transfer (job_id, leg, code, debit, credit, amount)
        values (job, 0, 'deposit', world(coin, (job % 16)::smallint), wallet(who, coin), sum);
        perform change(job, 0::smallint, null, wallet(who, coin), sum, 0);
        perform change(job, 0::smallint, null, world(coin, (job % 16)::smallint), -sum, 0);
    when 'lock-escrow' then
        insert into trade (id, seller, buyer, asset, amount, hold_id, state, maker_bps, taker_bps, opened_at, pay_by)
        values (job, who, (p ->> 'buyer')::bigint, coin, sum, job, 'awaiting_payment', 20, 20, now(),
            now() + interval '2 hours');
        insert into hold (id, account_id, subject, amount) values (job, wallet(who, coin), job, sum);
        perform change(job, null, job, wallet(who, coin), 0, sum);
    when 'withdrawal-request' then
        extra := (p ->> 'fee')::numeric;
        insert into withdrawal (id, person, asset, amount, fee, address, hold_id, state, requested_at)
        values (job, who, coin, sum, extra, p ->> 'address', job, 'awaiting_approval', now());
        insert into hold (id, account_id, subject, amount) values (job, wallet(who, coin), job, sum + extra);
        perform change(job, null, job, wallet(who, coin), 0, sum + extra);
    when 'user-register' then
        insert into person (id, referrer) values (who, (p ->> 'referrer')::bigint);
    else
        perform post_follow_up(job, kind, (p ->> 'trade')::bigint, who);
    end case;
end
$$;
