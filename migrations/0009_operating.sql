-- Operating by jobs: pauses, decisions about parked jobs, and verifications. What an operator asks for
-- is recorded like everything else, and waits behind no backlog, since it has a lane of its own.

alter table outbox drop constraint outbox_lane_known;
alter table outbox add constraint outbox_lane_known
    check (lane in ('ledger', 'provider', 'notify', 'operate', 'verify'));
alter table worker_run drop constraint worker_run_lane_known;
alter table worker_run add constraint worker_run_lane_known
    check (lane in ('ledger', 'provider', 'notify', 'operate', 'verify'));

-- What a pause has put off is found by the pause's name. No other row is in this index.
create index outbox_paused on outbox (last_error, job_id) where last_error like 'paused: %';

create table pause (
    scope text not null,
    name text not null,
    reason text not null,
    principal_id bigint not null,
    job_id bigint not null,
    since timestamptz not null,
    constraint pause_pk primary key (scope, name),
    constraint pause_principal_fk foreign key (principal_id) references principal (id),
    constraint pause_scope_known check (scope in ('lane', 'kind', 'asset', 'rail')),
    constraint pause_name_form check (name ~ '^[a-z0-9-]{1,40}$'),
    constraint pause_reason_length check (length(reason) between 1 and 500),
    constraint pause_leaves_operating check (
        (scope, name) not in (('lane', 'operate'), ('kind', 'pause'), ('kind', 'parked-decision')))
) with (fillfactor = 50);
comment on table pause is 'What is paused now; every batch reads it together with clock()';
comment on column pause.scope is 'lane: nothing of it is claimed; kind, asset, rail: its jobs are put off';
comment on column pause.name is 'Which lane, kind, asset (by code) or rail';
comment on column pause.reason is 'Why, in the operator''s words';
comment on column pause.principal_id is 'Who paused it';
comment on column pause.job_id is 'The job that paused it';
comment on column pause.since is 'When that settled';

create table pause_change (
    number bigint generated always as identity,
    job_id bigint not null,
    scope text not null,
    name text not null,
    paused boolean not null,
    reason text not null,
    principal_id bigint not null,
    at timestamptz not null,
    constraint pause_change_pk primary key (number),
    constraint pause_change_once unique (job_id),
    constraint pause_change_principal_fk foreign key (principal_id) references principal (id)
);
create index pause_change_by_name on pause_change (scope, name, number);
comment on table pause_change is 'Every pause and every resumption, for ever';
comment on column pause_change.number is 'The order of the changes of one thing: given under its lock, as neither job nor time is';
comment on column pause_change.job_id is 'The job that made the change';
comment on column pause_change.scope is 'As in pause';
comment on column pause_change.name is 'As in pause';
comment on column pause_change.paused is 'true: paused; false: resumed';
comment on column pause_change.reason is 'Why, in the operator''s words';
comment on column pause_change.principal_id is 'Who';
comment on column pause_change.at is 'When it settled';

