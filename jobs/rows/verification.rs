use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// What the integrity checks found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// `clock()` of the snapshot that was checked.
    pub at: DateTime<Utc>,
    /// How many checks ran.
    pub checks: i32,
    /// Those that found something.
    pub failed: Vec<FailedCheck>,
    /// Codes of the assets whose balances do not sum to zero.
    pub unbalanced: Vec<String>,
    /// How long it took, milliseconds.
    pub took_ms: i64,
}

/// A check that found something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedCheck {
    /// Stable.
    pub name: String,
    /// What would be true if nothing had been found.
    pub proves: String,
    /// How many contradictions there are.
    pub count: i64,
    /// The first of them.
    pub rows: Vec<String>,
}
