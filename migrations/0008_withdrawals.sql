-- Withdrawals up to their approval, what limits them, and what an operator sets on people.

-- A principal may be one of the exchange's people: then they never approve what they would receive.
alter table principal add column user_id bigint;
alter table principal add constraint principal_user_fk foreign key (user_id) references app_user (id);
-- One person, one principal: with two, they could approve what they asked for.
create unique index principal_user on principal (user_id) where user_id is not null;
comment on column principal.user_id is 'The person that this principal is, if it is one of the exchange''s people';

alter table app_user add column kyc smallint not null default 0;
alter table app_user add constraint app_user_kyc_range check (kyc between 0 and 3);
comment on column app_user.kyc is 'How well the person is known: 0 not at all; limits of withdrawals rise with it';

create table user_flag (
    job_id bigint not null,
    user_id bigint not null,
    principal_id bigint not null,
    frozen boolean not null,
    tier text not null,
    kyc smallint not null,
    reason text not null,
    set_at timestamptz not null,
    place bigint generated always as identity,
    constraint user_flag_pk primary key (job_id),
    constraint user_flag_tier_known check (tier in ('standard', 'golden')),
    constraint user_flag_kyc_range check (kyc between 0 and 3),
    constraint user_flag_reason_bounded check (octet_length(reason) between 1 and 800)
);
create index user_flag_user on user_flag (user_id, job_id);
comment on table user_flag is 'Everything that operators ever set on a person, as it stood afterwards';
comment on column user_flag.job_id is 'The job that set it';
comment on column user_flag.user_id is 'On whom';
comment on column user_flag.principal_id is 'Who set it';
comment on column user_flag.frozen is 'Whether they were frozen from then on';
comment on column user_flag.tier is 'Their referral tier from then on';
comment on column user_flag.kyc is 'How well they were known from then on';
comment on column user_flag.reason is 'Why; no personal data';
comment on column user_flag.set_at is 'When';
comment on column user_flag.place is 'Their order: taken under the locks of the person, so the highest is how it stands';
create trigger user_flag_append_only before update or delete or truncate on user_flag
    for each statement execute function refuse_change('user_flag is append-only');

-- What a withdrawal of an asset costs, and how it leaves. The defaults hang on credit_max, which is
-- about a hundred thousand dollars: a fee of about two, a minimum of about ten.
alter table asset
    add column rail text not null default 'crypto',
    add column network text not null default '',
    add column withdraw_scale smallint not null default 6,
    add column withdraw_min numeric(38,0) not null default 1,
    add column withdraw_fee numeric(38,0) not null default 0,
    add column network_fee_max numeric(38,0) not null default 0,
    add column two_approvals_above numeric(38,0) not null default 0;
update asset set
    rail = case when code in ('gbp', 'usd', 'qar') then 'bank' else 'crypto' end,
    network = case code
        when 'btc' then 'bitcoin' when 'eth' then 'ethereum' when 'ltc' then 'litecoin' when 'doge' then 'dogecoin'
        when 'bch' then 'bitcoincash' when 'xrp' then 'xrp' when 'sol' then 'solana' when 'bnbbsc' then 'bsc'
        when 'usdttrc20' then 'tron' when 'usdterc20' then 'ethereum' when 'usdtbsc' then 'bsc' when 'trx' then 'tron'
        when 'shib' then 'ethereum' else 'bank' end,
    withdraw_scale = least(scale, 6),
    withdraw_fee = greatest(1, div(credit_max, 50000)),
    withdraw_min = greatest(1, div(credit_max, 10000)),
    network_fee_max = greatest(1, div(credit_max, 10000)),
    two_approvals_above = div(credit_max, 10);
