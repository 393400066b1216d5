-- Kinds that call the outside. What a worker is about to call is committed before it calls, and how the call ended is
-- committed with what came of it: a call without an end was under way when its worker died, or its end was lost.
create table call (
    job_id bigint not null,
    attempt integer not null,
    endpoint text not null,
    planned_at timestamptz not null,
    constraint call_pk primary key (job_id, attempt),
    constraint call_attempt_positive check (attempt > 0),
    constraint call_endpoint_length check (length(endpoint) between 1 and 100)
);
comment on table call is 'What was about to be called, committed before it was: it may have happened';
comment on column call.job_id is 'The job whose kind calls';
comment on column call.attempt is 'The attempt of the lease that it was planned under: the fence';
comment on column call.endpoint is 'Which endpoint, as the kind names it';
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
grant select on call, call_end to holdfast_api, holdfast_worker;
grant insert on call, call_end to holdfast_worker;

-- Every batch asks whether anything waits in its own lane. No other question is answered by this index.
create index outbox_waiting_in on outbox ((case when attempt > 0 then lane end))
    where case when attempt > 0 then lane end is not null;

update schema set version = 18;
