use chrono::{DateTime, Utc};

use crate::job::Job;
use crate::kind_info::KindInfo;
use crate::subject::Subject;

/// A job that the settlement of another causes. It is recorded by the same commit, once for its
/// key, whoever causes it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// What sort of job it is.
    pub kind: KindInfo,
    /// What the payload names that it is about.
    pub named: Option<Subject>,
    /// What is to be done, as it is stored: JSON text.
    pub payload: String,
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
