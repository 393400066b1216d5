-- Time: trades that expire, are cancelled, undone and extended. Referrals: what is fixed at lock and
-- what was paid. Both rest on rules that an operator may set.

create table rules (
    singleton boolean not null default true,
    pay_window interval not null default interval '120 minutes',
    expiry_grace interval not null default interval '60 seconds',
    extension_max interval not null default interval '60 minutes',
    constraint rules_pk primary key (singleton),
    constraint rules_one_row check (singleton),
    constraint rules_pay_window_range check (pay_window between interval '1 minute' and interval '30 days'),
    -- Enqueue transactions end within 5 seconds: less grace than 30 would let an expiry overtake a mark-paid.
    constraint rules_grace_range check (expiry_grace between interval '30 seconds' and interval '1 day'),
    constraint rules_extension_range check (extension_max between interval '0' and interval '7 days')
);
comment on table rules is 'What an operator may set for the whole exchange; workers read it with every heartbeat';
comment on column rules.singleton is 'Always true: there is one row';
comment on column rules.pay_window is 'How long the buyer has to say that they paid, from the lock';
comment on column rules.expiry_grace is 'How long after the deadline a trade expires: covers what was received in time and is being recorded';
comment on column rules.extension_max is 'By how much a seller may put the deadline off, once';
insert into rules default values;

create table referral_rate (
    tier text not null,
    level smallint not null,
    bps smallint not null,
    constraint referral_rate_pk primary key (tier, level),
    constraint referral_rate_tier_known check (tier in ('standard', 'golden')),
    constraint referral_rate_level_range check (level between 1 and 3),
    constraint referral_rate_range check (bps between 1 and 10000)
);
comment on table referral_rate is 'Which share of a fee a referrer gets; fixed on a trade when it is locked';
comment on column referral_rate.tier is 'The referrer''s tier';
comment on column referral_rate.level is '1 brought the trader, 2 brought level 1, 3 brought level 2; only level 1 is paid so far';
comment on column referral_rate.bps is 'Basis points of the fee; a rate of nothing is no row, and a missing row parks the commission';
insert into referral_rate (tier, level, bps) values ('standard', 1, 2000), ('golden', 1, 5000);

alter table trade
    add column timer_generation smallint not null default 1,
    add column extended_at timestamptz,
    add column undone_at timestamptz,
    add column ended_at timestamptz,
    add column commissioned numeric(38,0) not null default 0,
    add column referrals smallint,
    drop constraint trade_state_known,
    drop constraint trade_closed_has_time,
    add constraint trade_state_known check (state in
        ('awaiting_payment', 'paid', 'released', 'refunded', 'cancelled', 'expired')),
    add constraint trade_closed_has_time check (
        (state in ('released', 'refunded')) <= (closed_at is not null)
        and (state in ('awaiting_payment', 'paid')) <= (closed_at is null)),
    add constraint trade_ended_has_time check ((state in ('cancelled', 'expired')) = (ended_at is not null)),
    add constraint trade_expired_unpaid check (state <> 'expired' or paid_at is null),
    add constraint trade_generation_range check (timer_generation between 1 and 3),
    add constraint trade_commissioned_within_fees check (
        commissioned >= 0 and commissioned <= coalesce(maker_fee + taker_fee, 0));
comment on column trade.state is 'awaiting_payment, paid, released, refunded, cancelled or expired';
comment on column trade.closed_at is 'When the hold was closed: released, or given back';
comment on column trade.timer_generation is 'Raised by extending and undoing: a timer of an older generation does nothing';
comment on column trade.extended_at is 'When the seller''s extension was received; once';
comment on column trade.undone_at is 'When the buyer took their mark-paid back; once';
comment on column trade.ended_at is 'When it was cancelled or expired; the refund that this causes closes the hold';
comment on column trade.referrals is 'How many shares in its fees were fixed at lock (see trade_referral); null for trades older than that';
comment on column trade.commissioned is 'What of the fees went to referrers so far; minor units';

-- Timers: who is due is read in this order, each trade once (see timer_watch).
create index trade_pay_by on trade (pay_by, id);
-- Lists of a person's trades, newest first.
create index trade_seller on trade (seller_id, id);
create index trade_buyer on trade (buyer_id, id);

