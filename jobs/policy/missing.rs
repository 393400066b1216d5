use chrono::TimeDelta;

use crate::desk::Desk;
use crate::job::{Job, Verdict};
use crate::reason::Reason;

/// How long a job waits for what another was to bring into being, where that other is neither queued
/// nor ended. Longer than this it is a mistake.
const WAIT: TimeDelta = TimeDelta::seconds(60);

/// What to say of a thing that is not there: the job that was to make it, and gives it its id, was
/// refused, is still to come, or never was.
pub(crate) fn missing(
    desk: &Desk,
    job: &Job,
    id: i64,
    (refused, unknown): (Reason, Reason),
    still_to_come: &'static str,
) -> Verdict {
    if desk.refused.contains(&id) {
        return refused.into();
    }
    // What is queued will come, however long the queue. What is not may be parked.
    let waited = desk.now.signed_duration_since(job.received_at);
    if !desk.awaited.contains(&id) && waited > WAIT {
        return unknown.into();
    }
    job.later(still_to_come)
}
