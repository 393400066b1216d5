use std::time::Duration;

use chrono::{DateTime, Utc};
use ledger::{BookError, JobId};

use crate::ids::PrincipalId;
use crate::reason::Reason;

/// A job as a worker meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id; what it brings into being bears the same number.
    pub id: JobId,
    /// The principal that asked.
    pub submitted_by: PrincipalId,
    /// When it was recorded; deadlines are compared with this.
    pub received_at: DateTime<Utc>,
    /// How often it was tried before.
    pub attempt: i32,
    /// W3C trace context of what asked for it; what it causes inherits it.
    pub trace_parent: Option<String>,
}

impl Job {
    /// Later, because something that comes first has not settled yet: soon at first, then at
    /// growing distances of up to 2.5 seconds.
    pub fn later(&self, why: &'static str) -> Verdict {
        Verdict::Later { after: doubled(self.attempt, Duration::from_millis(20), 7), why }
    }
}

/// `first`, doubled for each of these attempts, but no more often than `most` times.
pub fn doubled(attempts: i32, first: Duration, most: u32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or_default().min(most);
    first.saturating_mul(2_u32.saturating_pow(doublings))
}

/// What `decide` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The effects on the desk are to be committed.
    Settled(Settlement),
    /// A rule refuses; nothing changes.
    Rejected(Rejection),
    /// What it depends on is not there yet.
    Later {
        /// When to try again.
        after: Duration,
        /// What it waits for.
        why: &'static str,
    },
    /// A person must look.
    Park(Parking),
}

/// What a settled job tells its submitter beyond having settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// Null for most kinds.
    pub result: Option<serde_json::Value>,
}

/// Why a job needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// Stable code.
    pub reason: &'static str,
    /// What was seen.
    pub detail: String,
}

/// A refusal by a rule, with the state that was found where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule.
    pub reason: Reason,
    /// The stored text of the state that the trade or withdrawal was in.
    pub found: Option<&'static str>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self { reason, found: None }
    }
}

impl From<Reason> for Verdict {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason.into())
    }
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// An error of the book that is not a refusal is a fault of ours: the job is parked, never guessed.
impl From<BookError> for Verdict {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Insufficient { .. } => Reason::InsufficientFunds.into(),
            BookError::HoldClosed { .. } => Reason::HoldClosed.into(),
            BookError::UnknownAccount { .. }
            | BookError::UnknownHold { .. }
            | BookError::SameAccount { .. }
            | BookError::ZeroAmount
            | BookError::AssetMismatch { .. }
            | BookError::Overflow { .. }
            | BookError::HoldExists { .. }
            | BookError::HoldExceedsHeld { .. } => Self::contradiction(error.to_string()),
        }
    }
}

impl Verdict {
    /// Settled, with nothing to add.
    pub const SETTLED: Self = Self::Settled(Settlement { result: None });

    /// Facts contradict each other: parked for a person.
    pub fn contradiction(detail: impl Into<String>) -> Self {
        Self::Park(Parking { reason: "contradiction", detail: detail.into() })
    }
}