alter table asset
    alter column rail drop default, alter column network drop default, alter column withdraw_scale drop default,
    alter column withdraw_min drop default, alter column withdraw_fee drop default,
    alter column network_fee_max drop default, alter column two_approvals_above drop default,
    add constraint asset_rail_known check (rail in ('crypto', 'bank')),
    add constraint asset_network_form check (network ~ '^[a-z]{2,20}$'),
    add constraint asset_withdraw_scale_range check (withdraw_scale between 0 and scale),
    add constraint asset_withdraw_amounts check (withdraw_min > 0 and withdraw_fee >= 0 and network_fee_max >= 0
        and two_approvals_above >= 0 and withdraw_min <> 'NaN' and withdraw_fee <> 'NaN' and network_fee_max <> 'NaN'
        and two_approvals_above <> 'NaN');
comment on column asset.rail is 'The way that it leaves: crypto payouts, or bank by hand';
comment on column asset.network is 'The chain that its addresses are of; bound by an approval';
comment on column asset.withdraw_scale is 'Decimal places that a withdrawal may have; the provider takes at most 6';
comment on column asset.withdraw_min is 'The least that may be withdrawn; minor units';
comment on column asset.withdraw_fee is 'What we charge for a withdrawal, on top of it; minor units';
comment on column asset.network_fee_max is 'The most that the provider may charge us for one; minor units';
comment on column asset.two_approvals_above is 'A withdrawal of more than this needs two approvers; minor units';

alter table rules
    add column approval_valid interval not null default interval '24 hours',
    add constraint rules_approval_range check (approval_valid between interval '1 minute' and interval '30 days');
comment on column rules.approval_valid is 'How long an approval counts';

create table kyc_limit (
    kyc smallint not null,
    asset smallint not null,
    day_max numeric(38,0) not null,
    constraint kyc_limit_pk primary key (kyc, asset),
    constraint kyc_limit_kyc_range check (kyc between 0 and 3),
    constraint kyc_limit_asset_fk foreign key (asset) references asset (id),
    constraint kyc_limit_range check (day_max >= 0 and day_max <> 'NaN')
);
comment on table kyc_limit is 'How much of an asset somebody may withdraw in a day; a missing row allows nothing';
comment on column kyc_limit.kyc is 'As in app_user';
comment on column kyc_limit.asset is 'Of what';
comment on column kyc_limit.day_max is 'Sum of the amounts asked for in a day of UTC and not refused since; minor units';
insert into kyc_limit (kyc, asset, day_max)
    select k.kyc, a.id, div(a.credit_max, k.part) from asset a cross join (values (1, 100), (2, 10), (3, 1)) as k (kyc, part);

create table withdrawal_day (
    user_id bigint not null,
    asset smallint not null,
    day date not null,
    used numeric(38,0) not null default 0,
    day_max numeric(38,0) not null default 0,
    constraint withdrawal_day_pk primary key (user_id, asset, day),
    constraint withdrawal_day_range check (used >= 0 and used <> 'NaN'),
    constraint withdrawal_day_limited check (used <= day_max and day_max <> 'NaN')
) with (fillfactor = 80);
comment on table withdrawal_day is 'What of a day''s limit is used: the row is locked, so that two requests cannot both pass';
comment on column withdrawal_day.user_id is 'Whose';
comment on column withdrawal_day.asset is 'Of what';
comment on column withdrawal_day.day is 'The day, in UTC, that the requests were recorded on';
comment on column withdrawal_day.used is 'What was asked for and not refused since; minor units';
comment on column withdrawal_day.day_max is 'The limit that the last one accepted was held against; minor units';

