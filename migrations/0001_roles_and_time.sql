-- Roles, time and the version of the schema. Everything else rests on these.

-- The HTTP side: it records requests and reads. Row security (0006) keeps it to that.
-- The workers: they settle. Neither role owns a table, so neither can lift a guard.
-- Both may log in; a server that asks for passwords lets them in once the operator has set one.
do $$
begin
    if not exists (select from pg_roles where rolname = 'holdfast_api') then
        create role holdfast_api login;
    end if;
    if not exists (select from pg_roles where rolname = 'holdfast_worker') then
        create role holdfast_worker login;
    end if;
exception
    -- Roles belong to the whole server: another database's migration may have been faster.
    when duplicate_object or unique_violation then null;
end
$$;

-- Which binaries this schema serves: a binary runs while its own schema number is between
-- oldest_binary and version, so that a rolling upgrade and a rollback both work.
create table schema (
    singleton boolean not null default true,       -- one row, ever
    version integer not null,                 -- the newest migration that this schema contains
    oldest_binary integer not null,           -- the oldest schema number whose binary may still run
    constraint schema_pk primary key (singleton),
    constraint schema_one_row check (singleton),
    constraint schema_window check (oldest_binary between 1 and version)
);
comment on table schema is 'The range of binaries that may run against this schema';
comment on column schema.singleton is 'Always true: there is one row';
comment on column schema.version is 'Number of the newest migration';
comment on column schema.oldest_binary is 'Oldest schema number whose binary still runs correctly here';

-- Tests and simulated days move time; production refuses to start while the shift is not zero.
create table clock_shift (
    singleton boolean not null default true,
    shift interval not null default interval '0',
    constraint clock_shift_pk primary key (singleton),
    constraint clock_shift_one_row check (singleton)
);
comment on table clock_shift is 'How far clock() runs ahead of now(); zero in production';
comment on column clock_shift.singleton is 'Always true: there is one row';
comment on column clock_shift.shift is 'Added to now(); only the owner may change it';
insert into clock_shift default values;

-- Call it as (select clock()) where many rows are written: once a statement, not once a row.
create function clock() returns timestamptz
    language sql stable parallel safe
    as $$ select now() + (select shift from clock_shift) $$;
comment on function clock() is 'The one time that Holdfast knows: the transaction''s start plus clock_shift';

-- Append-only tables and frozen columns raise this; 23514 is data, never weather.
create function refuse_change() returns trigger
    language plpgsql
    as $$
begin
    raise exception '% of % is refused: %', lower(tg_op), tg_table_name, tg_argv[0]
        using errcode = 'check_violation', constraint = tg_name;
end
$$;
comment on function refuse_change() is 'Trigger body of every guard: says what was refused and why';
