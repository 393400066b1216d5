use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jobs::{AnyJob, Job, KINDS, Subject, doubled};
use outbox::{Moment, SubjectKey};
use rustc_hash::FxHashSet;
use sqlx::PgConnection;

/// How long a job waits for one that it has overtaken: what does not come back soon is looked for less often.
pub(crate) fn wait(attempt: i32) -> Duration {
    doubled(attempt, Duration::from_millis(10), 6)
}

/// How many batches of a worker have put jobs back.
#[derive(Clone, Debug, Default)]
pub(crate) struct PutBack(Arc<AtomicU64>);

impl PutBack {
    /// A batch that has done so is committed.
    pub(crate) fn note(&self) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

/// The jobs of a batch that stand behind another one, which was received earlier, is about the same subject and
/// was put back. What was asked for first is decided first, also where the answer would be yes.
///
/// Another worker's batch that is about to put a job back is not waited for: the two are as good as asked for
/// at once.
#[derive(Clone, Debug)]
pub(crate) struct Behind {
    /// Whether anything waited when the batch began.
    any: bool,
    /// A batch before this one in the same worker's hands may have put something back since.
    put_back: PutBack,
    seen: u64,
    jobs: FxHashSet<i64>,
}

impl Behind {
    /// Nothing is known yet. To be called before the moment is read.
    pub(crate) fn new(put_back: &PutBack) -> Self {
        let seen = put_back.0.load(Ordering::Acquire);
        Self { any: false, put_back: put_back.clone(), seen, jobs: FxHashSet::default() }
    }

    /// Notes whether anything waits at the moment at which the batch begins.
    pub(crate) fn begin(&mut self, moment: &Moment) {
        self.any = moment.waiting;
    }

    /// Looks for such jobs. To be called under the locks of the batch; where nothing waits it asks nothing.
    pub(crate) async fn look(
        &mut self,
        db: &mut PgConnection,
        jobs: &[(Job, AnyJob)],
        all: &[i64],
    ) -> Result<(), sqlx::Error> {
        if !self.any && self.put_back.0.load(Ordering::Acquire) == self.seen {
            return Ok(());
        }
        let in_order = jobs.iter().filter(|(_, kind)| kind.info().in_order);
        let subjects: Vec<(i64, SubjectKey)> =
            in_order.map(|(job, kind)| (job.id.0, stored(kind.subject(job.id)))).collect();
        let kinds: Vec<&str> = KINDS.iter().filter(|kind| kind.in_order).map(|kind| kind.name).collect();
        self.jobs = outbox::behind_waiting(db, &subjects, &kinds, all).await?.into_iter().collect();
        Ok(())
    }

    /// Whether this job does.
    pub(crate) fn has(&self, job: &Job) -> bool {
        self.jobs.contains(&job.id.0)
    }
}

/// A subject as it is stored.
pub(crate) const fn stored(subject: Subject) -> SubjectKey {
    SubjectKey { subject_type: subject.sort().as_str(), subject: subject.number() }
}
