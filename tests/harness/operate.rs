use jobs::{AnyJob, Decision, JobRef, Lane, ParkedDecision, Pause, PauseScope};
use outbox::{Ask, payload_hash};
use settlement::{Report, Settings, Settler};

use super::asks::ask_of;
use super::{Db, SUBMITTER, fresh_key};

/// Another principal than [`SUBMITTER`].
pub(crate) const OTHER: i64 = SUBMITTER + 1;

/// Pauses something.
pub(crate) fn pause(scope: PauseScope, name: &str) -> AnyJob {
    AnyJob::Pause(Pause { scope, name: name.to_owned(), paused: true, reason: "a test".to_owned() })
}

/// Lets something go on.
pub(crate) fn resume(scope: PauseScope, name: &str) -> AnyJob {
    AnyJob::Pause(Pause { scope, name: name.to_owned(), paused: false, reason: "a test".to_owned() })
}

/// Sends a parked job back.
pub(crate) fn retry_parked(job: i64) -> AnyJob {
    decision(job, Decision::Retry)
}

/// Ends a parked job.
pub(crate) fn cancel_parked(job: i64) -> AnyJob {
    decision(job, Decision::Cancel)
}

fn decision(job: i64, decision: Decision) -> AnyJob {
    AnyJob::ParkedDecision(ParkedDecision { job_id: JobRef(job), decision, reason: "a test".to_owned() })
}

/// The ask for a job of a principal's, under a key of theirs.
pub(crate) fn ask_by(submitter: i64, key: &str, job: &AnyJob) -> Ask {
    let ask = ask_of(key, job);
    let payload_hash = payload_hash(&[&submitter.to_be_bytes(), ask.kind.as_bytes(), ask.payload.as_bytes()]);
    Ask { submitter, payload_hash, ..ask }
}

impl Db {
    /// Gives the two principals of the tests a key that may operate.
    pub(crate) async fn operators(&self) -> [String; 2] {
        [self.key(SUBMITTER, &["operate"]).await, self.key(OTHER, &["operate"]).await]
    }

    /// Asks for a job as an operator. Its id.
    pub(crate) async fn ask_as(&self, operator: i64, job: AnyJob) -> i64 {
        self.enqueue(&[ask_by(operator, &fresh_key(), &job)]).await.unwrap()[0].job_id()
    }

    /// A worker of the operators' lane.
    pub(crate) async fn operate_settler(&self) -> Settler {
        Settler::of_lane(Lane::Operate, self.worker.clone(), Settings::default(), 0).await.unwrap()
    }

    /// Settles what operators have asked for and is due.
    pub(crate) async fn operate(&self) -> Report {
        self.drain_due(&self.operate_settler().await).await
    }

    /// Asks as an operator and sees it settled or refused: the outcome and what it tells.
    pub(crate) async fn operated(&self, operator: i64, job: AnyJob) -> String {
        let id = self.ask_as(operator, job).await;
        self.operate().await;
        format!("{} {}", self.outcome(id).await, self.result(id).await).trim_end().to_owned()
    }

    /// Parks a queued job, as a worker does that cannot go on with it.
    pub(crate) async fn park(&self, job: i64, attempt: i32) {
        self.sql(&format!("update outbox set attempt = {attempt} where job_id = {job}")).await;
        let mut tx = self.worker.begin().await.unwrap();
        let parked = outbox::Parked { job_id: job, attempt, reason: "poison", detail: "a test".to_owned() };
        outbox::park(&mut tx, &[parked]).await.unwrap();
        tx.commit().await.unwrap();
    }
}
