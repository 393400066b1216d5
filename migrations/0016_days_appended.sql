-- What is used of a day's limit is appended, as balances are, and no row of it is ever changed: as long as a snapshot is
-- kept open, every version of a changed row stays, and whoever looked for the newest walked through all of them.
alter table withdrawal_day
    add column version bigint not null default 1,
    drop constraint withdrawal_day_pk;
-- The defaults stay for a batch of an older binary that is under way: it is refused its lock then, which parks nothing.
alter table withdrawal_day
    add constraint withdrawal_day_pk primary key (user_id, asset, day, version),
    add constraint withdrawal_day_version_positive check (version > 0);
alter table withdrawal_day reset (fillfactor);
comment on table withdrawal_day is 'Every change of what is used of a day''s limit; the newest is what is used. Written under the lock of the wallet';
comment on column withdrawal_day.version is '1, 2, 3 … without a gap: a lost update is a key violation';
comment on column withdrawal_day.used is 'What was asked for and not refused by then; minor units';
create trigger withdrawal_day_append_only before update or delete or truncate on withdrawal_day
    for each statement execute function refuse_change('withdrawal_day is append-only');
revoke update (used, day_max) on withdrawal_day from holdfast_worker;

update schema set version = 16, oldest_binary = 16;
