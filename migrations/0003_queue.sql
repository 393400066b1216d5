-- The queue: what was asked (request, job), what has still to happen (outbox), what came of it
-- (outcome), what needs a person (parked).

create table request (
    submitter bigint not null,
    kind text not null,
    key text not null,
    payload_hash bytea not null,
    job_id bigint not null,
    constraint request_pk primary key (submitter, kind, key),
    constraint request_key_length check (octet_length(key) between 1 and 1024),
    constraint request_hash_length check (octet_length(payload_hash) = 32)
);
comment on table request is 'The key under which something was asked; kept for ever, never partitioned';
comment on column request.submitter is 'The principal that asked';
comment on column request.kind is 'The kind of job: the same key may name one job of each kind';
comment on column request.key is 'The client''s Idempotency-Key, or for an internal kind the fact that causes it';
comment on column request.payload_hash is 'SHA-256 over actor, kind, path ids and body: tells a replay from a conflict';
comment on column request.job_id is 'The job that this key names';

create sequence job_id as bigint;
comment on sequence job_id is 'Ids of jobs, and of the people, trades and holds that jobs bring into being';

create table job (
    id bigint not null,
    kind text not null,
    payload jsonb not null,
    submitted_by bigint not null,
    caused_by bigint,
    trace_parent text,
    received_at timestamptz not null,
    constraint job_pk primary key (id),
    constraint job_id_positive check (id > 0),
    constraint job_payload_bounded check (pg_column_size(payload) <= 65536),
    constraint job_received_at_finite check (isfinite(received_at))
) partition by range (id);
comment on table job is 'What was asked, once. Never updated';
comment on column job.id is 'From the sequence job_id';
comment on column job.kind is 'One of the registered kinds; the string is stored, so it is never renamed';
comment on column job.payload is 'What the kind needs; ids of people, never personal data';
comment on column job.submitted_by is 'The principal that asked';
comment on column job.caused_by is 'The job whose settlement caused this one; null when it was asked from outside';
comment on column job.trace_parent is 'W3C trace context of the request, if it came with one';
comment on column job.received_at is 'clock() of the transaction that recorded it: deadlines are compared with this';

create table outbox (
    job_id bigint not null,
    lane text not null,
    slot smallint not null,
    subject bigint not null,
    run_at timestamptz not null,
    attempt integer not null default 0,
    last_error text,
    constraint outbox_pk primary key (job_id),
    constraint outbox_lane_known check (lane in ('ledger', 'provider', 'notify')),
    constraint outbox_slot_range check (slot between 0 and 63),
    constraint outbox_attempt_range check (attempt >= 0),
    constraint outbox_run_at_finite check (isfinite(run_at))
) with (
    fillfactor = 85,
    autovacuum_vacuum_threshold = 20000, autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_insert_threshold = -1, autovacuum_analyze_threshold = 1000000000
);
create index outbox_due on outbox (lane, run_at, job_id);
-- Who is about to refuse a job, or to expire its subject, looks for what was received earlier.
create index outbox_subject on outbox (subject, job_id);
comment on table outbox is 'The jobs still to be done. A row goes in the commit that makes its effects durable';
comment on column outbox.job_id is 'The job';
comment on column outbox.lane is 'Which class of workers may claim it';
comment on column outbox.slot is 'subject modulo 64: workers may prefer disjoint parts of the queue';
comment on column outbox.subject is 'The trade that the job is about, or the job itself: always a number of a job';
comment on column outbox.run_at is 'Not before; a lease or a backoff moves it ahead';
comment on column outbox.attempt is 'The fence: raised by every lease and retry, never reset';
comment on column outbox.last_error is 'Why the last attempt did not settle';

create table outcome (
    job_id bigint not null,
    status text not null,
    reason text,
    result jsonb,
    attempts integer not null,
    finished_at timestamptz not null,
    constraint outcome_pk primary key (job_id),
    constraint outcome_status_known check (status in ('settled', 'rejected', 'cancelled')),
    constraint outcome_reason_given check ((status = 'settled') = (reason is null))
) partition by range (job_id);
comment on table outcome is 'What came of a job: one row, for ever';
comment on column outcome.job_id is 'The job';
comment on column outcome.status is 'settled: effects committed; rejected: refused by a rule; cancelled: by an operator';
comment on column outcome.reason is 'Stable code of the rule that refused; null when settled';
comment on column outcome.result is 'What the submitter may want to know beyond the status; null when nothing';
comment on column outcome.attempts is 'How many attempts it took, the last one included';
comment on column outcome.finished_at is 'clock() of the settling transaction';

