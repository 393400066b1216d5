use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use jobs::{AnyJob, Job};
use outbox::Parked;

use crate::decisions::Decisions;
use crate::settler::Settler;

/// What stands for a kind that this binary does not know.
const UNKNOWN: &str = "unknown";

/// What one commit made of its jobs, for whoever counts and traces.
#[derive(Clone, Debug)]
pub struct Committed {
    /// Its jobs.
    pub jobs: Vec<Done>,
    /// `clock()` of the transaction that claimed them.
    pub claimed_at: DateTime<Utc>,
    /// From the claim to the end of the commit.
    pub took: Duration,
    /// The other lanes in which it has queued what its jobs have caused: their workers may be told.
    pub queued_in: Vec<&'static str>,
}

/// What a commit made of one job.
#[derive(Clone, Debug)]
pub struct Done {
    /// The job.
    pub job_id: i64,
    /// The kind's stored name; `unknown` where this binary does not know it.
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

/// The stored kinds of jobs that could not be read.
pub(crate) type Unread = Vec<(i64, String)>;

/// A batch that was decided and stored, in a transaction that is not committed yet.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) decisions: Decisions,
    /// Those that could be read and those that they have caused and that are settled too, in the order of their ids.
    pub(crate) jobs: Vec<(Job, AnyJob)>,
    /// The others, with their stored kinds.
    pub(crate) unread: Unread,
    pub(crate) now: DateTime<Utc>,
    /// The other lanes that its jobs have queued something in.
    pub(crate) queued_in: Vec<&'static str>,
}

impl Settler {
    /// Tells of a commit: who was parked, which only now is true, and whoever watches.
    pub(crate) fn told(&self, stored: &Stored, since: Instant) {
        stored.log_parked();
        // A commit before a call has ended nothing yet.
        if let Some(watcher) = self.watcher.as_ref().filter(|_| stored.decisions.planned.is_none()) {
            watcher.tell(stored.committed(since));
        }
    }

    /// The same for a job that was parked by itself, whose kind was read for the purpose.
    pub(crate) fn told_of_parked(&self, parked: &Parked, kind: &str, now: DateTime<Utc>) {
        let Parked { job_id, attempt, reason, detail } = parked;
        log_parked(*job_id, kind, reason, detail);
        let Some(watcher) = &self.watcher else { return };
        let end = End::Parked(reason);
        let (job_id, kind, attempt) = (*job_id, known(kind), *attempt);
        let done = Done { job_id, kind, received_at: None, attempt, trace_parent: None, end };
        watcher.tell(Committed { jobs: vec![done], claimed_at: now, took: Duration::ZERO, queued_in: Vec::new() });
    }
}

impl Stored {
    fn log_parked(&self) {
        for parked in &self.decisions.parked {
            let (kind, _) = self.read(parked.job_id);
            log_parked(parked.job_id, kind, parked.reason, &parked.detail);
        }
    }

    /// What to tell of it now that it is committed; `since` is when its claim began.
    fn committed(&self, since: Instant) -> Committed {
        let Decisions { ended, postponed, parked, put_off, follow_ups, .. } = &self.decisions;
        let ended = ended.iter().map(|ended| {
            let end = ended.reason.map_or(End::Settled, End::Rejected);
            self.done(ended.job_id, ended.attempts.saturating_sub(1), end)
        });
        let postponed = postponed.iter().map(|back| self.done(back.job_id, back.attempt, End::Postponed(back.why)));
        let parked = parked.iter().map(|parked| self.done(parked.job_id, parked.attempt, End::Parked(parked.reason)));
        let put_off = put_off.iter().map(|off| self.done(off.job_id, off.attempt, End::Postponed("paused")));
        let followed = follow_ups.iter().map(|follow_up| self.done(follow_up.job.id.0, 0, End::Settled));
        let jobs = ended.chain(postponed).chain(parked).chain(put_off).chain(followed).collect();
        Committed { jobs, claimed_at: self.now, took: since.elapsed(), queued_in: self.queued_in.clone() }
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
        if let Some((job, kind)) = place.and_then(|place| self.jobs.get(place)) {
            return (kind.info().name, Some(job));
        }
        let unread = self.unread.iter().find(|(id, _)| *id == job_id);
        (unread.map_or(UNKNOWN, |(_, kind)| known(kind)), None)
    }
}

/// The kind of this name; whatever else was stored names no series and no span.
fn known(kind: &str) -> &'static str {
    jobs::kind_info(kind).map_or(UNKNOWN, |info| info.name)
}

/// One line for each job that needs a person.
fn log_parked(job_id: i64, kind: &str, reason: &str, detail: &str) {
    tracing::error!(job_id, kind, reason, detail, "job parked");
}
