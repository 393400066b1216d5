//! Deciding what a batch causes within the batch itself.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jobs::{AnyJob, Cause, Desk, Job, PrincipalId, Verdict};
use ledger::JobId;
use outbox::Ended;

use crate::decisions::Decisions;
use crate::pauses::Pauses;

/// A job that was settled by the batch that causes it: it is recorded and has an outcome, and was never queued.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FollowUp {
    pub(crate) job: Job,
    pub(crate) kind: AnyJob,
    pub(crate) cause: Cause,
    /// JSON text for whoever asks, where there is something to say.
    pub(crate) result: Option<String>,
}

impl FollowUp {
    /// What came of it.
    pub(crate) fn ended(&self) -> Ended {
        let (job_id, result) = (self.job.id.0, self.result.clone());
        Ended { job_id, attempt: 0, status: "settled", reason: None, result, attempts: 1 }
    }
}

/// How many of the jobs that are caused may be decided at once.
pub(crate) fn count(desk: &Desk) -> usize {
    desk.causes.iter().filter(|cause| is_ready(cause)).count()
}

/// Whether all that deciding it needs was asked for with the job that causes it.
fn is_ready(cause: &Cause) -> bool {
    cause.at_once && cause.run_at.is_none()
}

/// Decides, under the ids that are given, what was caused and may be decided at once. Whatever does not settle,
/// or is paused, leaves the desk as it was and is queued like any other job: there it is refused, retried or
/// parked as ever.
pub(crate) fn decide_caused(desk: &mut Desk, ids: &[i64], pauses: &Pauses, decisions: &mut Decisions) {
    let mut ids = ids.iter();
    let mut queued = Vec::new();
    for cause in std::mem::take(&mut desk.causes) {
        let id = if is_ready(&cause) { ids.next() } else { None };
        let Some(&id) = id else {
            queued.push(cause);
            continue;
        };
        let job = Job {
            id: JobId(id),
            submitted_by: PrincipalId::HOLDFAST,
            received_at: desk.now,
            attempt: 0,
            trace_parent: cause.caused_by.as_ref().and_then(|job| job.trace_parent.clone()),
        };
        let Ok(kind) = AnyJob::read(cause.kind.name, &cause.payload) else {
            queued.push(cause);
            continue;
        };
        let mark = desk.mark();
        let verdict = match pauses.on(&job, &kind, desk) {
            None => catch_unwind(AssertUnwindSafe(|| kind.decide(desk, &job)))
                .inspect_err(|_| tracing::warn!(key = cause.key, "deciding what a job causes panicked; it is queued"))
                .ok()
                .flatten(),
            Some(_) => None,
        };
        if let Some(Verdict::Settled(settlement)) = verdict {
            let result = settlement.result.map(|result| result.to_string());
            decisions.follow(FollowUp { job, kind, cause, result });
        } else {
            desk.undo(mark);
            queued.push(cause);
        }
    }
    // What was caused meanwhile comes after.
    queued.append(&mut desk.causes);
    desk.causes = queued;
}