create table parked_decision (
    decision_job bigint not null,
    job_id bigint not null,
    parked_at timestamptz not null,
    decision text not null,
    principal_id bigint not null,
    reason text not null,
    needs_two boolean not null,
    carried_out boolean not null,
    first_decision bigint,
    first_principal bigint,
    at timestamptz not null,
    constraint parked_decision_pk primary key (decision_job),
    constraint parked_decision_whose unique (decision_job, job_id, principal_id),
    constraint parked_decision_principal_fk foreign key (principal_id) references principal (id),
    -- The first decision is about the same job, and really by the principal that is named here.
    constraint parked_decision_first_fk foreign key (first_decision, job_id, first_principal)
        references parked_decision (decision_job, job_id, principal_id),
    constraint parked_decision_known check (decision in ('retry', 'cancel')),
    constraint parked_decision_reason_length check (length(reason) between 1 and 500),
    constraint parked_decision_first_whole check ((first_decision is null) = (first_principal is null)),
    constraint parked_decision_other_principal check (principal_id <> first_principal),
    constraint parked_decision_two_people check (
        (first_decision is not null) = (carried_out and needs_two and decision = 'cancel')),
    constraint parked_decision_waits_for_second check (carried_out or (needs_two and decision = 'cancel'))
);
create index parked_decision_by_job on parked_decision (job_id, decision_job);
-- Of two who decide at once, one wins.
create unique index parked_decision_carried_out_once on parked_decision (job_id, parked_at) where carried_out;
comment on table parked_decision is 'What operators decided about parked jobs, for ever';
comment on column parked_decision.decision_job is 'The job of the operator';
comment on column parked_decision.job_id is 'The parked job';
comment on column parked_decision.parked_at is 'Which of its parkings: a job that is retried may be parked again';
comment on column parked_decision.decision is 'retry: it goes back to the queue; cancel: it ends without effect';
comment on column parked_decision.principal_id is 'Who decided';
comment on column parked_decision.reason is 'Why, in the operator''s words';
comment on column parked_decision.needs_two is 'Whether the job is of a kind that may move money: cancelling it takes two people';
comment on column parked_decision.carried_out is 'false: the first of two decisions, which changed nothing';
comment on column parked_decision.first_decision is 'The decision that this one confirms';
comment on column parked_decision.first_principal is 'Who made that one: never the same';
comment on column parked_decision.at is 'When it settled';

create table verification (
    job_id bigint not null,
    at timestamptz not null,
    clean boolean not null,
    checks integer not null,
    failed jsonb not null,
    took_ms bigint not null,
    constraint verification_pk primary key (job_id),
    constraint verification_clean_means_none check (clean = (jsonb_array_length(failed) = 0)),
    constraint verification_figures check (checks > 0 and took_ms >= 0)
);
create index verification_newest on verification (at);
comment on table verification is 'What the integrity checks found, each time that they ran as a job';
comment on column verification.job_id is 'The verify job';
comment on column verification.at is 'clock() of the snapshot that was checked';
comment on column verification.clean is 'Whether nothing was found';
comment on column verification.checks is 'How many checks ran';
comment on column verification.failed is 'The checks that found something: name, proves, count, rows';
comment on column verification.took_ms is 'How long it took, milliseconds';

create trigger pause_change_append_only before update or delete or truncate on pause_change
    for each statement execute function refuse_change('pause_change is append-only');
create trigger parked_decision_append_only before update or delete or truncate on parked_decision
    for each statement execute function refuse_change('parked_decision is append-only');
create trigger verification_append_only before update or delete or truncate on verification
    for each statement execute function refuse_change('verification is append-only');

grant select on pause, pause_change, parked_decision, verification to holdfast_api, holdfast_worker;
grant insert on pause, pause_change, parked_decision, verification to holdfast_worker;
grant update (reason, principal_id, job_id, since), delete on pause to holdfast_worker;
-- Who decides about a parked job locks its row, and Postgres lets nobody lock who may change nothing.
grant update (detail) on parked to holdfast_worker;

-- Operators' kinds, beside those of clients: only for a principal with a key that may operate. The API
-- looks at the key of the call; this looks once more.
create policy api_records_operator_kinds on job for insert to holdfast_api with check (
    caused_by is null and received_at = (select clock()) and submitted_by >= 100
    and kind in ('pause', 'parked-decision', 'verify')
    and exists (select from api_key k where k.principal_id = submitted_by and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > (select clock())) and k.scopes && array['operate', 'admin']));
create policy api_records_operator_kinds on request for insert to holdfast_api with check (
    submitter >= 100 and kind in ('pause', 'parked-decision', 'verify')
    and exists (select from api_key k where k.principal_id = submitter and k.revoked_at is null
        and (k.expires_at is null or k.expires_at > (select clock())) and k.scopes && array['operate', 'admin']));
create policy api_queues_operator_jobs on outbox for insert to holdfast_api with check (
    lane in ('operate', 'verify') and attempt = 0 and last_error is null and run_at = (select clock())
    and slot = subject & 63
    and not exists (select from outcome o where o.job_id = outbox.job_id)
    and not exists (select from parked p where p.job_id = outbox.job_id));

update schema set version = 9, oldest_binary = 9;