create table withdrawal (
    id bigint not null,
    user_id bigint not null,
    requested_by bigint not null,
    asset smallint not null,
    rail text not null,
    network text not null,
    address text not null,
    memo text,
    amount numeric(38,0) not null,
    fee numeric(38,0) not null,
    network_fee_max numeric(38,0) not null,
    hold_id bigint not null,
    content_hash bytea not null,
    state text not null,
    approvals_needed smallint not null,
    day date not null,
    requested_at timestamptz not null,
    approved_at timestamptz,
    approved_until timestamptz,
    closed_at timestamptz,
    close_reason text,
    constraint withdrawal_pk primary key (id),
    constraint withdrawal_content unique (id, requested_by, user_id, content_hash),
    constraint withdrawal_amount_positive check (amount > 0 and amount <> 'NaN'),
    constraint withdrawal_fee_range check (fee >= 0 and fee <> 'NaN' and network_fee_max >= 0 and network_fee_max <> 'NaN'),
    constraint withdrawal_rail_known check (rail in ('crypto', 'bank')),
    constraint withdrawal_address_bounded check (octet_length(address) between 1 and 256 and octet_length(memo) <= 256),
    constraint withdrawal_hash_length check (octet_length(content_hash) = 32),
    constraint withdrawal_state_known check (state in ('awaiting_approval', 'approved', 'rejected', 'cancelled')),
    constraint withdrawal_approvals_range check (approvals_needed between 1 and 2),
    constraint withdrawal_approved_whole check (
        (approved_at is null) = (approved_until is null) and (state = 'approved') <= (approved_at is not null)
        and (state = 'awaiting_approval') <= (approved_at is null)),
    constraint withdrawal_closed_whole check ((state in ('rejected', 'cancelled')) = (closed_at is not null)),
    constraint withdrawal_close_reason check ((state = 'rejected') <= (close_reason is not null))
) with (fillfactor = 80);
create index withdrawal_user on withdrawal (user_id, id);
create index withdrawal_state on withdrawal (state, id);
comment on table withdrawal is 'Money on its way out: held from the request on';
comment on column withdrawal.id is 'The id of the withdrawal-request job';
comment on column withdrawal.user_id is 'Whose money it is, and who receives it';
comment on column withdrawal.requested_by is 'The principal that asked; never approves it';
comment on column withdrawal.asset is 'What is withdrawn';
comment on column withdrawal.rail is 'The way that it leaves: crypto or bank';
comment on column withdrawal.network is 'The chain, as the registry had it';
comment on column withdrawal.address is 'Where it goes';
comment on column withdrawal.memo is 'Tag or memo where the network wants one';
comment on column withdrawal.amount is 'What is to arrive; minor units';
comment on column withdrawal.fee is 'What we charge on top of it; minor units';
comment on column withdrawal.network_fee_max is 'The most that the provider may charge us; minor units';
comment on column withdrawal.hold_id is 'The hold of amount and fee in the person''s wallet';
comment on column withdrawal.content_hash is 'SHA-256 over everything that an approval binds';
comment on column withdrawal.state is 'awaiting_approval, approved, rejected or cancelled';
comment on column withdrawal.approvals_needed is 'How many different principals have to approve';
comment on column withdrawal.day is 'The day that it counts for (see withdrawal_day)';
comment on column withdrawal.requested_at is 'When the request settled';
comment on column withdrawal.approved_at is 'When the last approval that it needed settled';
comment on column withdrawal.approved_until is 'When the first of its approvals expires';
comment on column withdrawal.closed_at is 'When its money was given back';
comment on column withdrawal.close_reason is 'Why it was rejected or cancelled';
create trigger withdrawal_transition before update on withdrawal
    for each row when (
        (old.state <> new.state and (old.state, new.state) not in (
            ('awaiting_approval', 'approved'), ('awaiting_approval', 'rejected'), ('awaiting_approval', 'cancelled'),
            ('approved', 'rejected'), ('approved', 'cancelled'),
            -- Its approvals have expired, and the first of two new ones is there.
            ('approved', 'awaiting_approval')))
        or old.closed_at is not null
        or (old.id, old.user_id, old.requested_by, old.asset, old.rail, old.network, old.address, old.memo, old.amount,
            old.fee, old.network_fee_max, old.hold_id, old.content_hash, old.approvals_needed, old.day, old.requested_at)
            is distinct from
            (new.id, new.user_id, new.requested_by, new.asset, new.rail, new.network, new.address, new.memo, new.amount,
            new.fee, new.network_fee_max, new.hold_id, new.content_hash, new.approvals_needed, new.day, new.requested_at))
    execute function refuse_change('no such transition');
