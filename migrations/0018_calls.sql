-- Kinds that call the outside. What a worker is about to call is committed before it calls, and how the call ended is
-- committed with what came of it: a call without an end was under way when its worker died, or its end was lost.
create table call (
    job_id bigint not null,
    attempt integer not null,
    endpoint text not null,
    only_reads boolean not null,
    planned_at timestamptz not null,
    constraint call_pk primary key (job_id, attempt),
    constraint call_attempt_positive check (attempt > 0),
    constraint call_endpoint_length check (length(endpoint) between 1 and 100)
);
comment on table call is 'What was about to be called, committed before it was: it may have happened';
comment on column call.job_id is 'The job whose kind calls';
comment on column call.attempt is 'The attempt of the lease that it was planned under: the fence';
comment on column call.endpoint is 'Which endpoint, as the kind names it';
comment on column call.only_reads is 'Whether a call of the endpoint has no effect there, so that it does not matter whether it happened';
comment on column call.planned_at is 'clock() of the commit before the call';

create table call_end (
    job_id bigint not null,
    attempt integer not null,
    reply text not null,
    recorded_at timestamptz not null,
    constraint call_end_pk primary key (job_id, attempt),
    constraint call_end_call_fk foreign key (job_id, attempt) references call (job_id, attempt),
    constraint call_end_reply_known check (reply in ('answered', 'refused', 'unknown'))
);
comment on table call_end is 'How a call ended, as far as its worker knew, committed with what came of it';
comment on column call_end.job_id is 'The job';
comment on column call_end.attempt is 'Which of its calls';
comment on column call_end.reply is 'answered; refused: by an error of the provider that was read as such; unknown: it may have happened';
comment on column call_end.recorded_at is 'clock() of the commit that recorded it';

create trigger call_append_only before update or delete or truncate on call
    for each statement execute function refuse_change('call is append-only');
create trigger call_end_append_only before update or delete or truncate on call_end
    for each statement execute function refuse_change('call_end is append-only');

-- Ended as if nothing had happened, what a job called would be nobody's. An older worker does not know it.
create function refuse_cancelling_a_call() returns trigger
    language plpgsql set search_path = public, pg_temp
    as $$
begin
    if exists (
        select from call c left join call_end e on e.job_id = c.job_id and e.attempt = c.attempt
        where c.job_id = new.job_id and not c.only_reads and e.reply is distinct from 'refused'
    ) then
        raise exception 'cancelling job % is refused: a call of it may have happened', new.job_id
            using errcode = 'check_violation', constraint = tg_name;
    end if;
    return new;
end
$$;
comment on function refuse_cancelling_a_call() is 'Trigger body: what may have happened outside is not called off here';
create trigger parked_decision_calls_nothing_off before insert on parked_decision
    for each row when (new.decision = 'cancel') execute function refuse_cancelling_a_call();

grant select on call, call_end to holdfast_api, holdfast_worker;
grant insert on call, call_end to holdfast_worker;

-- Every batch asks whether anything waits in its own lane. No other question is answered by this index.
create index outbox_waiting_in on outbox ((case when attempt > 0 then lane end))
    where case when attempt > 0 then lane end is not null;

update schema set version = 18;
