use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outbox::Trouble;
use prometheus::Histogram;
use sqlx::{PgConnection, PgPool};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::{Instant, sleep};

use crate::http::problem::Problem;
use crate::intake::line::Line;
use crate::intake::nudges::Nudges;
use crate::intake::stop::Stop;
use crate::within::within;

/// How many commits are under way at once.
const UNDER_WAY_MAX: usize = 2;

/// What a connection is to have that records, besides how long a statement may take. Where the end of what was
/// sent never comes, because this machine is gone from the network, the server gives up after as many probes.
const SETTINGS: [(&str, &str); 4] = [
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// What many requests ask for, and one commit records.
pub(crate) trait Gathered: Send + Sync + Sized + 'static {
    /// What became of one.
    type Written: Send + 'static;

    /// After this the server gives up on a statement. A recording must end long before a deadline's grace (60 s)
    /// is over, or it would date a job before an expiry that has already been decided. In the database, since a
    /// paused process could not keep the time itself.
    const STATEMENT_TIMEOUT: &'static str;

    /// How many one commit records, give or take the last request's.
    const ROUND_MAX: usize;

    /// Whoever has waited for so long is committed beside those that are under way, of which one may be stuck. The
    /// sooner that is, the fewer a commit records, and the more each costs.
    const BESIDE_AFTER: Duration;

    /// After this a commit counts as unanswered. The database's own limit comes first, unless it is the
    /// network that is silent.
    const COMMIT_WITHIN: Duration;

    /// Records all of them, or none, and commits; answers in their order.
    fn commit(
        db: &mut PgConnection,
        all: &[Self],
    ) -> impl Future<Output = Result<Vec<Self::Written>, sqlx::Error>> + Send;

    /// One of them that could not be recorded. If it is its data that cannot be stored, it was tried alone.
    fn failed(&self, line: &mut Line, error: &sqlx::Error) -> impl Future<Output = Self::Written> + Send;

    /// The lane of the job that is new.
    fn lane(&self, written: &Self::Written) -> Option<&'static str>;
}

/// Commits what concurrent requests ask for together: while some are under way, the next one collects.
#[derive(Debug)]
pub(crate) struct Gatherer<G: Gathered> {
    queue: mpsc::UnboundedSender<Posted<G>>,
    /// One permit per job that waits: this is what bounds the queue.
    room: Arc<Semaphore>,
    jobs_max: usize,
}

/// What one request asks for.
#[derive(Debug)]
struct Posted<G: Gathered> {
    all: Vec<G>,
    reply: oneshot::Sender<Vec<G::Written>>,
    room: OwnedSemaphorePermit,
    since: Instant,
}

/// The end of the queue that commits.
#[derive(Debug)]
pub(crate) struct Writer<G: Gathered> {
    /// Those that are not in use.
    lines: Vec<Line>,
    queue: mpsc::UnboundedReceiver<Posted<G>>,
    told: Told,
}

/// Who is told what a commit recorded.
#[derive(Debug)]
struct Told {
    nudges: Nudges,
    /// How many jobs each round records.
    recorded_jobs: Histogram,
}

/// A gatherer for at most that many waiting jobs, and the writer to run.
pub(crate) fn gatherer<G: Gathered>(
    pool: &PgPool,
    nudges: Nudges,
    queue_jobs_max: u32,
    recorded_jobs: Histogram,
) -> (Gatherer<G>, Writer<G>) {
    let (sender, queue) = mpsc::unbounded_channel();
    let jobs_max = usize::try_from(queue_jobs_max).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
    let gatherer = Gatherer { queue: sender, room: Arc::new(Semaphore::new(jobs_max)), jobs_max };
    let [a, b, c, d] = SETTINGS;
    let settings = [("statement_timeout", G::STATEMENT_TIMEOUT), a, b, c, d];
    let lines = (0..UNDER_WAY_MAX).map(|_| Line::beside(pool, settings)).collect();
    (gatherer, Writer { lines, queue, told: Told { nudges, recorded_jobs } })
}

impl<G: Gathered> Gatherer<G> {
    /// How many jobs wait to be recorded, or are being recorded.
    pub(crate) fn waiting_jobs(&self) -> usize {
        self.jobs_max.saturating_sub(self.room.available_permits())
    }

