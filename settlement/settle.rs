use std::panic::AssertUnwindSafe;
use std::time::Instant;

use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use futures_util::future::{Ready, ready};
use outbox::{Claimed, Cursor, Leased, Parked, Trouble};
use sqlx::PgConnection;

use crate::batch::{Batch, Failure, Report};
use crate::committed::Stored;
use crate::decide::panic_message;
use crate::settler::Settler;
use crate::step::Step;
use crate::turn::Stage;

/// How many lost races in a row are believed to be races.
const RACES_MAX: u8 = 5;

/// A note of what is held that has nothing left to do: it was made before, or no worker holds anything.
pub(crate) fn already_noted() -> Ready<Result<(), sqlx::Error>> {
    ready(Ok(()))
}

impl Settler {
    /// Claims a batch of due jobs, if there are any. Jobs that are suspected of killing workers
    /// are left out: [`Settler::settle_suspect`] takes them one at a time.
    ///
    /// # Errors
    /// Any error of the database. Nothing is claimed then.
    pub async fn claim(&self) -> Result<Option<Batch>, sqlx::Error> {
        let mut tx = outbox::begin(&self.pool).await?;
        let since = Instant::now();
        let limit = self.batch_max();
        let (from, except) = {
            let mut memory = self.remember();
            let except = [memory.suspects.as_slice(), memory.isolated.as_slice()].concat();
            (memory.start.of_claim(since), except)
        };
        let mut claimed = self.look(&mut tx, limit, from, &except).await?;
        if claimed.is_empty() {
            let again = self.remember().start.once_more(from, Instant::now());
            if let Some(again) = again {
                claimed = self.look(&mut tx, limit, again, &except).await?;
            }
        }
        let last = claimed.iter().map(|claimed| (claimed.run_at, claimed.job_id)).max();
        let Some((run_at, job_id)) = last else {
            let is_lost = self.remember().start.is_lost();
            let at = if is_lost { outbox::open_at(&mut tx, self.lane).await? } else { None };
            self.remember().start.found_nothing(at);
            tx.rollback().await?;
            return Ok(None);
        };
        let is_full = claimed.len() >= usize::from(limit);
        self.remember().start.found(if is_full { Cursor { run_at, job_id } } else { Cursor::late(run_at) });
        let has_all = !is_full && from.sees_late();
        Ok(Some(Batch { tx, claimed, since, turn: self.turn(), has_all, is_full, step: Step::Decide }))
    }

    /// Claims from somewhere on.
    async fn look(
        &self,
        db: &mut PgConnection,
        limit: u16,
        from: Cursor,
        except: &[i64],
    ) -> Result<Vec<Claimed>, sqlx::Error> {
        let since = Instant::now();
        let claimed = outbox::claim(db, self.lane, i64::from(limit), from, except).await;
        let mut memory = self.remember();
        if claimed.is_err() {
            memory.start.failed(from, Instant::now(), since.elapsed());
        } else if from.is_start() {
            memory.start.looked(Instant::now(), since.elapsed());
        }
        claimed
    }

    fn go_back(&self, to: Option<DateTime<Utc>>) {
        if let Some(to) = to {
            self.remember().start.go_back(to);
        }
    }

    /// Settles a batch and commits. A batch that fails on data is tried again in halves until the
    /// job at fault stands alone and is parked.
    ///
    /// # Errors
    /// Weather: nothing of what was not committed has happened, no attempt was counted, and the
    /// jobs are due again. Try later.
    pub async fn settle(&self, batch: Batch) -> Result<Report, sqlx::Error> {
        self.settle_noted(batch, already_noted()).await
    }