drop trigger trade_transition on trade;
create trigger trade_transition before update on trade
    for each row when (
        (old.state <> new.state and (old.state, new.state) not in (
            ('awaiting_payment', 'paid'), ('awaiting_payment', 'released'), ('awaiting_payment', 'refunded'),
            ('awaiting_payment', 'cancelled'), ('awaiting_payment', 'expired'),
            ('paid', 'released'), ('paid', 'refunded'), ('paid', 'cancelled'),
            ('paid', 'awaiting_payment'), ('paid', 'expired')))
        -- Back from paid leads only through an undo, and that happens once.
        or (old.state = 'paid' and new.state in ('awaiting_payment', 'expired') and new.undone_at is null)
        or (old.undone_at is not null and new.undone_at is distinct from old.undone_at)
        or (old.extended_at is not null and new.extended_at is distinct from old.extended_at)
        -- What is over stays as it is; only the money of a cancelled or expired trade still goes back.
        or (old.closed_at is not null and (old.closed_at, old.state, old.hold_id) is distinct from
            (new.closed_at, new.state, new.hold_id))
        or (old.closed_at is not null and (old.maker_fee is distinct from new.maker_fee
            or old.taker_fee is distinct from new.taker_fee or old.paid_at is distinct from new.paid_at))
        or (old.ended_at is not null and (old.ended_at is distinct from new.ended_at or old.state <> new.state
            or old.paid_at is distinct from new.paid_at))
        or new.timer_generation < old.timer_generation
        or (new.pay_by <> old.pay_by and new.timer_generation = old.timer_generation)
        or old.id <> new.id or old.seller_id <> new.seller_id or old.buyer_id <> new.buyer_id
        or old.asset <> new.asset or old.amount <> new.amount or old.referrals is distinct from new.referrals
        or old.maker_bps <> new.maker_bps or old.taker_bps <> new.taker_bps)
    execute function refuse_change('no such transition');

-- A timer is no row of its own while it runs: the trade's deadline is. When it falls due, a timer-expiry
-- is caused, once for each trade and generation; this row remembers how far that has come.
create table timer_watch (
    singleton boolean not null default true,
    swept_to timestamptz not null,
    swept_id bigint not null,
    constraint timer_watch_pk primary key (singleton),
    constraint timer_watch_one_row check (singleton)
);
comment on table timer_watch is 'Up to which deadline the timers of trades have been caused';
comment on column timer_watch.singleton is 'Always true: there is one row; its lock lets one worker sweep at a time';
comment on column timer_watch.swept_to is 'Every trade with an earlier deadline has been looked at';
comment on column timer_watch.swept_id is 'Of those with exactly this deadline, the ones up to this id';
insert into timer_watch (swept_to, swept_id) values ('2000-01-01 00:00:00+00', 0);

create table trade_referral (
    trade_id bigint not null,
    side text not null,
    level smallint not null,
    referrer_id bigint not null,
    tier text not null,
    bps smallint,
    constraint trade_referral_pk primary key (trade_id, side, level),
    constraint trade_referral_side_known check (side in ('maker', 'taker')),
    constraint trade_referral_level_range check (level between 1 and 3),
    constraint trade_referral_tier_known check (tier in ('standard', 'golden')),
    constraint trade_referral_rate_range check (bps between 1 and 10000)
);
comment on table trade_referral is 'Who brought the two sides of a trade, and at which rate they share in the fees: fixed at lock';
comment on column trade_referral.trade_id is 'The trade';
comment on column trade_referral.side is 'Whose fee is shared: maker or taker';
comment on column trade_referral.level is 'As in referral_rate';
comment on column trade_referral.referrer_id is 'Who brought that side';
comment on column trade_referral.tier is 'Their tier at lock';
comment on column trade_referral.bps is 'Their rate at lock; null where none was set, and then the commission is parked';
create trigger trade_referral_append_only before update or delete or truncate on trade_referral
    for each statement execute function refuse_change('what is fixed at lock stays');

create table commission (
    job_id bigint not null,
    trade_id bigint not null,
    referrer_id bigint not null,
    level smallint not null,
    base numeric(38,0) not null,
    bps smallint not null,
    amount numeric(38,0) not null,
    constraint commission_pk primary key (job_id),
    constraint commission_once unique (trade_id, referrer_id, level),
    constraint commission_level_range check (level between 1 and 3),
    constraint commission_rate_range check (bps between 1 and 10000),
    constraint commission_base_range check (base >= 0 and base <> 'NaN'),
    constraint commission_is_floor check (amount = div(base * bps, 10000))
);
create index commission_referrer on commission (referrer_id, job_id);
comment on table commission is 'What a referrer was paid out of a trade''s fees';
comment on column commission.job_id is 'The job that paid it';
comment on column commission.trade_id is 'The trade; its asset is the commission''s';
comment on column commission.referrer_id is 'Who was paid';
comment on column commission.level is 'As in referral_rate';
comment on column commission.base is 'The fees of the sides that they brought; minor units';
comment on column commission.bps is 'The rate';
comment on column commission.amount is 'Their share, floored; 0 on dust, and then nothing moved; minor units';
create trigger commission_append_only before update or delete or truncate on commission
    for each statement execute function refuse_change('commission is append-only');
create index app_user_referrer on app_user (referrer_id, id) where referrer_id is not null;

-- Why is this money here? Every job about a trade or a withdrawal, found by what its payload names.
create index job_subject on job ((coalesce(payload ->> 'trade_id', payload ->> 'withdrawal_id')))
    where kind in ('trade-event', 'release', 'refund', 'timer-expiry', 'referral-commission', 'withdrawal-decision');

grant select on rules, referral_rate, timer_watch, trade_referral, commission to holdfast_api, holdfast_worker;
grant insert on trade_referral, commission to holdfast_worker;
grant update (swept_to, swept_id) on timer_watch to holdfast_worker;
grant update (timer_generation, extended_at, undone_at, ended_at, commissioned) on trade to holdfast_worker;

update schema set version = 7, oldest_binary = 7;
