//! Pauses, decisions about parked jobs, verifications.

use super::{Corruption, corruption};

pub(super) const OPERATING: &[Corruption] = &[
    corruption("a pause is gone without a resumption", "delete from pause", &["pauses-follow-their-history"]),
    corruption(
        "something is paused that was resumed",
        "insert into pause values ('rail', 'bank', 'a test', 100, {pause}, now())",
        &["pauses-follow-their-history"],
    ),
    corruption(
        "something is paused that nobody paused",
        "insert into pause values ('kind', 'release', 'a test', 100, {pause}, now())",
        &["pauses-follow-their-history"],
    ),
    corruption("a pause is somebody else's", "update pause set principal_id = 101", &["pauses-follow-their-history"]),
    corruption(
        "a pause and its history say somebody else",
        "update pause set principal_id = 101; update pause_change set principal_id = 101 where job_id = {paused}",
        &["operators-records-have-jobs"],
    ),
    corruption(
        "a resumption is not on record",
        "delete from pause_change where job_id = {resume}; delete from pause_change where job_id = {pause}",
        &["operators-records-have-jobs"],
    ),
    corruption("a verification is not on record", "delete from verification", &["operators-records-have-jobs"]),
    corruption(
        "a verification that nobody asked for",
        "insert into verification values ({release}, now(), true, 1, '[]', 0)",
        &["operators-records-have-jobs"],
    ),
    corruption(
        "a call of a job that is not there",
        "insert into call values (99999, 1, 'checks', true, now())",
        &["calls-agree-with-jobs"],
    ),
    corruption(
        "a call that is said to change things",
        "update call set only_reads = false",
        &["calls-agree-with-jobs"],
    ),
    corruption("a call of another endpoint", "update call set endpoint = 'payouts'", &["calls-agree-with-jobs"]),
    corruption(
        "a call in an attempt that was none",
        "insert into call values ({verification}, 2, 'checks', true, now())",
        &["calls-agree-with-jobs"],
    ),
    corruption(
        "a call was planned before its job was there",
        "update call set planned_at = planned_at - interval '2 minutes'",
        &["calls-agree-with-jobs"],
    ),
    corruption(
        "a call was planned after it was recorded",
        "update call set planned_at = planned_at + interval '2 minutes'",
        &["calls-agree-with-jobs"],
    ),
    corruption("a call was never planned", "delete from call", &["calls-agree-with-jobs"]),
    corruption(
        "the end of a call is another job's",
        "update call_end set job_id = {release}",
        &["calls-agree-with-jobs"],
    ),
    corruption("the end of a call is another call's", "update call_end set attempt = 2", &["calls-agree-with-jobs"]),
    corruption(
        "nobody knows what was recorded of it",
        "update call_end set reply = 'unknown'",
        &["calls-agree-with-jobs"],
    ),
    corruption(
        "a call was recorded at another time than its outcome",
        "update call_end set recorded_at = recorded_at + interval '1 second'",
        &["calls-agree-with-jobs"],
    ),
    corruption("the end of a call is gone", "delete from call_end", &["calls-agree-with-jobs"]),
    corruption(
        "a decision gives another reason",
        "update parked_decision set reason = 'another' where decision_job = {first_cancel}",
        &["operators-records-have-jobs"],
    ),
    corruption(
        "a job was cancelled and nobody decided so",
        "update outcome set status = 'cancelled' where job_id = {refused_lock}",
        &["cancellations-are-decided"],
    ),
    corruption(
        "a job was decided on and not cancelled",
        "update outcome set status = 'rejected' where job_id = {cancelled_lock}",
        &["cancellations-are-decided"],
    ),
    corruption(
        "the second person is the first",
        "
        update parked_decision set principal_id = 100, first_principal = 101 where decision_job = {second_cancel};
        update job set submitted_by = 100 where id = {second_cancel};
        update request set submitter = 100 where job_id = {second_cancel}
        ",
        &["cancellations-are-decided"],
    ),
    corruption(
        "the first decision is too old",
        "update parked_decision set at = at - interval '25 hours' where decision_job = {first_cancel}",
        &["cancellations-are-decided"],
    ),
    corruption(
        "one person was said to be enough",
        "
        alter table parked_decision drop constraint parked_decision_two_people;
        update parked_decision set needs_two = false, first_decision = null, first_principal = null
            where decision_job = {second_cancel}
        ",
        &["cancellations-are-decided"],
    ),
];
