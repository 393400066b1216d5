use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jobs::{AnyJob, Job, Kind, ReferralCommission, Refund, Release, TimerExpiry, TradeEvent, doubled};
use outbox::Moment;
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

/// The jobs of a batch that stand behind another one, which was received earlier, is about the same trade and
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
        let subjects: Vec<(i64, i64)> =
            jobs.iter().filter_map(|(job, kind)| trade_of(kind).map(|subject| (job.id.0, subject))).collect();
        self.jobs = outbox::behind_waiting(db, &subjects, &ABOUT_TRADES, all).await?.into_iter().collect();
        Ok(())
    }

    /// Whether this job does.
    pub(crate) fn has(&self, job: &Job) -> bool {
        self.jobs.contains(&job.id.0)
    }
}

/// The kinds whose order counts. A timer has rules of its own, and what operators say of a person must not wait
/// for something that names that person's number as a trade's.
const ABOUT_TRADES: [&str; 3] = [TradeEvent::NAME, Release::NAME, Refund::NAME];

/// The trade that a job is about, if it is one of these kinds.
fn trade_of(kind: &AnyJob) -> Option<i64> {
    kind.subject().filter(|_| ABOUT_TRADES.contains(&kind.info().name))
}

/// What a job is about: a sort of thing and its number. Numbers alone do not tell, since a client may name that of
/// a person as a trade's.
pub(crate) fn about(kind: &AnyJob) -> Option<(&'static str, i64)> {
    let name = kind.info().name;
    let is_trades = ABOUT_TRADES.contains(&name) || [TimerExpiry::NAME, ReferralCommission::NAME].contains(&name);
    kind.subject().map(|subject| (if is_trades { "trade" } else { name }, subject))
}
