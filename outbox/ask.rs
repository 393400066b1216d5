use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

/// One job to be recorded.
#[derive(Clone, Debug)]
pub struct Ask {
    /// The principal that asks.
    pub submitter: i64,
    /// The kind's stored name.
    pub kind: &'static str,
    /// The client's key, or the fact that causes an internal kind; 1 to 255 bytes.
    pub key: String,
    /// From [`payload_hash`].
    pub payload_hash: [u8; 32],
    /// JSON text.
    pub payload: String,
    /// Which workers may claim it.
    pub lane: &'static str,
    /// The sort of what it is about, as stored.
    pub subject_type: &'static str,
    /// The number of that; `None` where it is the job's own.
    pub subject: Option<i64>,
    /// Not before this; `None` means at once.
    pub run_at: Option<DateTime<Utc>>,
    /// The job whose settlement causes it.
    pub caused_by: Option<i64>,
    /// W3C trace context.
    pub trace_parent: Option<String>,
}

/// What a job is about: a sort of thing, as stored, and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectKey {
    /// The sort.
    pub subject_type: &'static str,
    /// The number.
    pub subject: i64,
}

/// The hash that tells a replay from a conflict. Every part is length-delimited, so that no two
/// lists of parts hash alike.
pub fn payload_hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        // A usize always fits u64 on the platforms that Rust supports.
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}
