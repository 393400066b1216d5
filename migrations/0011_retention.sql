-- Retention: what was asked years ago may go, which job it was may not. A partition of job gives way to
-- a smaller one of the same range, in which payloads are cut down to the trade, the withdrawal or the
-- callback that they name. Keys with their hashes, outcomes and everything else stay whole (decision 14).

create table retention (
    part bigint not null,
    first_job bigint not null,
    last_job bigint not null,
    jobs bigint not null,
    received_from timestamptz not null,
    received_to timestamptz not null,
    finished_to timestamptz not null,
    months integer not null,
    cutoff timestamptz not null,
    done_by text not null,
    login text not null default session_user,
    bytes_before bigint not null,
    bytes_after bigint not null,
    detached_at timestamptz not null default clock(),
    dropped_at timestamptz,
    constraint retention_pk primary key (part),
    constraint retention_range check (part = first_job >> 24 and part = last_job >> 24),
    constraint retention_jobs_in_range check (jobs between 1 and last_job - first_job + 1),
    constraint retention_months_min check (months >= 3),
    constraint retention_old_enough check (received_from <= received_to and received_to < cutoff and finished_to < cutoff),
    constraint retention_cutoff_by_clock check (
        cutoff at time zone 'UTC' <= detached_at at time zone 'UTC' - make_interval(months => months)),
    constraint retention_done_by_length check (length(done_by) between 1 and 200),
    constraint retention_dropped_later check (dropped_at >= detached_at)
);
comment on table retention is 'Which payloads were dropped, by whom and how many, for ever';
comment on column retention.part is 'Number of the partition of job: its ids divided by 2^24';
comment on column retention.first_job is 'The first job whose payload is gone';
comment on column retention.last_job is 'The last job whose payload is gone';
comment on column retention.jobs is 'How many jobs that are: each of them still has its row, its key and its outcome';
comment on column retention.received_from is 'When the earliest of them was received';
comment on column retention.received_to is 'When the latest of them was received';
comment on column retention.finished_to is 'When the last of them ended';
comment on column retention.months is 'How many calendar months were to be kept';
comment on column retention.cutoff is 'The beginning of those months: all of the jobs were received and ended before';
comment on column retention.done_by is 'Who did it, as they said';
comment on column retention.login is 'The login of the database that did it';
comment on column retention.bytes_before is 'Bytes of the partition with its payloads, indexes included';
comment on column retention.bytes_after is 'Bytes of the one that took its place';
comment on column retention.detached_at is 'clock() when the payloads left the table job';
comment on column retention.dropped_at is 'clock() when the table that had them was dropped; null while it lies beside';

create trigger retention_kept before delete or truncate on retention
    for each statement execute function refuse_change('what was dropped stays on record');
create trigger retention_dropped_once before update on retention
    for each row when (old.dropped_at is not null or new.dropped_at is null
        or (to_jsonb(old) - 'dropped_at') <> (to_jsonb(new) - 'dropped_at'))
    execute function refuse_change('of a retention only the drop is added, once');
grant select on retention to holdfast_api, holdfast_worker;

create function retention_keeps(payload jsonb) returns jsonb
    language sql immutable parallel safe
    as $$
        select jsonb_strip_nulls(jsonb_build_object('trade_id', payload -> 'trade_id',
            'withdrawal_id', payload -> 'withdrawal_id', 'inbox_id', payload -> 'inbox_id'))
    $$;
comment on function retention_keeps(jsonb) is 'What stays of a payload: what the job is about, by which histories and deposits find it';

-- What must be true of a partition before its payloads may go; raises, and says which rule is broken.
-- It reads all of the partition, and all requests.
create function retention_check(
    part bigint, months integer, out first_job bigint, out last_job bigint, out jobs bigint,
    out received_from timestamptz, out received_to timestamptz, out finished_to timestamptz, out cutoff timestamptz
) language plpgsql
    set search_path = public, pg_temp set timezone = 'UTC' set enable_nestloop = off set work_mem = '64MB' set jit = off
    as $$
declare
    low constant bigint := part << 24;
    high constant bigint := (part + 1 << 24) - 1;
    broken text;
    found bigint;
begin
    cutoff := date_trunc('month', clock() at time zone 'UTC') - make_interval(months => months);
    select min(j.id), max(j.id), count(*), min(j.received_at), max(j.received_at), max(o.finished_at),
            min(j.id) filter (where o.job_id is null)
        into first_job, last_job, jobs, received_from, received_to, finished_to, found
        from job j
        left join outcome o on o.job_id = j.id and o.job_id between low and high
        where j.id between low and high;
    broken := case
        when months is null or months < 3 then format('at least 3 months are kept, not %s', months)
        when part is null or part < 0 or part >= (select last_value from job_id) >> 24
            then 'jobs are recorded there now, or will be'
        when exists (select from retention r where r.part = retention_check.part) then 'its payloads are gone already'
        when jobs = 0 then 'it has no jobs'
        when found is not null then format('job %s has no outcome', found)
        when exists (select from outbox where job_id between low and high) then 'a job in it is queued'
        when exists (select from parked where job_id between low and high) then 'a job in it is parked'
        when received_to >= cutoff or finished_to >= cutoff
            then format('a job in it was received or ended since %s', cutoff)
        when exists (select from job j where j.id between low and high and not exists (
                select from request r where r.job_id = j.id and r.job_id between low and high))
            then 'a job in it has no idempotency key'
    end;
    if broken is not null then
        raise exception 'the payloads of partition % of job stay: %', part, broken using errcode = 'check_violation';
    end if;
end
$$;
comment on function retention_check(bigint, integer) is 'Raises unless the payloads of a partition of job may go; else what they are';

