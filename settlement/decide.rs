//! Deciding a batch.

use std::panic::{AssertUnwindSafe, catch_unwind};

use jobs::{AnyJob, Desk, Job, Rejection, Verdict};
use outbox::Parked;
use rustc_hash::FxHashMap;

use crate::batch::Failure;
use crate::behind::{Behind, wait};
use crate::decisions::Decisions;
use crate::pauses::Pauses;
use crate::step::{Step, Taken, leased};

/// Decides every job in the order of receipt, and timers after everything else: an old one, such as
/// an undo set, must not expire what a later job of the same batch did in time. Whatever does not
/// settle leaves the desk as it was.
pub(crate) fn decide(
    mut desk: Desk,
    (jobs, step): (&[(Job, AnyJob)], &Step),
    pauses: &mut Pauses,
    behind: &Behind,
    decisions: &mut Decisions,
) -> Result<Desk, Failure> {
    // What was received after a job that has to wait, and is about the same thing, waits as well.
    // It comes back at the same time, so that the two are decided in their order again.
    let mut waiting = FxHashMap::default();
    let is_timer = |(_, kind): &&(Job, AnyJob)| matches!(kind, AnyJob::TimerExpiry(_));
    let timers = jobs.iter().filter(is_timer);
    for (job, kind) in jobs.iter().filter(|job| !is_timer(job)).chain(timers) {
        let subject = kind.subject(job.id);
        let earlier = behind.has(job).then(|| wait(job.attempt));
        if !step.records()
            && let Some(after) = waiting.get(&subject).copied().or(earlier)
        {
            let why = "an earlier job of its subject waits";
            waiting.insert(subject, after);
            decisions.note(job, subject, Verdict::Later { after, why });
            continue;
        }
        // What a call has done is recorded, whatever is paused meanwhile.
        let pause = if step.records() { None } else { pauses.on(job, kind, &desk) };
        let mark = desk.mark();
        let taken = catch_unwind(AssertUnwindSafe(|| step.take(kind, &mut desk, job)));
        let taken = taken.map_err(|panic| {
            Failure::Poison(Parked {
                job_id: job.id.0,
                attempt: job.attempt,
                reason: "poison",
                detail: format!("deciding it panicked: {}", panic_message(panic.as_ref())),
            })
        })?;
        if let Some(pause) = pause.filter(|_| !is_a_strangers(&taken)) {
            desk.undo(mark);
            decisions.put_off(job, pause.clone());
            pauses.note(job, kind, pause);
            continue;
        }
        let verdict = match taken {
            Taken::Verdict(verdict) => verdict,
            Taken::Recorded(end, verdict) => {
                decisions.called = Some((leased(job), end));
                verdict
            }
            Taken::Call(planned) => {
                decisions.planned = Some(planned);
                continue;
            }
        };
        if !matches!(verdict, Verdict::Settled(_)) {
            desk.undo(mark);
        }
        if let Verdict::Later { after, .. } = verdict {
            waiting.insert(subject, after);
        }
        decisions.note(job, subject, verdict);
    }
    Ok(desk)
}

/// Whether somebody asked who may never do this: no pause puts them off, or else nobody could do
/// anything about what strangers name.
fn is_a_strangers(taken: &Taken) -> bool {
    matches!(taken, Taken::Verdict(Verdict::Rejected(Rejection { reason, .. })) if reason.is_about_party())
}

pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
