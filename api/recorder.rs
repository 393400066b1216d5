use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use outbox::{Ask, Recorded, Trouble};
use prometheus::Histogram;
use sqlx::PgPool;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::nudges::Nudges;
use crate::problem::Problem;
use crate::stop::Stop;
use crate::within::within;

/// How many jobs one commit records, give or take the last request's.
const ROUND_JOBS_MAX: usize = 1_000;

/// How an enqueue transaction begins. Its jobs are dated at its beginning, so it must end long
/// before a deadline's grace (60 s) is over, or it would date a job before an expiry that has
/// already been decided; in the database, since a paused process could not keep the time itself.
const BEGIN: &str = "begin; set local statement_timeout = '5s'; set local idle_in_transaction_session_timeout = '5s'";

/// After this a commit counts as unanswered. The database's own limit comes first, unless it is
/// the network that is silent.
const COMMIT_WITHIN: Duration = Duration::from_secs(8);

/// What became of an ask.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// Committed, now or before; the time is that of this commit.
    Recorded(Recorded, DateTime<Utc>),
    /// It alone cannot be stored: text that jsonb refuses.
    NotStorable,
    /// It alone breaks a constraint, which no request should be able to.
    Broken(String),
    /// The database did not answer. It may or may not be recorded; the key tells, when it is sent
    /// again.
    Unavailable(String),
}

/// Commits what concurrent requests ask for together: while one commit is in flight, the next one
/// collects.
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
    pool: PgPool,
    nudges: Nudges,
    queue: mpsc::UnboundedReceiver<Posted>,
    /// How many jobs each round records.
    recorded_jobs: Histogram,
}

/// A recorder for at most that many waiting jobs, and the writer to run.
pub(crate) fn recorder(
    pool: PgPool,
    nudges: Nudges,
    queue_jobs_max: u32,
    recorded_jobs: Histogram,
) -> (Recorder, Writer) {
    let (sender, queue) = mpsc::unbounded_channel();
    let jobs_max = usize::try_from(queue_jobs_max).unwrap_or(Semaphore::MAX_PERMITS).min(Semaphore::MAX_PERMITS);
    let recorder = Recorder { queue: sender, room: Arc::new(Semaphore::new(jobs_max)), jobs_max };
    (recorder, Writer { pool, nudges, queue, recorded_jobs })
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
    pub(crate) async fn write(mut self, mut stop: Stop) {
        let mut waiting = VecDeque::new();
        loop {
            if waiting.is_empty() {
                let posted = tokio::select! {
                    // First, so that a closed queue is emptied and then ends the task.
                    biased;
                    posted = self.queue.recv() => posted,
                    () = stop.told() => {
                        self.queue.close();
                        continue;
                    }
                };
                match posted {
                    Some(posted) => waiting.push_back(posted),
                    None => return,
                }
            }
            while let Ok(posted) = self.queue.try_recv() {
                waiting.push_back(posted);
            }
            let round = next_round(&mut waiting);
            self.answer(round).await;
        }
    }

    async fn answer(&self, round: Vec<Posted>) {
        let mut asks = Vec::new();
        let mut replies = Vec::with_capacity(round.len());
        for posted in round {
            replies.push((posted.asks.len(), posted.reply, posted.room));
            asks.extend(posted.asks);
        }
        self.recorded_jobs.observe(u32::try_from(asks.len()).unwrap_or(u32::MAX).into());
        let written = record(&self.pool, &asks).await;
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
async fn record(pool: &PgPool, asks: &[Ask]) -> Vec<Written> {
    let mut written = Vec::with_capacity(asks.len());
    // The parts still to be recorded, the first one on top.
    let mut parts = vec![asks];
    while let Some(part) = parts.pop() {
        match within(COMMIT_WITHIN, commit(pool, part)).await {
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

async fn commit(pool: &PgPool, asks: &[Ask]) -> Result<(Vec<Recorded>, DateTime<Utc>), sqlx::Error> {
    let mut tx = pool.begin_with(BEGIN).await?;
    let recorded = outbox::enqueue(&mut tx, asks).await?;
    let at = outbox::clock(&mut tx).await?;
    tx.commit().await?;
    Ok((recorded, at))
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
