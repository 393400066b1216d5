use jobs::{Job, Reason, Rejection, Subject, Verdict};
use outbox::{Ended, Parked, Postponed, PutOff, SubjectKey};

use crate::behind::{stored, wait};
use crate::follow_up::FollowUp;
use crate::settle::Report;

/// What the verdicts of a batch amount to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decisions {
    pub(crate) ended: Vec<Ended>,
    pub(crate) postponed: Vec<Postponed>,
    pub(crate) parked: Vec<Parked>,
    /// Jobs that a pause puts off; nothing was tried.
    pub(crate) put_off: Vec<PutOff>,
    /// Jobs refused because of the state that they found, with their subjects and attempts.
    refused_by_state: Vec<(i64, Subject, i32)>,
    /// Jobs that the batch has caused and settled itself.
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) report: Report,
}

impl Decisions {
    /// The jobs that were refused because of a state, with their subjects.
    pub(crate) fn refused(&self) -> Vec<(i64, SubjectKey)> {
        self.refused_by_state.iter().map(|(job_id, subject, _)| (*job_id, stored(*subject))).collect()
    }

    /// A refusal because of the state stands only if nothing that was received earlier could still
    /// change that state: who has overtaken it waits for it. A refusal has left the desk as it was,
    /// so taking it back needs no more than this.
    pub(crate) fn let_wait(&mut self, overtaken: &[i64]) {
        for (job_id, _, attempt) in self.refused_by_state.iter().filter(|(id, _, _)| overtaken.contains(id)) {
            self.ended.retain(|ended| ended.job_id != *job_id);
            self.report.rejected = self.report.rejected.saturating_sub(1);
            self.report.postponed = self.report.postponed.saturating_add(1);
            let after = wait(*attempt);
            let why = "it has overtaken an earlier job of its subject";
            self.postponed.push(Postponed { job_id: *job_id, attempt: *attempt, after, why });
        }
    }

    /// A job that the batch has caused is settled as well.
    pub(crate) fn follow(&mut self, follow_up: FollowUp) {
        self.report.settled = self.report.settled.saturating_add(1);
        self.follow_ups.push(follow_up);
    }

    /// A pause, given as scope and name, puts a job off.
    pub(crate) fn put_off(&mut self, job: &Job, pause: String) {
        self.report.postponed = self.report.postponed.saturating_add(1);
        self.put_off.push(PutOff { job_id: job.id.0, attempt: job.attempt, pause });
    }

    pub(crate) fn note(&mut self, job: &Job, subject: Subject, verdict: Verdict) {
        let job_id = job.id.0;
        let attempts = job.attempt.saturating_add(1);
        match verdict {
            Verdict::Settled(settlement) => {
                self.report.settled = self.report.settled.saturating_add(1);
                let result = settlement.result.map(|result| result.to_string());
                self.ended.push(Ended { job_id, status: "settled", reason: None, result, attempts });
            }
            Verdict::Rejected(Rejection { reason, found }) => {
                self.report.rejected = self.report.rejected.saturating_add(1);
                if reason == Reason::WrongState {
                    self.refused_by_state.push((job_id, subject, job.attempt));
                }
                let result = found.map(|state| format!(r#"{{"state":"{state}"}}"#));
                self.ended.push(Ended { job_id, status: "rejected", reason: Some(reason.code()), result, attempts });
            }
            Verdict::Later { after, why } => {
                self.report.postponed = self.report.postponed.saturating_add(1);
                self.postponed.push(Postponed { job_id, attempt: job.attempt, after, why });
            }
            Verdict::Park(parking) => {
                self.report.parked = self.report.parked.saturating_add(1);
                self.parked.push(Parked {
                    job_id,
                    attempt: job.attempt,
                    reason: parking.reason,
                    detail: parking.detail,
                });
            }
        }
    }
}
