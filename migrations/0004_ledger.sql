-- The ledger: accounts without balances, transfers, holds, and entries whose newest row is the balance.

create sequence account_id as bigint;

create table account (
    id bigint not null,
    owner bigint not null,
    asset smallint not null,
    purpose text not null,
    stripe smallint not null default 0,
    flags smallint not null default 0,
    constraint account_pk primary key (id),
    constraint account_key_unique unique (owner, asset, purpose, stripe),
    constraint account_asset_fk foreign key (asset) references asset (id),
    constraint account_purpose_known check (purpose in ('wallet', 'fee', 'world', 'receivable')),
    constraint account_floor_by_id check (id <> 0 and (id < 0) = (purpose in ('world', 'receivable'))),
    constraint account_owner_by_purpose check ((owner = 0) = (purpose in ('fee', 'world'))),
    constraint account_stripe_house check (stripe = 0 or owner = 0),
    constraint account_stripe_range check (stripe between 0 and 63)
) with (fillfactor = 70);
comment on table account is 'Who holds what for which purpose. No balance: the row is what a batch locks';
comment on column account.id is 'Negative for accounts without a floor: the outside world and receivables';
comment on column account.owner is 'A person, or 0 for the house';
comment on column account.asset is 'What it holds';
comment on column account.purpose is 'wallet, fee, world or receivable; the string is stored, never renamed';
comment on column account.stripe is 'House accounts are striped so that workers rarely meet; their balance is the sum';
comment on column account.flags is 'Reserved for account flags; 0 is none';

create table transfer (
    job_id bigint not null,
    leg smallint not null,
    code text not null,
    debit bigint not null,
    credit bigint not null,
    amount numeric(38,0) not null,
    constraint transfer_pk primary key (job_id, leg),
    constraint transfer_leg_range check (leg >= 0),
    constraint transfer_amount_positive check (amount > 0 and amount <> 'NaN'),
    constraint transfer_two_sides check (debit <> credit)
);
comment on table transfer is 'Money moved between two accounts of one asset';
comment on column transfer.job_id is 'The job that moved it';
comment on column transfer.leg is 'Number within the job''s group';
comment on column transfer.code is 'What it was for; the string is stored, never renamed';
comment on column transfer.debit is 'The account that pays: its posted falls by amount';
comment on column transfer.credit is 'The account that receives: its posted rises by amount';
comment on column transfer.amount is 'Minor units of the accounts'' asset';

create table hold (
    id bigint not null,
    account_id bigint not null,
    subject bigint not null,
    amount numeric(38,0) not null,
    closed_by bigint,
    constraint hold_pk primary key (id),
    constraint hold_amount_positive check (amount > 0 and amount <> 'NaN'),
    constraint hold_account_with_floor check (account_id > 0)
) with (fillfactor = 85);
comment on table hold is 'Money set aside within an account, closed once and whole';
comment on column hold.id is 'The id of the job that opened it: a job opens at most one hold';
comment on column hold.account_id is 'Where the money stands';
comment on column hold.subject is 'The trade or withdrawal that it is for';
comment on column hold.amount is 'Minor units';
comment on column hold.closed_by is 'The job that closed it; null while open';

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
    constraint entry_pk primary key (account_id, version),
    constraint entry_version_positive check (version > 0),
    constraint entry_one_cause check ((leg is null) <> (hold_id is null)),
    constraint entry_cause_moves check (
        (leg is null and d_posted = 0 and d_held <> 0) or (hold_id is null and d_held = 0 and d_posted <> 0)),
    -- Postgres' numeric has a NaN, which is greater than every number.
    constraint entry_numbers check (posted <> 'NaN' and held <> 'NaN' and d_posted <> 'NaN' and d_held <> 'NaN'),
    constraint entry_held_not_negative check (held >= 0),
    constraint entry_available_not_negative check (posted - held >= 0 or account_id < 0)
);
comment on table entry is 'Every change of every account, with the balance after it; the newest is the balance';
comment on column entry.account_id is 'The account';
comment on column entry.version is '1, 2, 3 … without a gap: a lost update is a key violation';
comment on column entry.job_id is 'The job that caused it';
comment on column entry.leg is 'The transfer (job_id, leg) that it is one side of; null for a hold';
comment on column entry.hold_id is 'The hold that was opened or closed; null for a transfer';
comment on column entry.d_posted is 'Change of posted, minor units';
comment on column entry.d_held is 'Change of held, minor units';
comment on column entry.posted is 'What the account has after this entry';
comment on column entry.held is 'What of it is set aside after this entry';

create trigger transfer_append_only before update or delete or truncate on transfer
    for each statement execute function refuse_change('transfer is append-only');
create trigger entry_append_only before update or delete or truncate on entry
    for each statement execute function refuse_change('entry is append-only');
create trigger hold_no_delete before delete or truncate on hold
    for each statement execute function refuse_change('holds are kept');
create trigger hold_closed_once before update on hold
    for each row when (old.closed_by is not null or new.closed_by is null or old.id <> new.id
        or old.account_id <> new.account_id or old.subject <> new.subject or old.amount <> new.amount)
    execute function refuse_change('a hold closes once and nothing else of it changes');
create trigger account_kept before delete or truncate on account
    for each statement execute function refuse_change('accounts are kept');
create trigger account_identity before update on account
    for each row when (old.id <> new.id or old.owner <> new.owner or old.asset <> new.asset
        or old.purpose <> new.purpose or old.stripe <> new.stripe)
    execute function refuse_change('what an account is never changes');
