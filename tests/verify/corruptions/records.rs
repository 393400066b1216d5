//! Accounts, people, and the queue.

use super::{Corruption, corruption};

pub(super) const RECORDS: &[Corruption] = &[
    corruption(
        "a person's wallet is a stripe",
        "
        alter table account drop constraint account_stripe_house; update account set stripe = 1 where id = {bob_usdt}
        ",
        &["accounts-fit-their-purpose"],
    ),
    corruption(
        "a debt has a floor",
        "
        alter table account drop constraint account_floor_by_id;
        insert into account values (77, {ann}, 1, 'receivable')
        ",
        &["accounts-fit-their-purpose"],
    ),
    corruption(
        "an account of nobody",
        "insert into account values (77, 555555, 1, 'wallet')",
        &["accounts-have-owners"],
    ),
    corruption(
        "a job was caused by one that is not there",
        "update job set caused_by = 987654 where id = {release}",
        &["caused-jobs-have-causes", "references-resolve"],
    ),
    corruption(
        "a deposit's first job is not there",
        "update deposit set first_job = 987654 where payment_id = '1001'",
        &["references-resolve"],
    ),
    corruption(
        "a deposit's person is not there",
        "update deposit set user_id = 444444 where payment_id = '1003'",
        &["references-resolve"],
    ),
    corruption(
        "a deposit's asset is not there",
        "update deposit set asset = 444 where payment_id = '1003'",
        &["references-resolve"],
    ),
    corruption(
        "a job's principal is not there",
        "
        update job set submitted_by = 98 where id = {release};
        update request set submitter = 98 where job_id = {release}
        ",
        &["references-resolve"],
    ),
    corruption(
        "a person is gone",
        "delete from app_user where id = {dan}",
        &[
            "referrals-are-of-the-traders",
            "references-resolve",
            "accounts-have-owners",
            "people-come-from-registrations",
        ],
    ),
    corruption(
        "an account is gone",
        "delete from account where id = {bob_btc}",
        &["references-resolve", "posted-sums-to-zero", "releases-pay-out-the-amount"],
    ),
    corruption(
        "a hold's account is not there",
        "update hold set account_id = 424242 where id = {open}",
        &["references-resolve", "held-is-open-holds", "holds-have-their-entries", "trades-agree-with-holds"],
    ),
    corruption(
        "a trade's buyer is not there",
        "update trade set buyer_id = 424242 where id = {open}",
        &["referrals-are-of-the-traders", "references-resolve", "trades-come-from-locks"],
    ),
    corruption(
        "a trade's seller is not there",
        "update trade set seller_id = 424242 where id = {open}",
        &["references-resolve", "trades-come-from-locks", "trades-agree-with-holds"],
    ),
    corruption(
        "who paid is not there",
        "update transfer set debit = 424242 where job_id = {dust_release}",
        &["references-resolve", "transfers-have-two-entries", "releases-pay-out-the-amount"],
    ),
    corruption(
        "a person has another referrer",
        "update app_user set referrer_id = {cyd} where id = {dan}",
        &["referrals-are-of-the-traders", "people-come-from-registrations"],
    ),
    corruption(
        "a registration settled and made nobody",
        "update outcome set status = 'settled', reason = null where job_id = {refused_registration}",
        &["people-come-from-registrations"],
    ),
    corruption(
        "two people brought each other, by way of a third",
        r#"
        update app_user set referrer_id = {dan} where id = {ann};
        update job set payload = '{"referrer_id": "{dan}"}' where id = {ann}
        "#,
        &["referrals-are-of-the-traders", "referrers-form-no-cycle"],
    ),
    corruption(
        "a settled job is queued again",
        "insert into outbox values ({release}, 'ledger', 0, 1, now())",
        &["jobs-are-in-one-place", "queue-rows-know-their-subject"],
    ),
    corruption(
        "a queued job is about a person of the trade's number",
        "update outbox set subject_type = 'person'",
        &["queue-rows-know-their-subject"],
    ),
    corruption(
        "a queued job is about another trade",
        "update outbox set subject = subject + 1",
        &["queue-rows-know-their-subject"],
    ),
    corruption(
        "a parked job is about a withdrawal",
        "update parked set subject_type = 'withdrawal'",
        &["queue-rows-know-their-subject"],
    ),
    corruption(
        "a parked job is about another job",
        "update parked set subject = subject + 1",
        &["queue-rows-know-their-subject"],
    ),
    corruption("a queued job is lost", "delete from outbox", &["jobs-are-in-one-place"]),
    corruption("a refusal is lost", "delete from outcome where job_id = {refused_refund}", &["jobs-are-in-one-place"]),
    corruption(
        "a queued job is parked as well",
        "insert into parked select job_id, lane, slot, subject, attempt, 'poison', '', now() from outbox",
        &["jobs-are-in-one-place"],
    ),
    corruption(
        "no job is queued",
        "insert into outbox values (999999, 'ledger', 0, 1, now())",
        &["queue-rows-have-jobs"],
    ),
    corruption(
        "no job ended",
        "insert into outcome values (999999, 'settled', null, null, 1, now())",
        &["queue-rows-have-jobs"],
    ),
    corruption(
        "no job is parked",
        "insert into parked values (999999, 'ledger', 0, 1, 1, 'poison', '', now())",
        &["queue-rows-have-jobs"],
    ),
    corruption(
        "a request names no job",
        "
        insert into request select submitter, kind, 'x', payload_hash, 999999 from request where job_id = {ann}
        ",
        &["queue-rows-have-jobs"],
    ),
    corruption(
        "two requests name one job",
        "
        insert into request select submitter, kind, 'x', payload_hash, job_id from request where job_id = {ann}
        ",
        &["jobs-have-one-request"],
    ),
    corruption("a key is lost", "delete from request where job_id = {release}", &["jobs-have-one-request"]),
    corruption(
        "a request is of another kind",
        "update request set kind = 'refund' where job_id = {release}",
        &["requests-agree-with-jobs"],
    ),
    corruption(
        "a request is somebody else's",
        "update request set submitter = 2 where job_id = {release}",
        &["requests-agree-with-jobs"],
    ),
    corruption("a partition is missing", "alter table outcome detach partition outcome_p000001", &["partitions-exist"]),
    corruption(
        "the partitions are used up",
        "alter sequence job_id restart with 33554437; select nextval('job_id')",
        &["partitions-exist"],
    ),
    corruption("a trigger is off", "alter table entry disable trigger entry_append_only", &["guards-are-in-place"]),
    corruption(
        "a partition may be rewritten",
        "drop trigger job_p000000_append_only on job_p000000",
        &["guards-are-in-place"],
    ),
    corruption(
        "a constraint was never checked",
        "
        alter table hold drop constraint hold_amount_positive;
        alter table hold add constraint hold_amount_positive check (amount > 0) not valid
        ",
        &["guards-are-in-place"],
    ),
    corruption(
        "payloads are on record as dropped whose jobs are young or have not ended",
        "
        insert into retention (part, first_job, last_job, jobs, received_from, received_to, finished_to, months, cutoff,
                done_by, bytes_before, bytes_after)
            select 0, min(id), max(id), count(*), now() - interval '9 months', now() - interval '9 months',
                now() - interval '9 months', 3, now() - interval '8 months', 'nobody', 1, 1
            from job
        ",
        &["dropped-payloads-were-due", "other-payloads-are-there"],
    ),
    corruption(
        "a payload is gone and nobody has dropped it",
        "update job set payload = jsonb_build_object() where id = {refused_lock}",
        &["other-payloads-are-there"],
    ),
    corruption(
        "an event is cut down and nobody has dropped it",
        "update job set payload = jsonb_build_object('trade_id', payload -> 'trade_id') where id = {refused_release}",
        &["other-payloads-are-there"],
    ),
];
