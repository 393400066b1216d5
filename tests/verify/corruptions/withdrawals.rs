//! Withdrawals, approvals, limits, and what operators set.

use super::{Corruption, corruption};

pub(super) const WITHDRAWALS: &[Corruption] = &[
    corruption(
        "a withdrawal goes elsewhere",
        "update withdrawal set address = 'bc1q-mine' where id = {waiting}",
        &["withdrawals-come-from-requests"],
    ),
    corruption(
        "a withdrawal is larger than what is held",
        "update withdrawal set fee = fee + 1 where id = {waiting}",
        &["withdrawals-agree-with-holds"],
    ),
    corruption(
        "a withdrawal was given back and nobody decided so",
        "update withdrawal set state = 'cancelled', closed_at = now() where id = {waiting}",
        &["withdrawals-agree-with-holds", "withdrawals-agree-with-decisions", "days-are-what-was-asked"],
    ),
    corruption(
        "an approval is somebody else's",
        "update approval set approver = 101 where withdrawal_id = {approved}",
        &["withdrawals-agree-with-decisions"],
    ),
    corruption(
        "who asked approved",
        "
        alter table approval drop constraint approval_not_the_requester;
        update approval set approver = requester where withdrawal_id = {approved};
        update job set submitted_by = 100 where kind = 'withdrawal-decision' and payload ->> 'decision' = 'approve';
        update request set submitter = 100 where kind = 'withdrawal-decision' and submitter <> 100
        ",
        &["approvals-are-independent"],
    ),
    corruption(
        "who receives approved",
        "update principal set user_id = {ann} where id = (select approver from approval where withdrawal_id = {approved})",
        &["approvals-are-independent"],
    ),
    corruption(
        "one approval was enough where two are needed",
        "update withdrawal set approvals_needed = 2 where id = {approved}",
        &["approvals-are-independent"],
    ),
    corruption(
        "a day has less used than was asked for",
        "update withdrawal_day set used = used - 1 where user_id = {ann}",
        &["days-are-what-was-asked"],
    ),
    corruption(
        "a version of a day was skipped",
        "update withdrawal_day set version = version + 100 where user_id = {ann}",
        &["days-are-what-was-asked"],
    ),
    corruption(
        "somebody is known and nobody said so",
        "update app_user set kyc = 3 where id = {dan}",
        &["people-agree-with-flags"],
    ),
    corruption(
        "somebody is better known again than the newest flag says",
        "
        insert into user_flag (job_id, user_id, principal_id, frozen, tier, kyc, reason, set_at)
        select 900002, user_id, principal_id, frozen, tier, 1, reason, now() from user_flag where user_id = {ann}
        ",
        &["people-agree-with-flags"],
    ),
    corruption(
        "somebody is frozen and nobody froze them",
        "update app_user set frozen = true where id = {dan}",
        &["people-agree-with-flags"],
    ),
    corruption(
        "a flag was set by another",
        "update user_flag set principal_id = 101 where user_id = {ann}",
        &["people-agree-with-flags"],
    ),
];
