//! What an operator should know of a parked job, and what the reasons mean.

use chrono::{DateTime, Utc};
use jobs::kind_info;
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::time::Time;

/// What an operator should know of a parked job.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Parked)]
pub(crate) struct ParkedDocument {
    parked_at: Time,
    /// What was seen.
    detail: String,
    /// What the reason means and what can be done, for people.
    explanation: String,
    /// Whether cancelling takes the decisions of two principals.
    cancel_needs_two: bool,
    /// Whether the first of the two was made and still counts.
    waits_for_second: bool,
}

impl ParkedDocument {
    pub(crate) fn new(
        kind: &str,
        reason: &str,
        detail: String,
        parked_at: DateTime<Utc>,
        waits_for_second: bool,
    ) -> Self {
        // As the worker judges: what is not known may move money.
        let cancel_needs_two = kind_info(kind).is_none_or(|kind| kind.moves_money);
        let cancel = if cancel_needs_two {
            "Cancelling it takes two principals, the second within 24 hours of the first."
        } else {
            "One principal may cancel it."
        };
        let explanation = format!("{} {cancel}", explain(reason));
        Self { parked_at: parked_at.into(), detail, explanation, cancel_needs_two, waits_for_second }
    }
}

/// What a reason means, and what to do about it.
fn explain(reason: &str) -> &'static str {
    match reason {
        "poison" => {
            "The database or the program refused what this job would have done, whatever the other jobs of its batch \
             were. Nothing of it happened. Mend the cause that the detail names, then retry it; or cancel it."
        }
        "crashes" => {
            "Workers died again and again while they held nothing but this job. Nothing of it happened. Look into \
             their logs before you retry it: it may end the next worker as well. Or cancel it."
        }
        "contradiction" => {
            "What is stored contradicts what this job rests on. Nothing of it happened. Run the integrity checks and \
             find out why before you retry it; it will be parked again while the contradiction stands. Or cancel it."
        }
        "unreadable" => {
            "The stored request does not read as one of its kind. Nothing of it happened. A release that can read it \
             will settle it on a retry; otherwise cancel it and have it asked for again."
        }
        _ => "It needs a person; the detail says what was seen. Nothing of it happened. Retry it or cancel it.",
    }
}