-- The first step: closes the range for good, and copies what is kept into a table beside it. One
-- transaction; nothing that is in use changes. Returns how many jobs were copied.
create function retention_copy(part bigint, months integer) returns bigint
    language plpgsql set search_path = public, pg_temp set timezone = 'UTC' set lock_timeout = '2s'
    as $$
declare
    source constant text := format('job_p%s', lpad(part::text, 6, '0'));
    target constant text := source || '_kept';
    copied bigint;
begin
    if to_regclass(source) is null then
        raise exception 'there is no partition % of job', part using errcode = 'check_violation';
    end if;
    -- Nobody else does the same, and nobody records a job there until this has ended.
    execute format('lock table %I in share row exclusive mode', source);
    perform retention_check(part, months);
    -- What an earlier run has copied may be of another time, before a column was added.
    execute format('drop table if exists %I', target);
    if not exists (select from pg_trigger where tgrelid = source::regclass and tgname = source || '_closed') then
        execute format('create trigger %I before insert on %I for each row execute function refuse_change(%L)',
            source || '_closed', source, 'this range of jobs is closed');
    end if;
    execute format('create table %I (like job including all)', target);
    -- With this, attaching reads nothing.
    execute format('alter table %I add constraint %I check (id >= %s and id < %s)',
        target, source || '_range', part << 24, part + 1 << 24);
    execute format('insert into %I (id, kind, payload, submitted_by, caused_by, received_at)
        select id, kind, retention_keeps(payload), submitted_by, caused_by, received_at from %I order by id',
        target, source);
    execute format('create trigger %I before insert on %I for each row execute function refuse_change(%L)',
        source || '_closed', target, 'this range of jobs is closed');
    execute format('create trigger %I before update or delete or truncate on %I for each statement '
        'execute function refuse_change(%L)', source || '_append_only', target, 'job is append-only');
    execute format('alter table %I enable row level security', target);
    execute format('analyze %I', target);
    execute format('select count(*) from %I', target) into copied;
    return copied;
end
$$;
comment on function retention_copy(bigint, integer) is 'Copies what is kept of a partition of job into a table beside it';

-- The second step: compares both row by row, then puts the copy in the place of the partition. Only
-- this needs job for itself, for an instant; it gives up after a second rather than hold others up.
create function retention_swap(part bigint, months integer, done_by text) returns void
    language plpgsql
    set search_path = public, pg_temp set timezone = 'UTC' set lock_timeout = '1s' set work_mem = '64MB' set jit = off
    as $$
declare
    source constant text := format('job_p%s', lpad(part::text, 6, '0'));
    target constant text := source || '_kept';
    about record;
    other bigint;
begin
    if to_regclass(source) is null or to_regclass(target) is null then
        raise exception 'partition % of job is not copied', part using errcode = 'check_violation';
    end if;
    about := retention_check(part, months);
    execute format('select min(id) from %I s full join %I t using (id)
        where (s.kind, s.submitted_by, s.caused_by, s.received_at) is distinct from
                (t.kind, t.submitted_by, t.caused_by, t.received_at)
            or t.payload is distinct from retention_keeps(s.payload)', source, target)
        into other;
    if other is not null then
        raise exception '% is no copy of %: job % differs', target, source, other using errcode = 'check_violation';
    end if;
    -- Only these two: work in other partitions is not waited for.
    lock table only job in access exclusive mode;
    execute format('lock table %I in access exclusive mode', source);
    if exists (select from outbox where job_id between part << 24 and (part + 1 << 24) - 1)
        or exists (select from parked where job_id between part << 24 and (part + 1 << 24) - 1) then
        raise exception 'the payloads of partition % of job stay: a job in it is queued or parked', part
            using errcode = 'check_violation';
    end if;
    insert into retention (part, first_job, last_job, jobs, received_from, received_to, finished_to, months, cutoff,
            done_by, bytes_before, bytes_after)
        values (part, about.first_job, about.last_job, about.jobs, about.received_from, about.received_to,
            about.finished_to, months, about.cutoff, done_by, pg_total_relation_size(source::regclass),
            pg_total_relation_size(target::regclass));
    execute format('alter table job detach partition %I', source);
    execute format('alter table %I rename to %I', source, source || '_spent');
    execute format('alter table %I rename to %I', target, source);
    execute format('alter table job attach partition %I for values from (%s) to (%s)', source, part << 24, part + 1 << 24);
    -- The checks of older binaries would take what is gone for a breach.
    update schema set oldest_binary = greatest(oldest_binary, 11) where oldest_binary < 11;
end
$$;
comment on function retention_swap(bigint, integer, text) is 'Puts the copy in the place of a partition of job, and records it';

-- The third step: drops the table that lies beside. Whether there was one.
create function retention_drop(part bigint) returns boolean
    language plpgsql set search_path = public, pg_temp set lock_timeout = '2s'
    as $$
declare
    spent constant text := format('job_p%s_spent', lpad(part::text, 6, '0'));
begin
    if not exists (select from retention r where r.part = retention_drop.part) then
        raise exception 'the payloads of partition % of job are in use', part using errcode = 'check_violation';
    end if;
    if to_regclass(spent) is null then
        return false;
    end if;
    if (select relispartition from pg_class where oid = to_regclass(spent)) then
        raise exception '% is in use', spent using errcode = 'check_violation';
    end if;
    execute format('drop table %I', spent);
    update retention r set dropped_at = clock() where r.part = retention_drop.part and dropped_at is null;
    return true;
end
$$;
comment on function retention_drop(bigint) is 'Drops the table that a copy has taken the place of';

-- Only the owner of the tables: each of these could take away what a job was asked.
revoke execute on function retention_check(bigint, integer), retention_copy(bigint, integer),
    retention_swap(bigint, integer, text), retention_drop(bigint) from public;

update schema set version = 11;
