use settlement::{Report, Settings, Settler};
use sqlx::PgPool;

use super::{Db, ipn_secrets};

/// How often a drain may find the queue waiting before it gives up: the longest legitimate wait
/// is that of a job for a trade that never comes, some thirty attempts.
const WAITS_MAX: u32 = 200;

impl Db {
    /// A worker of the ledger lane, on the pool of this database.
    pub(crate) async fn settler(&self) -> Settler {
        self.settler_on(self.worker.clone(), Settings::default().batch_max).await
    }

    /// A worker on a pool of its own, with batches of at most this size.
    pub(crate) async fn settler_on(&self, pool: PgPool, batch_max: u16) -> Settler {
        let settings = Settings { batch_max, ipn_secrets: ipn_secrets(), ..Settings::default() };
        Settler::new(pool, settings, 0).await.unwrap()
    }

    /// Settles until nothing is queued. Where jobs wait for their time, time is moved to them, so
    /// this never waits; a job that waits for a trade that never comes gets its answer too.
    pub(crate) async fn drain(&self) -> Report {
        self.drain_with(&self.settler().await).await
    }

    /// Like [`Db::drain`], with the worker given.
    pub(crate) async fn drain_with(&self, settler: &Settler) -> Report {
        let mut total = Report::default();
        for _ in 0..WAITS_MAX {
            total = sum(total, self.drain_due(settler).await);
            if !self.move_to_next().await {
                return total;
            }
        }
        panic!("the queue does not drain: {}", self.queue_text().await);
    }

    /// Settles until nothing is due.
    pub(crate) async fn drain_due(&self, settler: &Settler) -> Report {
        let mut total = Report::default();
        let mut empty = 0;
        // The first empty claim may have started behind what is due; the next one starts anew.
        while empty < 2 {
            match settler.claim().await.unwrap() {
                Some(batch) => {
                    empty = 0;
                    total = sum(total, settler.settle(batch).await.unwrap());
                }
                None => empty += 1,
            }
        }
        total
    }

    /// Causes the timers that are due and settles until nothing is queued. How many were caused.
    pub(crate) async fn sweep(&self) -> usize {
        let settler = self.settler().await;
        let mut caused = 0;
        loop {
            let more = settler.sweep_timers().await.unwrap();
            caused += more;
            if more == 0 {
                self.drain_with(&settler).await;
                return caused;
            }
        }
    }

    /// Moves `clock()` to the time of the next job; false if there is none.
    async fn move_to_next(&self) -> bool {
        let moved = sqlx::query!(
            "
            update clock_shift set shift = shift + greatest(n.run_at - clock(), interval '0')
            from (select min(run_at) as run_at from outbox where lane = 'ledger') n
            -- What waits longer than any retry does, a timer, waits for the test to let time pass.
            where n.run_at < clock() + interval '5 minutes'
            "
        )
        .execute(&self.owner)
        .await
        .unwrap();
        moved.rows_affected() == 1
    }

    /// What is queued, a line for each job, in the order of the jobs.
    pub(crate) async fn queue_text(&self) -> String {
        let rows = sqlx::query!(
            "select o.job_id, j.kind, o.attempt, o.last_error from outbox o join job j on j.id = o.job_id order by o.job_id"
        )
        .fetch_all(&self.owner)
        .await
        .unwrap();
        rows.into_iter()
            .map(|row| {
                let why = row.last_error.unwrap_or_default();
                format!("{} {} attempt {} {why}", row.job_id, row.kind, row.attempt).trim_end().to_owned() + "\n"
            })
            .collect()
    }

    /// What became of a job: `settled`, `rejected insufficient_funds`, `parked poison`, `queued`.
    pub(crate) async fn outcome(&self, job: i64) -> String {
        let row = sqlx::query!(
            r#"
            select coalesce(
                (select status || coalesce(' ' || reason, '') from outcome where job_id = $1),
                (select 'parked ' || reason from parked where job_id = $1),
                (select 'queued' from outbox where job_id = $1),
                'lost') as "text!"
            "#,
            job,
        )
        .fetch_one(&self.owner)
        .await
        .unwrap();
        row.text
    }

    /// What an outcome tells beyond its status, as compact JSON text; empty where that is nothing.
    pub(crate) async fn result(&self, job: i64) -> String {
        sqlx::query_scalar!(r#"select coalesce(result::text, '') as "text!" from outcome where job_id = $1"#, job)
            .fetch_one(&self.owner)
            .await
            .unwrap()
    }
}

/// Two reports as one.
pub(crate) fn sum(a: Report, b: Report) -> Report {
    Report {
        settled: a.settled + b.settled,
        rejected: a.rejected + b.rejected,
        postponed: a.postponed + b.postponed,
        parked: a.parked + b.parked,
    }
}
