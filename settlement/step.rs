//! What is done with the jobs of a batch: they are decided, or one that calls is planned, or what came back recorded.

use jobs::{AnyJob, CallEnd, Desk, Earlier, Job, Plan, Reply, Verdict};
use outbox::Leased;

use crate::decisions::Planned;

/// The step of a batch.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    /// Jobs are decided.
    Decide,
    /// A job is planned, after these calls of it.
    Plan(Earlier),
    /// What came back for a request is recorded.
    Record {
        /// JSON text.
        request: String,
        /// With an answer of JSON text.
        reply: Reply<String>,
    },
}

/// What a step says of a job.
pub(crate) enum Taken {
    Verdict(Verdict),
    Recorded(CallEnd, Verdict),
    Call(Planned),
}

impl Step {
    /// Takes it for one job.
    pub(crate) fn take(&self, kind: &AnyJob, desk: &mut Desk, job: &Job) -> Taken {
        match (self, kind) {
            (Self::Plan(earlier), AnyJob::Call(call)) => match call.plan(desk, job, earlier) {
                Plan::Call(request) => Taken::Call(Planned { leased: leased(job), endpoint: call.endpoint(), request }),
                Plan::Done(verdict) => Taken::Verdict(verdict),
            },
            (Self::Record { request, reply }, AnyJob::Call(call)) => {
                let (end, verdict) = call.record(desk, job, request, reply.clone());
                Taken::Recorded(end, verdict)
            }
            (Self::Decide | Self::Plan(_) | Self::Record { .. }, _) => {
                let decided = kind.decide(desk, job);
                // The registry puts no kind that calls into a lane whose jobs are decided.
                Taken::Verdict(decided.unwrap_or_else(|| Verdict::contradiction("a kind that calls was to be decided")))
            }
        }
    }

    /// Whether it records what has happened already, so that nothing can put it off.
    pub(crate) const fn records(&self) -> bool {
        matches!(self, Self::Record { .. })
    }

    /// Whether it is one of a call, under a lease.
    pub(crate) const fn is_of_a_call(&self) -> bool {
        !matches!(self, Self::Decide)
    }
}

/// The lease that a job is worked under.
pub(crate) const fn leased(job: &Job) -> Leased {
    Leased { job_id: job.id.0, attempt: job.attempt }
}
