use jobs::{Cause, TimerExpiry, TradeId, cause};

use crate::settler::Settler;
use crate::store::record;
use crate::tables::corrupt;

/// Trades looked at in one pass. Small against what a worker settles in the meantime, so that
/// thousands of timers that fall due at once join the queue bit by bit.
const PASS: i64 = 1_000;

impl Settler {
    /// Causes the timer-expiry of trades whose deadline and grace are over and that still await
    /// their payment: each trade is looked at once, in the order of the deadlines. Returns how many
    /// timers were caused; a full pass means that there may be more.
    ///
    /// One worker sweeps at a time; the others return at once. What a trade's later undo or
    /// extension needs is caused by that job itself.
    ///
    /// # Errors
    /// Any error of the database; nothing was swept then.
    pub async fn sweep_timers(&self) -> Result<usize, sqlx::Error> {
        let mut tx = outbox::begin(&self.aside).await?;
        let Some(watch) = sqlx::query!("select swept_to, swept_id from timer_watch for update skip locked")
            .fetch_optional(&mut *tx)
            .await?
        else {
            return Ok(0);
        };
        let due = sqlx::query!(
            "
            select id, state, pay_by, timer_generation
            from trade
            where (pay_by, id) > ($1, $2) and pay_by <= clock() - (select expiry_grace from rules)
            order by pay_by, id
            limit $3
            ",
            watch.swept_to,
            watch.swept_id,
            PASS,
        )
        .fetch_all(&mut *tx)
        .await?;
        let Some(last) = due.last() else {
            return Ok(0);
        };
        let (swept_to, swept_id) = (last.pay_by, last.id);
        let causes: Vec<Cause> = due
            .into_iter()
            .filter(|trade| trade.state == "awaiting_payment")
            .map(|trade| {
                let timer = TimerExpiry { trade_id: TradeId(trade.id), generation: trade.timer_generation };
                cause(&timer, timer.key(), None).map_err(|verdict| corrupt(format!("{verdict:?}")))
            })
            .collect::<Result<_, _>>()?;
        record(&mut tx, &causes).await?;
        sqlx::query!("update timer_watch set swept_to = $1, swept_id = $2", swept_to, swept_id)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(causes.len())
    }
}
