use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use outbox::{Ask, Recorded, Trouble};
use prometheus::Histogram;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::line::Line;
use crate::nudges::Nudges;
use crate::problem::Problem;
use crate::stop::Stop;
use crate::within::within;

/// How many jobs one commit records, give or take the last request's.
const ROUND_JOBS_MAX: usize = 1_000;

/// How many commits are under way at once.
const UNDER_WAY_MAX: usize = 2;

/// What a connection is to have that records. A recording is one statement and its own transaction, whose
/// jobs are dated at its beginning; so it must end long before a deadline's grace (60 s) is over, or it
/// would date a job before an expiry that has already been decided. In the database, since a paused
/// process could not keep the time itself; and where the end of what was sent never comes, because this
/// machine is gone from the network, the server gives up after as many probes.
const SETTINGS: [(&str, &str); 4] = [
    ("statement_timeout", "5s"),
    ("tcp_keepalives_idle", "5"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
];

/// After this a commit counts as unanswered. The database's own limit comes first, unless it is
/// the network that is silent.
const COMMIT_WITHIN: Duration = Duration::from_secs(8);

/// What became of an ask.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// Committed, now or before; and when it was received, if that is now.
    Recorded(Recorded, Option<DateTime<Utc>>),
    /// It alone cannot be stored: text that jsonb refuses.
    NotStorable,
    /// It alone breaks a constraint, which no request should be able to.
    Broken(String),
    /// The database did not answer. It may or may not be recorded; the key tells, when it is sent
    /// again.
    Unavailable(String),
}

/// Commits what concurrent requests ask for together: while some are under way, the next one collects.
#[derive(Clone, Debug)]
pub(crate) struct Recorder {
    queue: mpsc::UnboundedSender<Posted>,
    /// One permit per job that waits: this is what bounds the queue.
    room: Arc<Semaphore>,
    jobs_max: usize,
}

/// The asks of one request.
#[derive(Debug)]
struct Posted {
    asks: Vec<Ask>,
    reply: oneshot::Sender<Vec<Written>>,
    room: OwnedSemaphorePermit,
}

/// The end of the queue that commits.
#[derive(Debug)]
pub(crate) struct Writer {
    /// Those that are not in use.
    lines: Vec<Line>,
    queue: mpsc::UnboundedReceiver<Posted>,
    told: Told,
}

/// Who is told what a commit recorded.
#[derive(Debug)]
struct Told {
    nudges: Nudges,
    /// How many jobs each round records.
    recorded_jobs: Histogram,
}

/// A recorder for at most that many waiting jobs, and the writer to run.
pub(crate) fn recorder(
    pool: &PgPool,
    nudges: Nudges,
    queue_jobs_max: u32,
    recorded_jobs: Histogram,
) -> (Recorder, Writer) {
    let (sender, queue) = mpsc::unbounded_channel();
    let jobs_max = usize::try_from(queue_jobs_max).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
    let recorder = Recorder { queue: sender, room: Arc::new(Semaphore::new(jobs_max)), jobs_max };
    let lines = (0..UNDER_WAY_MAX).map(|_| Line::beside(pool, SETTINGS)).collect();
    (recorder, Writer { lines, queue, told: Told { nudges, recorded_jobs } })
}

impl Recorder {
    /// How many jobs wait to be recorded, or are being recorded.
    pub(crate) fn waiting_jobs(&self) -> usize {
        self.jobs_max.saturating_sub(self.room.available_permits())
    }

    /// Records the asks of one request and answers each, in their order, after the commit.
    ///
    /// # Errors
    /// 503 when the queue is full or the process is stopping.
    pub(crate) async fn record(&self, asks: Vec<Ask>) -> Result<Vec<Written>, Problem> {
        let jobs = u32::try_from(asks.len()).unwrap_or(u32::MAX);
        let Ok(room) = Arc::clone(&self.room).try_acquire_many_owned(jobs) else {
            return Err(Problem::unavailable("overloaded", "Too much is waiting to be recorded; try again shortly"));
        };
        let (reply, answer) = oneshot::channel();
        self.queue.send(Posted { asks, reply, room }).map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())
    }
}

fn stopping() -> Problem {
    Problem::unavailable("stopping", "The server is stopping; try again, it may be another one that answers")
}

impl Writer {
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
            if !waiting.is_empty()
                && let Some(line) = lines.pop()
            {
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
    async fn record(&self, mut line: Line, round: Vec<Posted>) -> Line {
        let mut asks = Vec::new();
        let mut replies = Vec::with_capacity(round.len());
        for posted in round {
            replies.push((posted.asks.len(), posted.reply, posted.room));
            asks.extend(posted.asks);
        }
        self.recorded_jobs.observe(u32::try_from(asks.len()).unwrap_or(u32::MAX).into());
        let written = record(&mut line, &asks).await;
        for (ask, written) in asks.iter().zip(&written) {
            if matches!(written, Written::Recorded(Recorded::New(_), _)) {
                self.nudges.after_commit(ask.lane);
            }
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
fn next_round(waiting: &mut VecDeque<Posted>) -> Vec<Posted> {
    let mut jobs = 0_usize;
    let mut round = Vec::new();
    while let Some(posted) = waiting.pop_front() {
        jobs = jobs.saturating_add(posted.asks.len());
        round.push(posted);
        if jobs >= ROUND_JOBS_MAX {
            break;
        }
    }
    round
}

/// Records asks in one commit. If the data of some cannot be stored, in as many as it takes to
/// find those: one client's text must not fail another's job.
async fn record(line: &mut Line, asks: &[Ask]) -> Vec<Written> {
    let mut written = Vec::with_capacity(asks.len());
    // The parts still to be recorded, the first one on top.
    let mut parts = vec![asks];
    while let Some(part) = parts.pop() {
        match within(COMMIT_WITHIN, commit(line, part)).await {
            Ok((recorded, at)) => written.extend(recorded.into_iter().map(|each| Written::Recorded(each, at))),
            Err(error) if outbox::trouble(&error) == Trouble::Data && part.len() > 1 => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.push(second);
                parts.push(first);
            }
            Err(error) => {
                let each = unrecorded(&error);
                written.extend(part.iter().map(|_| each.clone()));
            }
        }
    }
    written
}

async fn commit(line: &mut Line, asks: &[Ask]) -> Result<(Vec<Recorded>, Option<DateTime<Utc>>), sqlx::Error> {
    let mut db = line.take().await?;
    let recorded = outbox::record(&mut db, asks).await;
    if recorded.as_ref().err().is_none_or(|error| outbox::trouble(error) == Trouble::Data) {
        line.give(db);
    }
    recorded
}

/// Class 22 is text or a number that cannot be stored; the constraints of class 23 are checked
/// before, so a violation is a fault of ours.
fn unrecorded(error: &sqlx::Error) -> Written {
    let text_refused =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code.starts_with("22"));
    match outbox::trouble(error) {
        Trouble::Data if text_refused => Written::NotStorable,
        Trouble::Data => Written::Broken(error.to_string()),
        Trouble::Weather => Written::Unavailable(error.to_string()),
    }
}