    /// The same, with a note of what is held that is made while the batch asks for the time. Until it is made nothing of
    /// what its jobs say is looked at.
    ///
    /// # Errors
    /// As [`Settler::settle`]; a note that cannot be made is weather.
    pub async fn settle_noted(
        &self,
        batch: Batch,
        note: impl Future<Output = Result<(), sqlx::Error>> + Send,
    ) -> Result<Report, sqlx::Error> {
        let ids = batch.ids();
        let first = batch.first_run_at();
        let whole = self.settle_whole(batch, note).await;
        let all_ended = matches!(whole, Ok(ref report) if report.postponed == 0);
        let report = match whole {
            Ok(report) => Ok(report),
            Err(failure) => self.isolate(ids, failure).await,
        };
        if !all_ended {
            // What did not settle is due again, and others were claimed after it meanwhile.
            self.go_back(first);
        }
        report
    }

    /// Works through a failed batch until every job has settled or the culprits are parked. Meanwhile no
    /// claim of this worker takes any of it.
    async fn isolate(&self, ids: Vec<i64>, failure: Failure) -> Result<Report, sqlx::Error> {
        let result = self.isolate_parts(ids.clone(), failure).await;
        self.remember().isolated.retain(|id| !ids.contains(id));
        result
    }

    async fn isolate_parts(&self, ids: Vec<i64>, failure: Failure) -> Result<Report, sqlx::Error> {
        let mut total = Report::default();
        // With each part, how many races it has lost in a row.
        let mut failed = vec![(ids, failure, 0_u8)];
        while let Some((ids, failure, races_lost)) = failed.pop() {
            let mut losses = 0;
            let parts: Vec<Vec<i64>> = match failure {
                Failure::Database(error) if outbox::trouble(&error) == Trouble::Weather => return Err(error),
                Failure::Unnoted(error) => return Err(error),
                Failure::Poison(culprit) => {
                    let rest = ids.iter().copied().filter(|id| *id != culprit.job_id).collect();
                    total.add(self.park_alone(culprit).await?);
                    vec![rest]
                }
                Failure::Database(error) => match ids.as_slice() {
                    [] => vec![],
                    // Alone, it may have lost a race to another batch: then it finds the winner's
                    // row the next time. Who loses again and again has lost to something else.
                    [job_id] if matches!(error, sqlx::Error::RowNotFound) && races_lost < RACES_MAX => {
                        losses = races_lost.saturating_add(1);
                        vec![vec![*job_id]]
                    }
                    [job_id] => {
                        total.add(self.park_poison(*job_id, &error).await?);
                        vec![]
                    }
                    several => {
                        tracing::warn!(%error, jobs = several.len(), "batch failed on data; trying its halves");
                        let (first, second) = several.split_at(several.len() / 2);
                        vec![first.to_vec(), second.to_vec()]
                    }
                },
            };
            for part in parts.into_iter().filter(|part| !part.is_empty()) {
                let mut tx = outbox::begin(&self.pool).await?;
                let since = Instant::now();
                let claimed = outbox::claim_these(&mut tx, &part).await?;
                match self.settle_whole(Batch::alone(tx, claimed, since), already_noted()).await {
                    Ok(report) => total.add(report),
                    Err(failure) => failed.push((part, failure, losses)),
                }
            }
        }
        Ok(total)
    }

    /// Leases one suspect, if one is due. The lease raises its attempt and is committed, so that a
    /// job that kills the process leaves a trace. Whoever leases notes that they hold this job alone.
    ///
    /// # Errors
    /// Weather, as for [`Settler::settle`].
    pub async fn lease_suspect(&self) -> Result<Option<Leased>, sqlx::Error> {
        let suspects = self.remember().suspects.clone();
        if suspects.is_empty() {
            return Ok(None);
        }
        let mut db = self.pool.acquire().await?;
        let leased = outbox::lease(&mut db, self.lane, 1, self.settings.lease, Some(&suspects)).await?;
        Ok(leased.first().copied())
    }

