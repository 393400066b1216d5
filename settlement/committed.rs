use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jobs::{AnyJob, Job};

use crate::decisions::Decisions;

/// What stands for the kind of a job that could not be read.
const UNREAD: &str = "unread";

/// What one commit made of its jobs, for whoever counts and traces.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its jobs.
    pub jobs: Vec<Done>,
    /// `clock()` of the transaction that claimed them.
    pub claimed_at: DateTime<Utc>,
    /// From the claim to the end of the commit.
    pub took: Duration,
}

/// What a commit made of one job.
#[derive(Clone, Debug)]
pub struct Done {
    /// The job.
    pub job_id: i64,
    /// The kind's stored name; `unread` where none could be told.
    pub kind: &'static str,
    /// When it was recorded; `None` where it was not loaded.
    pub received_at: Option<DateTime<Utc>>,
    /// How often it was tried before.
    pub attempt: i32,
    /// W3C trace context of what asked for it.
    pub trace_parent: Option<String>,
    /// What became of it.
    pub end: End,
}

/// What became of a job in a commit, with its stable code or the reason that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum End {
    /// Its effects are committed.
    Settled,
    /// Refused by a rule.
    Rejected(&'static str),
    /// Put back for later.
    Postponed(&'static str),
    /// Left to a person.
    Parked(&'static str),
}

impl End {
    /// One word, and the reason if there is one.
    pub const fn as_strs(self) -> (&'static str, Option<&'static str>) {
        match self {
            Self::Settled => ("settled", None),
            Self::Rejected(reason) => ("rejected", Some(reason)),
            Self::Postponed(why) => ("postponed", Some(why)),
            Self::Parked(reason) => ("parked", Some(reason)),
        }
    }
}

/// Who is told of every commit, on the task that settles: it must be quick and cannot fail.
#[derive(Clone)]
pub struct Watcher(Arc<dyn Fn(Committed) + Send + Sync>);

impl Watcher {
    /// A watcher that calls this after each commit.
    pub fn new(tell: impl Fn(Committed) + Send + Sync + 'static) -> Self {
        Self(Arc::new(tell))
    }

    pub(crate) fn tell(&self, committed: Committed) {
        (self.0)(committed);
    }
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watcher")
    }
}

/// A batch that was decided and stored, in a transaction that is not committed yet.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) decisions: Decisions,
    /// In the order of their ids.
    pub(crate) jobs: Vec<(Job, AnyJob)>,
    pub(crate) now: DateTime<Utc>,
}

impl Stored {
    /// Says who was parked. Only now is it true: a batch that is rolled back parks nobody.
    pub(crate) fn log_parked(&self) {
        for parked in &self.decisions.parked {
            let (kind, _) = self.read(parked.job_id);
            log_parked(parked.job_id, kind, parked.reason, &parked.detail);
        }
    }

    /// What to tell of it now that it is committed; `since` is when its claim began.
    pub(crate) fn committed(self, since: Instant) -> Committed {
        let Decisions { ended, postponed, parked, .. } = &self.decisions;
        let ended = ended.iter().map(|ended| {
            let end = ended.reason.map_or(End::Settled, End::Rejected);
            self.done(ended.job_id, ended.attempts.saturating_sub(1), end)
        });
        let postponed = postponed.iter().map(|back| self.done(back.job_id, back.attempt, End::Postponed(back.why)));
        let parked = parked.iter().map(|parked| self.done(parked.job_id, parked.attempt, End::Parked(parked.reason)));
        let jobs = ended.chain(postponed).chain(parked).collect();
        Committed { jobs, claimed_at: self.now, took: since.elapsed() }
    }

    fn done(&self, job_id: i64, attempt: i32, end: End) -> Done {
        let (kind, job) = self.read(job_id);
        Done {
            job_id,
            kind,
            received_at: job.map(|job| job.received_at),
            attempt,
            trace_parent: job.and_then(|job| job.trace_parent.clone()),
            end,
        }
    }

    /// The kind of a job, and the job if it could be read.
    fn read(&self, job_id: i64) -> (&'static str, Option<&Job>) {
        let place = self.jobs.binary_search_by_key(&job_id, |(job, _)| job.id.0).ok();
        match place.and_then(|place| self.jobs.get(place)) {
            Some((job, kind)) => (kind.info().name, Some(job)),
            None => (UNREAD, None),
        }
    }
}

/// A job that was parked by itself, outside a batch: its kind is read for the purpose.
pub(crate) fn parked_alone(
    job_id: i64,
    kind: &str,
    attempt: i32,
    reason: &'static str,
    now: DateTime<Utc>,
) -> Committed {
    let kind = jobs::kind_info(kind).map_or(UNREAD, |info| info.name);
    let done = Done { job_id, kind, received_at: None, attempt, trace_parent: None, end: End::Parked(reason) };
    Committed { jobs: vec![done], claimed_at: now, took: Duration::ZERO }
}

/// One line for each job that needs a person.
pub(crate) fn log_parked(job_id: i64, kind: &str, reason: &str, detail: &str) {
    tracing::error!(job_id, kind, reason, detail, "job parked");
}
