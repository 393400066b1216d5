use std::convert::Infallible;
use std::sync::Arc;

use apalis::prelude::Data;

use crate::feed::{Feed, Work};

/// Does one piece of work of the ledger lane. It never fails towards the runtime: what did not
/// commit is still in the outbox, and will be claimed again.
pub(crate) async fn settle(work: Work, feed: Data<Arc<Feed>>) -> Result<(), Infallible> {
    let result = match work {
        Work::Batch(batch) => feed.settler.settle(batch).await.map(Some),
        Work::Suspect => feed.settler.settle_suspect().await,
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
        Err(error) => feed.storm(&error, "settling").await,
    }
    Ok(())
}