    /// Records what one request asks for and answers each, in their order, after the commit.
    ///
    /// # Errors
    /// 503 when the queue is full or the process is stopping.
    pub(crate) async fn record(&self, all: Vec<G>) -> Result<Vec<G::Written>, Problem> {
        let jobs = u32::try_from(all.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(jobs) else {
            return Err(Problem::unavailable("overloaded", "Too much is waiting to be recorded; try again shortly"));
        };
        let (reply, answer) = oneshot::channel();
        self.queue.send(Posted { all, reply, room, since: Instant::now() }).map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Problem {
    Problem::unavailable("stopping", "The server is stopping; try again, it may be another one that answers")
}

impl<G: Gathered> Writer<G> {
    /// Commits what comes until told to stop, and then what has come.
    pub(crate) async fn write(self, mut stop: Stop) {
        let Self { mut lines, mut queue, told } = self;
        let mut waiting = VecDeque::new();
        let mut under_way = FuturesUnordered::new();
        let (mut open, mut stopping) = (true, false);
        while open || !waiting.is_empty() || !under_way.is_empty() {
            while let Ok(posted) = queue.try_recv() {
                waiting.push_back(posted);
            }
            // How long the first may still wait for those that are under way.
            let rest = waiting.front().map(|first: &Posted<G>| G::BESIDE_AFTER.saturating_sub(first.since.elapsed()));
            let is_due = rest.is_some_and(|rest| rest.is_zero() || under_way.is_empty());
            if is_due && let Some(line) = lines.pop() {
                under_way.push(told.record(line, next_round(&mut waiting)));
                continue;
            }
            tokio::select! {
                // A closed queue is emptied and then ends.
                biased;
                Some(line) = under_way.next() => lines.push(line),
                posted = queue.recv(), if open => match posted {
                    Some(posted) => waiting.push_back(posted),
                    None => open = false,
                },
                () = stop.told(), if !stopping => {
                    queue.close();
                    stopping = true;
                }
                () = sleep(rest.unwrap_or_default()), if rest.is_some() && !lines.is_empty() => {
                    tracing::debug!("a commit takes long; whoever waits for it is committed beside it");
                }
            }
        }
        drop(under_way);
        for line in lines {
            line.close().await;
        }
    }
}

impl Told {
    /// Records a round and answers it; gives the line back.
    async fn record<G: Gathered>(&self, mut line: Line, round: Vec<Posted<G>>) -> Line {
        let mut all = Vec::new();
        let mut replies = Vec::with_capacity(round.len());
        for posted in round {
            replies.push((posted.all.len(), posted.reply, posted.room));
            all.extend(posted.all);
        }
        self.recorded_jobs.observe(u32::try_from(all.len()).unwrap_or(u32::MAX).into());
        let written = record(&mut line, &all).await;
        for lane in all.iter().zip(&written).filter_map(|(one, written)| one.lane(written)) {
            self.nudges.after_commit(lane);
        }
        let mut written = written.into_iter();
        for (count, reply, room) in replies {
            if reply.send(written.by_ref().take(count).collect()).is_err() {
                tracing::debug!("a client went away before it was answered");
            }
            drop(room);
        }
        line
    }
}

/// As many requests as make up one round; at least one.
fn next_round<G: Gathered>(waiting: &mut VecDeque<Posted<G>>) -> Vec<Posted<G>> {
    let mut jobs = 0_usize;
    let mut round = Vec::new();
    while let Some(posted) = waiting.pop_front() {
        jobs = jobs.saturating_add(posted.all.len());
        round.push(posted);
        if jobs >= G::ROUND_MAX {
            break;
        }
    }
    round
}

/// Records in one commit. If the data of some cannot be stored, in as many as it takes to find those: one
/// client's text must not fail another's job.
async fn record<G: Gathered>(line: &mut Line, all: &[G]) -> Vec<G::Written> {
    let mut written = Vec::with_capacity(all.len());
    // The parts still to be recorded, the first one on top.
    let mut parts = vec![all];
    while let Some(part) = parts.pop() {
        match within(G::COMMIT_WITHIN, commit(line, part)).await {
            Ok(recorded) => written.extend(recorded),
            Err(error) if outbox::trouble(&error) == Trouble::Data && part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
            Err(error) => {
                for one in part {
                    written.push(one.failed(line, &error).await);
                }
            }
        }
    }
    written
}

async fn commit<G: Gathered>(line: &mut Line, all: &[G]) -> Result<Vec<G::Written>, sqlx::Error> {
    let mut db = line.take().await?;
    let recorded = G::commit(&mut db, all).await;
    if recorded.as_ref().err().is_none_or(|error| outbox::trouble(error) == Trouble::Data) {
        line.give(db);
    }
    recorded
}
