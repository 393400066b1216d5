-- The registry of assets, the principals that submit, their keys, and the exchange's people.

create table asset (
    id smallint not null,
    code text not null,
    name text not null,
    chain_decimals smallint not null,
    scale smallint not null,
    credit_max numeric(38,0) not null,
    maker_bps smallint not null,
    taker_bps smallint not null,
    confirmations smallint not null,
    constraint asset_pk primary key (id),
    constraint asset_code_unique unique (code),
    constraint asset_code_form check (code ~ '^[a-z0-9]{2,20}$'),
    constraint asset_scale_range check (scale between 0 and 18 and scale <= chain_decimals),
    constraint asset_credit_max_range check (credit_max > 0 and credit_max < 79228162514264337593543950336),
    constraint asset_fees_range check (maker_bps >= 0 and taker_bps >= 0 and maker_bps + taker_bps <= 10000),
    constraint asset_confirmations_range check (confirmations between 0 and 10000)
);
comment on table asset is 'What can be held: one row per coin and chain';
comment on column asset.id is 'Stored in every account; never reused';
comment on column asset.code is 'The code that clients and the payment provider use';
comment on column asset.name is 'For people';
comment on column asset.chain_decimals is 'Decimal places that the chain itself knows';
comment on column asset.scale is 'Decimal places of one unit in our minor units; the whole supply fits 96 bits';
comment on column asset.credit_max is 'A single credit above this goes to review; minor units';
comment on column asset.maker_bps is 'Maker fee that new trades are locked with; basis points';
comment on column asset.taker_bps is 'Taker fee that new trades are locked with; basis points';
comment on column asset.confirmations is 'Confirmations asked for where a count is reported';

-- Scales: the chain's decimals, except where the supply times 10^decimals leaves 96 bits
-- (about 7.9e28): USDT on BEP-20 (supply below 1e12 units, scale 12) and SHIB (5.9e14, scale 12).
-- credit_max: roughly a hundred thousand dollars or less at the time of writing, and configuration.
insert into asset (id, code, name, chain_decimals, scale, credit_max, maker_bps, taker_bps, confirmations) values
    ( 1, 'btc',       'Bitcoin',        8,  8, 100000000,                20, 20, 2),
    ( 2, 'eth',       'Ether',         18, 18, 40000000000000000000,     20, 20, 12),
    ( 3, 'ltc',       'Litecoin',       8,  8, 100000000000,             20, 20, 6),
    ( 4, 'doge',      'Dogecoin',       8,  8, 50000000000000,           20, 20, 6),
    ( 5, 'bch',       'Bitcoin Cash',   8,  8, 20000000000,              20, 20, 6),
    ( 6, 'xrp',       'XRP',            6,  6, 50000000000,              20, 20, 1),
    ( 7, 'sol',       'Solana',         9,  9, 600000000000,             20, 20, 6),
    ( 8, 'bnbbsc',    'BNB (BSC)',     18, 18, 150000000000000000000,    20, 20, 6),
    ( 9, 'usdttrc20', 'USDT (TRC-20)',  6,  6, 100000000000,             20, 20, 6),
    (10, 'usdterc20', 'USDT (ERC-20)',  6,  6, 100000000000,             20, 20, 12),
    (11, 'usdtbsc',   'USDT (BEP-20)', 18, 12, 100000000000000000,       20, 20, 6),
    (12, 'trx',       'TRON',           6,  6, 500000000000,             20, 20, 6),
    (13, 'shib',      'Shiba Inu',     18, 12, 5000000000000000000000,   20, 20, 12),
    (14, 'gbp',       'Pound sterling', 2,  2, 8000000,                  20, 20, 0),
    (15, 'usd',       'US dollar',      2,  2, 10000000,                 20, 20, 0),
    (16, 'qar',       'Qatari riyal',   2,  2, 36000000,                 20, 20, 0);

create table principal (
    id bigint generated always as identity (start with 100),
    name text not null,
    created_at timestamptz not null default clock(),
    constraint principal_pk primary key (id),
    constraint principal_name_unique unique (name),
    constraint principal_name_form check (name ~ '^[A-Za-z0-9][A-Za-z0-9 ._@-]{0,62}$')
);
comment on table principal is 'Who submits: a person or a service. Survives the rotation of its keys';
comment on column principal.id is 'Stored with every request and job';
comment on column principal.name is 'Unique, for people';
comment on column principal.created_at is 'When it was first given a key';
insert into principal (id, name) overriding system value values
    (1, 'holdfast'),       -- causes follow-up jobs
    (2, 'nowpayments');    -- causes deposit-credit through signed callbacks

create table api_key (
    id bigint generated always as identity,
    principal_id bigint not null,
    secret_hash bytea not null,
    scopes text[] not null,
    created_at timestamptz not null default clock(),
    expires_at timestamptz,
    revoked_at timestamptz,
    constraint api_key_pk primary key (id),
    constraint api_key_principal_fk foreign key (principal_id) references principal (id),
    constraint api_key_secret_unique unique (secret_hash),
    constraint api_key_secret_length check (octet_length(secret_hash) = 32),
    constraint api_key_scopes_known check (scopes <@ array['submit', 'read', 'operate', 'admin'] and cardinality(scopes) > 0)
);
comment on table api_key is 'Keys of the HTTP API; the secret itself is shown once and never stored';
comment on column api_key.id is 'Public part: names the key in lists and in revocation';
comment on column api_key.principal_id is 'Whose key it is';
comment on column api_key.secret_hash is 'SHA-256 of the secret, which is 256 random bits';
comment on column api_key.scopes is 'What the key may do: submit, read, operate, admin';
comment on column api_key.created_at is 'When it was made';
comment on column api_key.expires_at is 'From then on it is refused; null means never';
comment on column api_key.revoked_at is 'Set once, by an operator';

create table app_user (
    id bigint not null,
    referrer_id bigint,
    tier text not null default 'standard',
    frozen boolean not null default false,
    registered_at timestamptz not null,
    constraint app_user_pk primary key (id),
    constraint app_user_referrer_fk foreign key (referrer_id) references app_user (id),
    constraint app_user_referrer_other check (referrer_id <> id),
    constraint app_user_tier_known check (tier in ('standard', 'golden'))
) with (fillfactor = 90);
comment on table app_user is 'The exchange''s people, by id only: no personal data';
comment on column app_user.id is 'The id of the user-register job that made it';
comment on column app_user.referrer_id is 'Who brought them; existed before and never changes, so no cycle can form';
comment on column app_user.tier is 'Referral tier: standard or golden';
comment on column app_user.frozen is 'A frozen person may neither lock nor withdraw';
comment on column app_user.registered_at is 'When the job settled';

create trigger app_user_referrer_immutable before update on app_user
    for each row when (old.referrer_id is distinct from new.referrer_id or old.id <> new.id)
    execute function refuse_change('a referrer never changes');
create trigger app_user_no_delete before delete or truncate on app_user
    for each statement execute function refuse_change('people are kept');