create table parked (
    job_id bigint not null,
    lane text not null,
    slot smallint not null,
    subject bigint not null,
    attempt integer not null,
    reason text not null,
    detail text not null,
    parked_at timestamptz not null,
    constraint parked_pk primary key (job_id)
);
comment on table parked is 'Jobs that need a person; an operator retries or cancels them';
comment on column parked.job_id is 'The job';
comment on column parked.lane is 'Where it goes back to when retried';
comment on column parked.slot is 'As in the outbox';
comment on column parked.subject is 'As in the outbox';
comment on column parked.attempt is 'The fence where it stood; a retry goes on from it';
comment on column parked.reason is 'Stable code: poison, crashes, contradiction, unreadable';
comment on column parked.detail is 'What was seen, for the person who looks';
comment on column parked.parked_at is 'When';

create table worker_run (
    id bigint generated always as identity,
    lane text not null,
    name text not null,
    started_at timestamptz not null default clock(),
    beat_at timestamptz not null default clock(),
    holding bigint[] not null default '{}',
    ended_at timestamptz,
    end_kind text,
    constraint worker_run_pk primary key (id),
    constraint worker_run_lane_known check (lane in ('ledger', 'provider', 'notify')),
    constraint worker_run_end_known check (end_kind in ('clean', 'unclean', 'passed')),
    constraint worker_run_end_whole check ((ended_at is null) = (end_kind is null))
) with (fillfactor = 50);
create index worker_run_open on worker_run (lane) where end_kind is null or end_kind = 'unclean';
comment on table worker_run is 'One row per run of a worker: its heartbeat, and what it held when it ended uncleanly';
comment on column worker_run.id is 'Names the run';
comment on column worker_run.lane is 'The lane that it works';
comment on column worker_run.name is 'Host and process, for people';
comment on column worker_run.started_at is 'When it started';
comment on column worker_run.beat_at is 'Its last heartbeat';
comment on column worker_run.holding is 'The jobs of the batch it was working on, written before deciding them';
comment on column worker_run.ended_at is 'When it ended, or when its heartbeat was found missing';
comment on column worker_run.end_kind is 'clean; unclean: what it held is worked one job at a time; passed: that is done';

-- Payload and outcome partitions hold 2^24 jobs each. The function makes those that will be
-- needed next; workers call it, so it runs with the owner's rights and takes no name from them.
create function partitions_ahead(ahead integer default 2) returns integer
    language plpgsql security definer set search_path = public, pg_temp set lock_timeout = '2s'
    as $$
declare
    width constant bigint := 16777216;
    last bigint;
    part bigint;
    made integer := 0;
    parent text;
    child text;
begin
    if ahead not between 0 and 16 then
        raise exception 'partitions_ahead: ahead must be between 0 and 16, not %', ahead;
    end if;
    select last_value into last from job_id;
    for part in last / width .. last / width + ahead loop
        foreach parent in array array['job', 'outcome'] loop
            child := format('%s_p%s', parent, lpad(part::text, 6, '0'));
            if to_regclass(child) is null then
                -- Attached rather than created as a partition: that lets readers and writers go on.
                execute format('create table %I (like %I including all)', child, parent);
                execute format('create trigger %I before update or delete or truncate on %I for each statement '
                    'execute function refuse_change(%L)', child || '_append_only', child, parent || ' is append-only');
                execute format('alter table %I enable row level security', child);
                execute format('alter table %I attach partition %I for values from (%s) to (%s)',
                    parent, child, part * width, (part + 1) * width);
                made := made + 1;
            end if;
        end loop;
    end loop;
    return made;
exception
    when duplicate_table then return 0;    -- another worker made them first
end
$$;
comment on function partitions_ahead(integer) is 'Makes the partitions of job and outcome that will be needed next';

create trigger request_append_only before update or delete or truncate on request
    for each statement execute function refuse_change('keys are kept for ever');
create trigger job_append_only before update or delete or truncate on job
    for each statement execute function refuse_change('job is append-only');
create trigger outcome_append_only before update or delete or truncate on outcome
    for each statement execute function refuse_change('outcome is append-only');
select partitions_ahead(2);
