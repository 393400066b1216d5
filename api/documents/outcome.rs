use chrono::{DateTime, Utc};
use serde_json::Value;

/// What came of a job.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(crate) job_id: i64,
    /// `settled`, `rejected` or `cancelled`.
    pub(crate) status: String,
    pub(crate) reason: Option<String>,
    pub(crate) result: Option<Value>,
    pub(crate) attempts: i32,
    pub(crate) finished_at: DateTime<Utc>,
}
