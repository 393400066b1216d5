-- What the jobs are about: trades in escrow, and deposits with the callbacks that told of them.

create table trade (
    id bigint not null,
    seller_id bigint not null,
    buyer_id bigint not null,
    asset smallint not null,
    amount numeric(38,0) not null,
    hold_id bigint not null,
    state text not null,
    maker text not null,
    maker_bps smallint not null,
    taker_bps smallint not null,
    maker_fee numeric(38,0),
    taker_fee numeric(38,0),
    opened_at timestamptz not null,
    pay_by timestamptz not null,
    paid_at timestamptz,
    closed_at timestamptz,
    constraint trade_pk primary key (id),
    constraint trade_two_people check (seller_id <> buyer_id),
    constraint trade_amount_positive check (amount > 0 and amount <> 'NaN'),
    constraint trade_maker_known check (maker in ('seller', 'buyer')),
    constraint trade_rates_range check (maker_bps >= 0 and taker_bps >= 0 and maker_bps + taker_bps <= 10000),
    constraint trade_state_known check (state in ('awaiting_payment', 'paid', 'released', 'refunded')),
    constraint trade_pay_by_after_open check (pay_by > opened_at),
    constraint trade_paid_has_time check (state <> 'paid' or paid_at is not null),
    constraint trade_closed_has_time check ((state in ('released', 'refunded')) = (closed_at is not null)),
    constraint trade_released_was_paid check (state <> 'released' or paid_at is not null),
    constraint trade_fees_on_release check (
        (state = 'released') = (maker_fee is not null) and (maker_fee is null) = (taker_fee is null)),
    constraint trade_fees_within_amount check (maker_fee >= 0 and taker_fee >= 0 and maker_fee + taker_fee <= amount)
) with (fillfactor = 75);
comment on table trade is 'A peer-to-peer trade whose crypto side is held in escrow';
comment on column trade.id is 'The id of the lock-escrow job that opened it';
comment on column trade.seller_id is 'Whose wallet the hold stands in';
comment on column trade.buyer_id is 'Who receives on release';
comment on column trade.asset is 'What is traded';
comment on column trade.amount is 'Exactly what is held; minor units';
comment on column trade.hold_id is 'The open or last hold';
comment on column trade.state is 'awaiting_payment, paid, released or refunded';
comment on column trade.maker is 'Whose offer it was: seller or buyer';
comment on column trade.maker_bps is 'Maker fee fixed at lock; basis points';
comment on column trade.taker_bps is 'Taker fee fixed at lock; basis points';
comment on column trade.maker_fee is 'Taken on release, floored; minor units';
comment on column trade.taker_fee is 'Taken on release, floored; minor units';
comment on column trade.opened_at is 'When the lock settled';
comment on column trade.pay_by is 'A mark-paid received later than this is refused';
comment on column trade.paid_at is 'When the buyer''s mark-paid was received';
comment on column trade.closed_at is 'When it was released or refunded';

-- The state machine once more: the expression is evaluated for every update, the function only
-- when a transition is not in the list. A batch may take a trade several steps at once, so the
-- list has every pair that lies on a path; that a released trade was paid is a constraint above.
create trigger trade_transition before update on trade
    for each row when (
        (old.state <> new.state and (old.state, new.state) not in (
            ('awaiting_payment', 'paid'), ('awaiting_payment', 'released'), ('awaiting_payment', 'refunded'),
            ('paid', 'released'), ('paid', 'refunded')))
        or (old.state in ('released', 'refunded'))
        or old.id <> new.id or old.seller_id <> new.seller_id or old.buyer_id <> new.buyer_id
        or old.asset <> new.asset or old.amount <> new.amount
        or old.maker_bps <> new.maker_bps or old.taker_bps <> new.taker_bps)
    execute function refuse_change('no such transition');
create trigger trade_kept before delete or truncate on trade
    for each statement execute function refuse_change('trades are kept');

