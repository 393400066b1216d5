-- Who may do what. "The API only enqueues" is a fact of this file.

revoke all on all tables in schema public from public;
revoke all on all sequences in schema public from public;
revoke execute on function partitions_ahead(integer) from public;
revoke create on schema public from public;

grant usage on schema public to holdfast_api, holdfast_worker;
grant execute on function clock() to holdfast_api, holdfast_worker;
grant select on all tables in schema public to holdfast_api, holdfast_worker;

-- The API records what was asked and what a provider said, and nothing else.
grant insert on request, job, outbox to holdfast_api;
grant insert (provider, body, signature, fact_key) on ipn_inbox to holdfast_api;
grant usage on sequence job_id to holdfast_api;

-- Workers append, and change only what is meant to change.
grant insert on request, job, outbox, outcome, parked, worker_run,
    account, transfer, hold, entry, app_user, trade, deposit to holdfast_worker;
grant update (run_at, attempt, last_error) on outbox to holdfast_worker;
grant delete on outbox, parked to holdfast_worker;
grant update (beat_at, holding, ended_at, end_kind) on worker_run to holdfast_worker;
grant update (flags) on account to holdfast_worker;
grant update (closed_by) on hold to holdfast_worker;
grant update (frozen) on app_user to holdfast_worker;
grant update (state, hold_id, maker_fee, taker_fee, pay_by, paid_at, closed_at) on trade to holdfast_worker;
grant update (parent_payment_id, order_id, user_id, asset, status, state, outcome_text, outcome_currency, credited,
    credited_by, clawed_back, shortfall, clawed_back_by, review_reason, last_job) on deposit to holdfast_worker;
grant usage on sequence job_id, account_id to holdfast_worker;
grant execute on function partitions_ahead(integer) to holdfast_worker;

-- Row security: the API may not choose when something was received or on whose behalf Holdfast itself
-- acts (principals below 100). It may ask for client kinds only; the one internal kind that it may record
-- is deposit-credit, and only for a callback that lies in the inbox.
alter table job enable row level security;
alter table outbox enable row level security;
alter table request enable row level security;
create policy worker_all on job to holdfast_worker using (true) with check (true);
create policy worker_all on outbox to holdfast_worker using (true) with check (true);
create policy worker_all on request to holdfast_worker using (true) with check (true);
create policy api_read on job for select to holdfast_api using (true);
create policy api_read on outbox for select to holdfast_api using (true);
create policy api_read on request for select to holdfast_api using (true);
create policy api_records_client_kinds on job for insert to holdfast_api with check (
    caused_by is null and received_at = (select clock())
    and (submitted_by >= 100 and kind in ('user-register', 'lock-escrow', 'trade-event', 'release', 'refund')
        or (kind = 'deposit-credit' and submitted_by = 2
            and exists (select from ipn_inbox i where i.id = (payload ->> 'inbox_id')::bigint))));
create policy api_records_client_kinds on request for insert to holdfast_api with check (
    submitter >= 100 and kind in ('user-register', 'lock-escrow', 'trade-event', 'release', 'refund')
    or (kind = 'deposit-credit' and submitter = 2));
-- What has ended stays ended, and a parked job goes back to the queue through an operator.
create policy api_queues_new_jobs on outbox for insert to holdfast_api with check (
    lane = 'ledger' and attempt = 0 and last_error is null and run_at = (select clock()) and slot = subject & 63
    and not exists (select from outcome o where o.job_id = outbox.job_id)
    and not exists (select from parked p where p.job_id = outbox.job_id));

insert into schema (version, oldest_binary) values (6, 6);
