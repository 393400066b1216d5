use std::time::Duration;

use jobs::{AnyJob, BadPayload, CallKind, Job, JobRef, Parking, PrincipalId, Subject, Verdict};
use ledger::JobId;
use outbox::Claimed;

use crate::committed::Unread;
use crate::decisions::Decisions;

/// When to look again at a job whose kind this worker does not know.
const UNKNOWN_KIND_PAUSE: Duration = Duration::from_secs(10);

/// Reads the payloads. What does not read as its kind is parked: it was valid when it was asked. The
/// second answer has the stored kinds of those that could not be read.
pub(crate) fn read(
    claimed: Vec<Claimed>,
    (lane, calls): (&str, &[CallKind]),
    decisions: &mut Decisions,
) -> (Vec<(Job, AnyJob)>, Unread) {
    let mut jobs = Vec::with_capacity(claimed.len());
    let mut unread = Vec::new();
    for row in claimed {
        let job = Job {
            id: JobId(row.job_id),
            submitted_by: PrincipalId(row.submitted_by),
            received_at: row.received_at,
            attempt: row.attempt,
            trace_parent: row.trace_parent,
        };
        // Of what cannot be read nobody knows what it is about.
        let itself = Subject::Job(JobRef(row.job_id));
        match AnyJob::read_with(calls, &row.kind, &row.payload) {
            Ok(kind) if kind.info().lane.as_str() == lane => {
                jobs.push((job, kind));
                continue;
            }
            // Nobody records that; if it is there, it must not pass a pause of its own lane.
            Ok(_) => {
                let parking = Parking { reason: "wrong_lane", detail: format!("it was queued in the lane {lane}") };
                decisions.note(&job, itself, Verdict::Park(parking));
            }
            // A newer release may have asked for it, and its workers will do it.
            Err(BadPayload::UnknownKind(name)) if name != outbox::NO_SUCH_JOB => {
                let why = "this worker does not know the kind";
                decisions.note(&job, itself, Verdict::Later { after: UNKNOWN_KIND_PAUSE, why });
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                let parking = Parking { reason: "unreadable", detail: format!("{error}{cause}") };
                decisions.note(&job, itself, Verdict::Park(parking));
            }
        }
        unread.push((row.job_id, row.kind));
    }
    (jobs, unread)
}
