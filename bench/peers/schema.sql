-- The ledger that every peer posts into: the rows that Holdfast writes for the same jobs, with the
-- same guarantees, in the shape that suits a transaction per job or a bulk procedure best. Balances
-- stand in the account, an account's id is worked out from its owner and asset, and nothing has an
-- index for timers, lists of trades, limits or debts. All of that favours the peers.

create table person (
    id bigint primary key,
    referrer bigint
);

create table account (
    id bigint primary key,
    owner bigint not null,
    asset smallint not null,
    posted numeric(38,0) not null default 0,
    held numeric(38,0) not null default 0,
    version bigint not null default 0,
    constraint account_held_not_negative check (held >= 0),
    constraint account_available_not_negative check (posted - held >= 0 or id < 0)
) with (fillfactor = 60);
comment on column account.id is 'wallet(owner, asset); of the house: world(asset, stripe), below zero, or fee(asset, stripe)';
comment on column account.version is 'That of its newest entry';

create function wallet(owner bigint, asset smallint) returns bigint language sql immutable parallel safe
    as $$ select owner * 64 + asset $$;
create function world(asset smallint, stripe smallint) returns bigint language sql immutable parallel safe
    as $$ select -(asset * 16 + stripe)::bigint $$;
-- People's numbers begin at 1,000, so that these are nobody's wallet.
create function fee(asset smallint, stripe smallint) returns bigint language sql immutable parallel safe
    as $$ select (asset * 16 + stripe)::bigint $$;

create table transfer (
    job_id bigint not null,
    leg smallint not null,
    code text not null,
    debit bigint not null,
    credit bigint not null,
    amount numeric(38,0) not null,
    primary key (job_id, leg),
    check (amount > 0),
    check (debit <> credit)
);

create table entry (
    account_id bigint not null,
    version bigint not null,
    job_id bigint not null,
    leg smallint,
    hold_id bigint,
    d_posted numeric(38,0) not null,
    d_held numeric(38,0) not null,
    posted numeric(38,0) not null,
    held numeric(38,0) not null,
    primary key (account_id, version),
    check ((leg is null) <> (hold_id is null)),
    check (held >= 0),
    check (posted - held >= 0 or account_id < 0)
);

create table hold (
    id bigint primary key,
    account_id bigint not null,
    subject bigint not null,
    amount numeric(38,0) not null check (amount > 0),
    closed_by bigint
) with (fillfactor = 50);

create table trade (
    id bigint primary key,
    seller bigint not null,
    buyer bigint not null,
    asset smallint not null,
    amount numeric(38,0) not null,
    hold_id bigint not null,
    state text not null check (state in ('awaiting_payment', 'paid', 'released', 'refunded')),
    maker_bps smallint not null,
    taker_bps smallint not null,
    maker_fee numeric(38,0),
    taker_fee numeric(38,0),
    opened_at timestamptz not null,
    pay_by timestamptz not null,
    paid_at timestamptz,
    closed_at timestamptz,
    check (seller <> buyer)
) with (fillfactor = 45);

create table deposit (
    payment bigint primary key,
    person bigint not null,
    asset smallint not null,
    credited numeric(38,0) not null,
    credited_by bigint not null
);

create table withdrawal (
    id bigint primary key,
    person bigint not null,
    asset smallint not null,
    amount numeric(38,0) not null,
    fee numeric(38,0) not null,
    address text not null,
    hold_id bigint not null,
    state text not null,
    requested_at timestamptz not null
);

create table done (
    job_id bigint primary key
);
comment on table done is 'Jobs whose effects are committed: who posts one again fails';

-- The same jobs for everybody, in their order; each contestant puts them into its own queue.
create table load (
    id bigint primary key,
    kind text not null,
    payload jsonb not null
);

-- What a queue written by hand needs, and nothing else.
create table queue (
    id bigint primary key,
    kind text not null,
    payload jsonb not null
) with (autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0);

-- The shape of most queues on Postgres: one row that is updated through its states.
create table single (
    id bigint primary key,
    queue text not null default 'ledger',
    kind text not null,
    payload jsonb not null,
    state text not null default 'ready' check (state in ('ready', 'running', 'done', 'failed')),
    priority smallint not null default 0,
    attempts integer not null default 0,
    run_at timestamptz not null default now(),
    locked_by text,
    locked_at timestamptz,
    finished_at timestamptz
);
create index single_ready on single (queue, state, priority, run_at, id);
create index single_kind on single (kind, state);
create index single_locked on single (locked_at) where state = 'running';
create index single_finished on single (finished_at) where state = 'done';