create trigger withdrawal_kept before delete or truncate on withdrawal
    for each statement execute function refuse_change('withdrawals are kept');

create table approval (
    job_id bigint not null,
    withdrawal_id bigint not null,
    approver bigint not null,
    requester bigint not null,
    beneficiary bigint not null,
    content_hash bytea not null,
    approved_at timestamptz not null,
    valid_until timestamptz not null,
    constraint approval_pk primary key (job_id),
    constraint approval_approver_fk foreign key (approver) references principal (id),
    -- The row cannot lie about who asked, who receives and what was approved.
    constraint approval_content_fk foreign key (withdrawal_id, requester, beneficiary, content_hash)
        references withdrawal (id, requested_by, user_id, content_hash),
    constraint approval_not_the_requester check (approver <> requester),
    constraint approval_not_holdfast check (approver >= 100),
    constraint approval_valid_after check (valid_until > approved_at)
);
create index approval_withdrawal on approval (withdrawal_id, approver);
comment on table approval is 'Who approved what: bound to the content, and for a time';
comment on column approval.job_id is 'The job that approved';
comment on column approval.withdrawal_id is 'What was approved';
comment on column approval.approver is 'Who: the principal of the key that called';
comment on column approval.requester is 'Who asked for the withdrawal; somebody else';
comment on column approval.beneficiary is 'Whose money it is; somebody else';
comment on column approval.content_hash is 'Of what the approver saw';
comment on column approval.approved_at is 'When';
comment on column approval.valid_until is 'It counts until then';
create trigger approval_append_only before update or delete or truncate on approval
    for each statement execute function refuse_change('approval is append-only');
create function approval_by_beneficiary(approver bigint, beneficiary bigint) returns boolean
    language sql stable
    as $$ select exists (select from principal p where p.id = approver and p.user_id = beneficiary) $$;
comment on function approval_by_beneficiary(bigint, bigint) is 'Whether a principal is the person who would receive';
create function refuse_own_approval() returns trigger
    language plpgsql
    as $$
begin
    if approval_by_beneficiary(new.approver, new.beneficiary) then
        raise exception 'approval % is refused: the approver would receive it', new.job_id
            using errcode = 'check_violation', constraint = 'approval_not_the_beneficiary';
    end if;
    return new;
end
$$;
comment on function refuse_own_approval() is 'Trigger body: nobody approves what they would receive';
create trigger approval_not_the_beneficiary before insert on approval
    for each row execute function refuse_own_approval();

drop policy api_records_client_kinds on job;
drop policy api_records_client_kinds on request;
create policy api_records_client_kinds on job for insert to holdfast_api with check (
    caused_by is null and received_at = (select clock())
    and (submitted_by >= 100 and kind in ('user-register', 'user-flag', 'lock-escrow', 'trade-event', 'release', 'refund',
            'withdrawal-request', 'withdrawal-decision')
        or (kind = 'deposit-credit' and submitted_by = 2
            and exists (select from ipn_inbox i where i.id = (payload ->> 'inbox_id')::bigint))));
create policy api_records_client_kinds on request for insert to holdfast_api with check (
    submitter >= 100 and kind in ('user-register', 'user-flag', 'lock-escrow', 'trade-event', 'release', 'refund',
        'withdrawal-request', 'withdrawal-decision')
    or (kind = 'deposit-credit' and submitter = 2));

grant select on user_flag, kyc_limit, withdrawal_day, withdrawal, approval to holdfast_api, holdfast_worker;
grant insert on user_flag, withdrawal_day, withdrawal, approval to holdfast_worker;
grant update (used, day_max) on withdrawal_day to holdfast_worker;
grant update (state, approved_at, approved_until, closed_at, close_reason) on withdrawal to holdfast_worker;
grant update (tier, kyc) on app_user to holdfast_worker;

update schema set version = 8, oldest_binary = 8;
