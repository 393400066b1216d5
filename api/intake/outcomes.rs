use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, oneshot};
use tokio::time::{Instant, timeout};

use crate::documents::outcome::Outcome;
use crate::intake::line::Line;
use crate::intake::stop::Stop;
use crate::within::within;

/// The least time between two looks while somebody waits: on average, half of it is waited for nothing.
const LOOK_EVERY: Duration = Duration::from_millis(1);
/// The time until the next look after one that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// After this a look counts as failed.
const LOOK_WITHIN: Duration = Duration::from_secs(5);

/// Those who wait for an outcome. One look serves all of them, so a thousand waiting clients cost
/// the database one query and not a thousand.
#[derive(Clone, Debug)]
pub(crate) struct Outcomes(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    waiting: Mutex<HashMap<i64, Vec<oneshot::Sender<Outcome>>>>,
    came: Notify,
    waiters_max: usize,
}

impl Outcomes {
    pub(crate) fn new(waiters_max: usize) -> Self {
        Self(Arc::new(Shared { waiting: Mutex::default(), came: Notify::new(), waiters_max }))
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<i64, Vec<oneshot::Sender<Outcome>>>> {
        self.0.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the outcome of a job. `None` when it did not come in time, when too many wait
    /// already, or when the process is stopping.
    pub(crate) async fn wait(&self, job_id: i64, within: Duration, mut stop: Stop) -> Option<Outcome> {
        let (sender, receiver) = oneshot::channel();
        {
            let mut waiting = self.waiting();
            if within.is_zero() || waiting.len() >= self.0.waiters_max {
                return None;
            }
            waiting.entry(job_id).or_default().push(sender);
        }
        self.0.came.notify_one();
        tokio::select! {
            outcome = timeout(within, receiver) => outcome.ok()?.ok(),
            () = stop.told() => None,
        }
    }

    /// Looks for the outcomes that are waited for until told to stop.
    pub(crate) async fn watch(self, mut line: Line, mut stop: Stop) {
        loop {
            tokio::select! {
                () = self.0.came.notified() => {}
                () = stop.told() => return,
            }
            // As long as somebody waits, however many came meanwhile.
            loop {
                let wanted = self.wanted();
                if wanted.is_empty() {
                    break;
                }
                let began = Instant::now();
                let pause = match within(LOOK_WITHIN, look(&mut line, &wanted)).await {
                    Ok(outcomes) => {
                        self.tell(outcomes);
                        // Never more than half of the time is spent looking.
                        began.elapsed().max(LOOK_EVERY)
                    }
                    Err(error) => {
                        tracing::warn!(%error, "outcomes could not be read; those who wait go on waiting");
                        LOOK_AGAIN
                    }
                };
                tokio::select! {
                    () = tokio::time::sleep(pause) => {}
                    () = stop.told() => return,
                }
            }
        }
    }

    /// The jobs that somebody still waits for, in order; those whose clients gave up are forgotten.
    fn wanted(&self) -> Vec<i64> {
        let mut waiting = self.waiting();
        waiting.retain(|_, senders| {
            senders.retain(|sender| !sender.is_closed());
            !senders.is_empty()
        });
        let mut ids: Vec<i64> = waiting.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    fn tell(&self, outcomes: Vec<Outcome>) {
        for outcome in outcomes {
            let senders = self.waiting().remove(&outcome.job_id).unwrap_or_default();
            for sender in senders {
                if sender.send(outcome.clone()).is_err() {
                    tracing::debug!(job_id = outcome.job_id, "a client gave up as its outcome came");
                }
            }
        }
    }
}

async fn look(line: &mut Line, ids: &[i64]) -> Result<Vec<Outcome>, sqlx::Error> {
    let mut db = line.take().await?;
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    let outcomes = sqlx::query_as!(
        Outcome,
        "
        select job_id, status, reason, result, attempts, finished_at from outcome
        where job_id = any ($1) and job_id between $2 and $3
        ",
        ids,
        ids.first().copied().unwrap_or_default(),
        ids.last().copied().unwrap_or_default(),
    )
    .fetch_all(&mut db)
    .await?;
    line.give(db);
    Ok(outcomes)
}
