use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{JobRef, PrincipalId};

/// What can become of a parked job. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decision {
    /// Back to the queue, its attempts going on from where they stood.
    Retry,
    /// It ends without any effect.
    Cancel,
}

/// A parked job, and what this batch decided about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedJob {
    /// The principal that asked.
    pub submitted_by: PrincipalId,
    /// The kind's stored name.
    pub kind: String,
    /// The fence where it stood.
    pub attempt: i32,
    /// Names this parking: a job that is retried may be parked again.
    pub parked_at: DateTime<Utc>,
    /// Whether it has planned a call that the endpoint did not refuse.
    pub may_have_called: bool,
    /// The newest decision to cancel it that waits for a second one.
    pub first: Option<FirstDecision>,
    /// What is to be carried out, and by which decision.
    pub fate: Option<(Decision, JobRef)>,
}

/// A decision to cancel that waits for a second one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FirstDecision {
    /// The job that made it.
    pub decision_job: JobRef,
    /// Who made it.
    pub by: PrincipalId,
    /// When.
    pub at: DateTime<Utc>,
}

/// A decision in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionMade {
    /// The parked job.
    pub job_id: JobRef,
    /// Which of its parkings.
    pub parked_at: DateTime<Utc>,
    /// What was decided.
    pub decision: Decision,
    /// Who decided.
    pub by: PrincipalId,
    /// Why.
    pub reason: String,
    /// Whether cancelling the job takes two people.
    pub needs_two: bool,
    /// False for the first of two.
    pub carried_out: bool,
    /// The decision that it confirms.
    pub first: Option<FirstDecision>,
}

impl Decision {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Retry => "retry",
            Self::Cancel => "cancel",
        }
    }
}