    /// Settles a leased suspect alone, or parks it if workers have died alone with it too often.
    ///
    /// # Errors
    /// Weather, as for [`Settler::settle`].
    pub async fn settle_suspect(&self, leased: Leased, deaths: i64) -> Result<Report, sqlx::Error> {
        if deaths >= self.settings.deaths_max {
            let parked = Parked {
                job_id: leased.job_id,
                attempt: leased.attempt,
                reason: "crashes",
                detail: format!("{deaths} workers died while they held nothing but this job"),
            };
            return self.park_alone(parked).await;
        }
        let mut tx = outbox::begin(&self.pool).await?;
        let since = Instant::now();
        let mut claimed = outbox::claim_these(&mut tx, &[leased.job_id]).await?;
        // Somebody else may have leased it since, after ours had run out.
        claimed.retain(|claimed| claimed.attempt == leased.attempt);
        match self.settle_whole(Batch::alone(tx, claimed, since), already_noted()).await {
            Ok(report) => Ok(report),
            Err(failure) => self.isolate(vec![leased.job_id], failure).await,
        }
    }

    /// Settles a batch in its transaction. If that does not commit, it is rolled back before anything
    /// else is tried, since until then its rows stay locked; and what is remembered is forgotten,
    /// since it may have been the reason, unless it is that what is held could not be noted.
    async fn settle_whole(
        &self,
        batch: Batch,
        note: impl Future<Output = Result<(), sqlx::Error>> + Send,
    ) -> Result<Report, Failure> {
        self.commit_whole(batch, note).await.map(|stored| stored.decisions.report)
    }

    /// The same, with all that was committed.
    pub(crate) async fn commit_whole(
        &self,
        batch: Batch,
        note: impl Future<Output = Result<(), sqlx::Error>> + Send,
    ) -> Result<Stored, Failure> {
        let ids = batch.ids();
        let Batch { mut tx, claimed, since, mut turn, step, .. } = batch;
        let mut is_noted = false;
        let settled = Box::pin(self.settle_within(&mut tx, (claimed, step), (note, &mut is_noted), &mut turn));
        let settled = AssertUnwindSafe(settled).catch_unwind().await;
        let settled = settled.unwrap_or_else(|panic| {
            let message = format!("settling it panicked: {}", panic_message(panic.as_ref()));
            let error = sqlx::Error::Decode(message.into());
            Err(if is_noted { Failure::Database(error) } else { Failure::Unnoted(error) })
        });
        let result = match settled {
            Ok((stored, seen)) => match tx.commit().await {
                Ok(()) => {
                    self.remember().remembered.learn(seen);
                    if stored.decisions.report.postponed > 0 {
                        self.put_back.note();
                    }
                    turn.reached(Stage::Ended);
                    self.told(&stored, since);
                    Ok(stored)
                }
                Err(error) => Err(Failure::Database(error)),
            },
            Err(failure) => {
                self.remember().isolated.extend(&ids);
                if let Err(error) = tx.rollback().await {
                    tracing::debug!(%error, "the rollback failed; the connection is closed instead");
                }
                Err(failure)
            }
        };
        if let Err(failure) = &result {
            if !matches!(failure, Failure::Unnoted(_)) {
                self.remember().remembered.forget();
            }
            // Whoever comes next must not overtake those before.
            turn.until(Stage::Ended).await;
        }
        result
    }

    async fn park_poison(&self, job_id: i64, error: &sqlx::Error) -> Result<Report, sqlx::Error> {
        let mut tx = outbox::begin(&self.pool).await?;
        let claimed = outbox::claim_these(&mut tx, &[job_id]).await?;
        tx.rollback().await?;
        match claimed.first() {
            Some(claimed) => {
                let detail = error.to_string();
                self.park_alone(Parked { job_id, attempt: claimed.attempt, reason: "poison", detail }).await
            }
            None => Ok(Report::default()),
        }
    }

    pub(crate) async fn park_alone(&self, parked: Parked) -> Result<Report, sqlx::Error> {
        let mut tx = outbox::begin(&self.pool).await?;
        let now = outbox::clock(&mut tx).await?;
        let kind = outbox::kind_of(&mut tx, parked.job_id).await?;
        outbox::park(&mut tx, std::slice::from_ref(&parked)).await?;
        tx.commit().await?;
        self.told_of_parked(&parked, &kind, now);
        Ok(Report { parked: 1, ..Report::default() })
    }
}