create table ipn_inbox (
    id bigint generated always as identity,
    provider text not null,
    body bytea not null,
    signature text not null,
    fact_key text,
    received_at timestamptz not null default clock(),
    constraint ipn_inbox_pk primary key (id),
    constraint ipn_inbox_provider_known check (provider in ('nowpayments')),
    constraint ipn_inbox_body_bounded check (octet_length(body) between 1 and 65536)
);
comment on table ipn_inbox is 'Every authentic callback as it came, whatever we think of it';
comment on column ipn_inbox.id is 'What a deposit-credit job names';
comment on column ipn_inbox.provider is 'Who sent it';
comment on column ipn_inbox.body is 'The raw body; the worker verifies it again';
comment on column ipn_inbox.signature is 'The signature header as it came';
comment on column ipn_inbox.fact_key is 'The fact that the body states, as keyed in request; null when it states none that we act on';
comment on column ipn_inbox.received_at is 'When';
create trigger ipn_inbox_append_only before update or delete or truncate on ipn_inbox
    for each statement execute function refuse_change('ipn_inbox is append-only');

create table deposit (
    provider text not null,
    payment_id text not null,
    parent_payment_id text,
    order_id text,
    user_id bigint,
    asset smallint,
    status text not null,
    state text not null,
    outcome_text text,
    outcome_currency text,
    credited numeric(38,0),
    credited_by bigint,
    clawed_back numeric(38,0),
    shortfall numeric(38,0),
    clawed_back_by bigint,
    review_reason text,
    first_job bigint not null,
    last_job bigint not null,
    constraint deposit_pk primary key (provider, payment_id),
    constraint deposit_payment_id_digits check (payment_id ~ '^[0-9]{1,20}$'),
    constraint deposit_state_known check (state in
        ('seen', 'expired', 'failed', 'refunded', 'credited', 'reversed', 'loss', 'review', 'rejected')),
    constraint deposit_credited_whole check (
        (credited is null) = (credited_by is null) and (credited is null or (user_id is not null and asset is not null))),
    constraint deposit_credited_state check ((state in ('credited', 'reversed', 'loss')) <= (credited is not null)),
    constraint deposit_credited_range check (credited >= 0 and credited <> 'NaN'),
    constraint deposit_clawback_whole check ((clawed_back is null) = (clawed_back_by is null)
        and (clawed_back is null) = (shortfall is null)),
    constraint deposit_clawback_state check ((state in ('reversed', 'loss')) = (clawed_back is not null)),
    constraint deposit_clawback_capped check (
        clawed_back >= 0 and shortfall >= 0 and clawed_back + shortfall <= credited),
    constraint deposit_review_reason check ((state = 'review') <= (review_reason is not null))
) with (fillfactor = 80);
comment on table deposit is 'A payment at the provider, and what we made of it';
comment on column deposit.provider is 'Who holds the payment';
comment on column deposit.payment_id is 'The provider''s id: the one thing a credit is keyed by';
comment on column deposit.parent_payment_id is 'Set by the provider for repeated and wrong-asset deposits';
comment on column deposit.order_id is 'Our reference, as the provider gave it back';
comment on column deposit.user_id is 'Whom the order id names; null when it names nobody we know';
comment on column deposit.asset is 'The asset of outcome_currency; null when we do not know it';
comment on column deposit.status is 'The provider''s status of highest rank so far';
comment on column deposit.state is 'Ours: see docs/decisions on deposits';
comment on column deposit.outcome_text is 'The amount as the provider wrote it, never rounded';
comment on column deposit.outcome_currency is 'The currency as the provider wrote it';
comment on column deposit.credited is 'What the wallet received, minor units; 0 when all of it was dust';
comment on column deposit.credited_by is 'The job that credited it';
comment on column deposit.clawed_back is 'What a refund at the provider took from the wallet again';
comment on column deposit.shortfall is 'What the wallet no longer had and is owed as a receivable';
comment on column deposit.clawed_back_by is 'The job that took it back';
comment on column deposit.review_reason is 'Why a person must look';
comment on column deposit.first_job is 'The job that first told of it';
comment on column deposit.last_job is 'The job that last changed it';
create trigger deposit_credited_once before update on deposit
    for each row when (
        (old.credited_by is not null and (old.credited_by is distinct from new.credited_by
            or old.credited is distinct from new.credited or old.user_id is distinct from new.user_id
            or old.asset is distinct from new.asset))
        or (old.clawed_back_by is not null and (old.clawed_back_by is distinct from new.clawed_back_by
            or old.clawed_back is distinct from new.clawed_back or old.shortfall is distinct from new.shortfall))
        or old.provider <> new.provider or old.payment_id <> new.payment_id)
    execute function refuse_change('a deposit is credited once and clawed back once');
create trigger deposit_kept before delete or truncate on deposit
    for each statement execute function refuse_change('deposits are kept');
