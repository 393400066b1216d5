use std::sync::atomic::{AtomicI64, Ordering};

use sqlx::PgPool;

/// One run of a worker, as the other workers of its lane see it.
///
/// A job that kills the process leaves no trace in the transaction that died with it. So a worker
/// notes what it holds before it decides, in a commit of its own; when its heartbeat stops, the
/// others handle just those jobs one at a time, with attempts counted in committed rows.
#[derive(Debug)]
pub struct Run {
    pool: PgPool,
    lane: &'static str,
    name: String,
    id: AtomicI64,
}

/// Jobs that a worker held when it ended uncleanly and that have not been dealt with since.
pub type Suspects = Vec<i64>;

impl Run {
    /// Begins a run. `pool` is best one whose commits need not wait for the disk: what a run
    /// notes matters only while the server is up.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn begin(pool: PgPool, lane: &'static str, name: String) -> Result<Self, sqlx::Error> {
        let id = insert(&pool, lane, &name).await?;
        Ok(Self { pool, lane, name, id: AtomicI64::new(id) })
    }

    /// The number of this run.
    pub fn id(&self) -> i64 {
        self.id.load(Ordering::Relaxed)
    }

    /// Notes what the worker is about to decide.
    ///
    /// # Errors
    /// Any error of the database; the batch must not be decided then.
    pub async fn note_holding(&self, jobs: &[i64]) -> Result<(), sqlx::Error> {
        sqlx::query!("update worker_run set holding = $2 where id = $1", self.id(), jobs).execute(&self.pool).await?;
        Ok(())
    }

    /// Beats, declares those dead whose heart has stopped for five seconds, and returns the jobs to be careful
    /// with. What the dead have left open is ended as long as there are such jobs. A worker that was itself
    /// declared dead, because it was paused, begins a new run.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn beat(&self) -> Result<Suspects, sqlx::Error> {
        let alive =
            sqlx::query!("update worker_run set beat_at = clock() where id = $1 and end_kind is null", self.id())
                .execute(&self.pool)
                .await?;
        if alive.rows_affected() == 0 {
            self.id.store(insert(&self.pool, self.lane, &self.name).await?, Ordering::Relaxed);
        }
        sqlx::query!(
            "
            update worker_run set ended_at = clock(), end_kind = 'unclean'
            where lane = $1 and end_kind is null and beat_at < clock() - interval '5 seconds'
            ",
            self.lane,
        )
        .execute(&self.pool)
        .await?;
        // Planned anew each time, and job by job below: a plan for a queue that the server takes for empty would
        // walk through all of a full one.
        sqlx::query!(
            "
            update worker_run set end_kind = 'passed'
            where lane = $1 and end_kind = 'unclean'
                and not exists (select from outbox o where o.job_id = any (worker_run.holding))
            ",
            self.lane,
        )
        .persistent(false)
        .execute(&self.pool)
        .await?;
        let suspects = sqlx::query_scalar!(
            r#"
            select distinct h.job_id as "job_id!"
            from worker_run w cross join lateral unnest(w.holding) as h (job_id)
            where w.lane = $1 and w.end_kind = 'unclean'
                and (select true from outbox o where o.job_id = h.job_id)
            order by 1
            "#,
            self.lane,
        )
        .persistent(false)
        .fetch_all(&self.pool)
        .await?;
        if !suspects.is_empty() {
            self.end_sessions().await?;
        }
        Ok(suspects)
    }

    /// Whether no other worker of the lane is about, as far as anybody knows.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn is_alone(&self) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar!(
            r#"
            select not exists (select from worker_run where lane = $1 and end_kind is null and id <> $2) as "alone!"
            "#,
            self.lane,
            self.id(),
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Ends what the dead have left open. The server does not by itself where it waits for rows to copy: a
    /// process that is stopped in the middle of that would keep its locks until it goes on.
    async fn end_sessions(&self) -> Result<(), sqlx::Error> {
        let ended = sqlx::query_scalar!(
            r#"
            select count(*) filter (where pg_terminate_backend(pid)) as "ended!"
            from pg_stat_activity
            where usename = session_user and pid <> pg_backend_pid() and xact_start < now() - interval '5 seconds'
                and application_name in (
                    select left(w.name || suffix, 63) from worker_run w
                    cross join unnest(array['', ' operating']) as suffix
                    where w.lane = $1 and w.end_kind = 'unclean')
            "#,
            self.lane,
        )
        .fetch_one(&self.pool)
        .await?;
        if ended > 0 {
            tracing::warn!(ended, "ended the transactions of workers whose hearts have stopped");
        }
        Ok(())
    }

    /// How often a worker died while it held nothing but this job.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn deaths_alone_with(&self, job: i64) -> Result<i64, sqlx::Error> {
        sqlx::query_scalar!(
            r#"
            select count(*) as "deaths!" from worker_run
            where lane = $1 and end_kind in ('unclean', 'passed') and holding = array[$2::bigint]
            "#,
            self.lane,
            job,
        )
        .fetch_one(&self.pool)
        .await
    }

    /// Ends the run in good order.
    ///
    /// # Errors
    /// Any error of the database; the run then looks unclean, which costs nothing but care.
    pub async fn end(&self) -> Result<(), sqlx::Error> {
        sqlx::query!(
            "update worker_run set ended_at = clock(), end_kind = 'clean', holding = '{}' where id = $1 and end_kind is null",
            self.id(),
        )
        .execute(&self.pool)
        .await?;
        Ok(())
    }
}

async fn insert(pool: &PgPool, lane: &str, name: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("insert into worker_run (lane, name) values ($1, $2) returning id", lane, name)
        .fetch_one(pool)
        .await
}
