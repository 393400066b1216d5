use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use apalis::prelude::Data;

use settlement::Report;
use tokio::task::JoinSet;

use crate::feed::{Feed, Work};

/// Does one piece of work of the ledger lane, in a task of its own: whoever checks signatures holds up nobody who
/// commits. It never fails towards the runtime: what did not commit is still in the outbox, and will be claimed
/// again. If this is dropped, the task ends where it waits next, and with it its transaction.
pub(crate) async fn settle(work: Work, feed: Data<Arc<Feed>>) -> Result<(), Infallible> {
    let mut task = JoinSet::new();
    let feed = Arc::clone(&feed);
    task.spawn(async move { settle_work(work, &feed).await });
    match task.join_next().await {
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(_) | None => Ok(()),
    }
}

/// Does one piece of work of a lane that is settled in batches.
pub(crate) async fn settle_work(work: Work, feed: &Feed) {
    let unnoted = AtomicBool::new(false);
    let note = async { feed.note().await.inspect_err(|_| unnoted.store(true, Ordering::Relaxed)) };
    let result = match work {
        Work::Batch(batch, _held) => feed.settler.settle_noted(batch, note).await.map(Some),
        Work::Suspects(_held) => settle_suspects(feed, &unnoted).await,
    };
    match result {
        Ok(Some(report)) => {
            feed.fair();
            tracing::debug!(
                settled = report.settled,
                rejected = report.rejected,
                postponed = report.postponed,
                parked = report.parked,
                "batch committed"
            );
        }
        Ok(None) => {}
        Err(error) if unnoted.load(Ordering::Relaxed) => feed.storm(&error, "noting what is held").await,
        Err(error) => feed.storm(&error, "settling").await,
    }
}

/// How many suspects are taken before the next batch has its turn.
const SUSPECTS_PER_TURN: usize = 32;

/// Takes suspects one at a time, each noted as the only thing that this worker holds; `unnoted` is set if that fails.
async fn settle_suspects(feed: &Feed, unnoted: &AtomicBool) -> Result<Option<Report>, sqlx::Error> {
    let mut last = None;
    for _ in 0..SUSPECTS_PER_TURN {
        let Some(leased) = feed.settler.lease_suspect().await? else {
            break;
        };
        let noted = feed.run.note_holding(&[leased.job_id]).await;
        noted.inspect_err(|_| unnoted.store(true, Ordering::Relaxed))?;
        let deaths = feed.run.deaths_alone_with(leased.job_id).await?;
        last = Some(feed.settler.settle_suspect(leased, deaths).await?);
    }
    Ok(last)
}
