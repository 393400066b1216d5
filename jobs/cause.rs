use chrono::{DateTime, Utc};

use crate::kind::Job;
use crate::registry::AnyJob;

/// A job that the settlement of another causes. It is recorded by the same commit, once for its
/// key, whoever causes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What is to be done.
    pub kind: AnyJob,
    /// The fact that causes it, within its kind.
    pub key: String,
    /// Not before this; `None` means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// The job that causes it; `None` where time does.
    pub caused_by: Option<Job>,
    /// Whether the kind that causes it has asked for every row and account that deciding it needs, so that the
    /// batch which causes it may decide it as well.
    pub at_once: bool,
}
