use jobs::{CallEnd, Endpoint, Job, Reason, Rejection, Subject, Verdict};
use outbox::{Ended, Leased, Parked, Postponed, PutOff, SubjectKey};

use crate::batch::Report;
use crate::behind::{stored, wait};
use crate::follow_up::FollowUp;

/// A call that a plan asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    pub(crate) leased: Leased,
    pub(crate) endpoint: Endpoint,
    /// JSON text.
    pub(crate) request: String,
}

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
    /// The call that is to be made once this is committed.
    pub(crate) planned: Option<Planned>,
    /// How a call ended, and of which attempt.
    pub(crate) called: Option<(Leased, CallEnd)>,
    /// Whether attempts were raised by a lease already.
    pub(crate) under_lease: bool,
    /// Jobs that the batch has caused and settled itself.
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) report: Report,
}

impl Decisions {
    /// None yet.
    pub(crate) fn new(under_lease: bool) -> Self {
        Self { under_lease, ..Self::default() }
    }

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
        let attempt = job.attempt;
        let attempts = if self.under_lease { attempt } else { attempt.saturating_add(1) };
        match verdict {
            Verdict::Settled(settlement) => {
                self.report.settled = self.report.settled.saturating_add(1);
                let result = settlement.result.map(|result| result.to_string());
                self.ended.push(Ended { job_id, attempt, status: "settled", reason: None, result, attempts });
            }
            Verdict::Rejected(Rejection { reason, found }) => {
                self.report.rejected = self.report.rejected.saturating_add(1);
                if reason == Reason::WrongState {
                    self.refused_by_state.push((job_id, subject, job.attempt));
                }
                let result = found.map(|state| format!(r#"{{"state":"{state}"}}"#));
                let reason = Some(reason.code());
                self.ended.push(Ended { job_id, attempt, status: "rejected", reason, result, attempts });
            }
            Verdict::Later { after, why } => {
                self.report.postponed = self.report.postponed.saturating_add(1);
                self.postponed.push(Postponed { job_id, attempt, after, why });
            }
            Verdict::Park(parking) => {
                self.report.parked = self.report.parked.saturating_add(1);
                self.parked.push(Parked { job_id, attempt, reason: parking.reason, detail: parking.detail });
            }
        }
    }
}
