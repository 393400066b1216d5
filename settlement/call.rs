//! A call: plan → commit → call → record → commit. No transaction is open while somebody outside is asked, and
//! whatever is committed after the lease is fenced by the attempt that it began.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use jobs::{CallEnd, CallKind, Earlier, EarlierCall, Endpoint, Reply};
use outbox::{Kinds, Leased, Parked, Postponed, Trouble};
use rustc_hash::FxHashSet;

use crate::batch::{Batch, Failure, Report};
use crate::decide::panic_message;
use crate::decisions::{Decisions, Planned};
use crate::outside::{Outside, PlannedCall};
use crate::settle::already_noted;
use crate::settler::Settler;
use crate::step::Step;
use crate::tables::corrupt;

/// How many lost races in a row are believed to be races.
const RACES_MAX: u8 = 5;
/// How often a lease is renewed before it would end.
const RENEWALS: u32 = 5;
/// How long jobs are leased that are of no kind that is called here.
const STRANGERS_LEASE: Duration = Duration::from_mins(1);

/// What a plan came to.
#[derive(Debug)]
pub enum Planning {
    /// This is to be called.
    Call(PlannedCall),
    /// The job has ended, waits, or is parked, and nothing is called.
    Ended(Report),
    /// The lease has passed to somebody else, or was planned under already.
    Lost,
}

/// What became of a leased job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calling {
    /// It was called, or ended without; what came of it is committed.
    Recorded(Report),
    /// The lease has passed to somebody else: nothing was recorded.
    Lost,
    /// The worker stops: it is due again at once.
    PutBack,
}

/// A step that was committed.
struct Taken {
    report: Report,
    planned: Option<Planned>,
    /// How much was left of the lease when its transaction began.
    left: Duration,
}

/// A worker of a lane whose jobs call.
#[derive(Debug)]
pub struct Calls {
    settler: Settler,
    outside: Outside,
    /// Suspects that were called alone and killed nobody.
    cleared: Mutex<FxHashSet<i64>>,
}

impl Calls {
    /// Calls the kinds of the settler's lane of which somebody makes the calls.
    pub fn new(settler: Settler, outside: Outside) -> Self {
        Self { settler, outside, cleared: Mutex::default() }
    }

    /// What loads, stores and commits.
    pub const fn settler(&self) -> &Settler {
        &self.settler
    }

    /// The kinds that it calls.
    fn kinds(&self) -> impl Iterator<Item = &'static CallKind> {
        let (lane, outside) = (self.settler.lane, &self.outside);
        let here = move |kind: &&CallKind| kind.info.lane.as_str() == lane && outside.of(kind.endpoint.name).is_some();
        self.settler.calls.iter().filter(here)
    }

    /// The endpoints that it calls, each once.
    pub fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<Endpoint> = Vec::new();
        for kind in self.kinds() {
            if endpoints.iter().all(|known| known.name != kind.endpoint.name) {
                endpoints.push(kind.endpoint);
            }
        }
        endpoints
    }

    /// Leases due jobs of an endpoint, as many as it has room for. Suspects are left to [`Calls::lease_suspect`].
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn lease(&self, endpoint: Endpoint, room: usize) -> Result<Vec<Leased>, sqlx::Error> {
        let kinds: Vec<&str> =
            self.kinds().filter(|kind| kind.endpoint.name == endpoint.name).map(|kind| kind.info.name).collect();
        let room = i64::try_from(room).unwrap_or(i64::MAX);
        let mut db = self.settler.pool.acquire().await?;
        let lane = self.settler.lane;
        outbox::lease_kinds(&mut db, lane, Kinds::Of(&kinds), (room, endpoint.lease), &self.suspects()).await
    }

    /// Parks or puts back what is due in the lane and of no kind that belongs there, as any worker does.
    ///
    /// # Errors
    /// Weather.
    pub async fn settle_strangers(&self) -> Result<Report, sqlx::Error> {
        let known: Vec<&str> = self
            .settler
            .calls
            .iter()
            .filter(|kind| kind.info.lane.as_str() == self.settler.lane)
            .map(|kind| kind.info.name)
            .collect();
        let mut db = self.settler.pool.acquire().await?;
        let (lane, most) = (self.settler.lane, (100, STRANGERS_LEASE));
        let strangers = outbox::lease_kinds(&mut db, lane, Kinds::Not(&known), most, &[]).await?;
        drop(db);
        let mut total = Report::default();
        for leased in strangers {
            if let Planning::Ended(report) = self.plan(leased).await? {
                total.add(report);
            }
        }
        Ok(total)
    }

    /// The jobs that are taken one at a time, with nothing else in hand.
    fn suspects(&self) -> Vec<i64> {
        let cleared = self.cleared.lock().unwrap_or_else(PoisonError::into_inner);
        self.settler.remember().suspects.iter().copied().filter(|job| !cleared.contains(job)).collect()
    }

    /// Whether one of them is due.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn has_due_suspect(&self) -> Result<bool, sqlx::Error> {
        let suspects = self.suspects();
        if suspects.is_empty() {
            return Ok(false);
        }
        outbox::is_any_due(&mut *self.settler.pool.acquire().await?, &suspects).await
    }

    /// Leases one suspect, if one is due. Whoever leases notes that they hold this job alone.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn lease_suspect(&self) -> Result<Option<Leased>, sqlx::Error> {
        let suspects = self.suspects();
        let longest = self.endpoints().iter().map(|endpoint| endpoint.lease).max();
        let Some(lease) = longest.filter(|_| !suspects.is_empty()) else { return Ok(None) };
        let mut db = self.settler.pool.acquire().await?;
        let leased = outbox::lease(&mut db, self.settler.lane, 1, lease, Some(&suspects)).await?;
        Ok(leased.first().copied())
    }

    /// Parks a leased suspect if workers have died alone with it too often; else it may be called.
    ///
    /// # Errors
    /// Weather.
    pub async fn park_if_deadly(&self, leased: Leased, deaths: i64) -> Result<bool, sqlx::Error> {
        if deaths < self.settler.settings.deaths_max {
            return Ok(false);
        }
        let detail = format!("{deaths} workers died while they held nothing but this job");
        self.park(leased, "crashes", detail, None).await?;
        Ok(true)
    }

    /// A suspect was called alone and what came of it recorded: from now on it is one job among others here.
    pub fn clear(&self, leased: Leased) {
        self.cleared.lock().unwrap_or_else(PoisonError::into_inner).insert(leased.job_id);
    }

    /// Plans the next call of a leased job and commits that it may be made; or ends the job without one.
    ///
    /// # Errors
    /// Weather. Whether the plan was committed is not known then, and nothing may be called: when the lease is over the
    /// next plan is told of a call that may have happened.
    pub async fn plan(&self, leased: Leased) -> Result<Planning, sqlx::Error> {
        let since = Instant::now();
        let Some(Taken { report, planned, left }) = self.take(leased, None).await? else { return Ok(Planning::Lost) };
        Ok(match planned {
            Some(planned) => {
                let until = since.checked_add(left).unwrap_or(since);
                Planning::Call(PlannedCall { planned, until })
            }
            None => Planning::Ended(report),
        })
    }

    /// Makes a call, once, within its time. Whatever is no answer and no refusal is unknown, never a failure.
    pub async fn call(&self, planned: &PlannedCall) -> Reply<String> {
        let Endpoint { name, timeout, only_reads, .. } = planned.endpoint();
        let Some(caller) = self.outside.of(name) else {
            return Reply::Unknown(format!("nobody calls {name} here"));
        };
        // A worker that was stopped in between must not call when somebody else may have begun to.
        if !only_reads && planned.until.saturating_duration_since(Instant::now()) < timeout {
            return Reply::Unknown("its lease was nearly over, and it was not called".to_owned());
        }
        let call = AssertUnwindSafe(caller.call(planned)).catch_unwind();
        match tokio::time::timeout(timeout, call).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(panic)) => Reply::Unknown(format!("calling panicked: {}", panic_message(panic.as_ref()))),
            Err(_) => Reply::Unknown(format!("no answer within {timeout:?}")),
        }
    }

    /// Records what came back, and what comes of it. `None` if the lease has passed to somebody else.
    ///
    /// # Errors
    /// Weather: try again with the same reply, for as long as it takes.
    pub async fn record(&self, planned: &PlannedCall, reply: &Reply<String>) -> Result<Option<Report>, sqlx::Error> {
        let recorded = self.take(planned.leased(), Some((planned.request(), reply))).await?;
        Ok(recorded.map(|taken| taken.report))
    }

    /// Puts a leased job back, due at once: for a call that only reads and was dropped.
    ///
    /// # Errors
    /// Any error of the database; then it is due again when the lease ends.
    pub async fn put_back(&self, leased: Leased) -> Result<(), sqlx::Error> {
        let Leased { job_id, attempt } = leased;
        let postponed = Postponed { job_id, attempt, after: Duration::ZERO, why: "the worker stopped" };
        outbox::postpone(&mut *self.settler.pool.acquire().await?, &[postponed]).await
    }

    /// Renews the lease of a call that only reads, for as long as it takes. Returns if it is lost.
    pub async fn keep_leased(&self, planned: &PlannedCall) {
        let lease = planned.endpoint().lease;
        loop {
            tokio::time::sleep(lease.checked_div(RENEWALS).unwrap_or(lease)).await;
            let renewed = async {
                let mut db = self.settler.pool.acquire().await?;
                outbox::renew(&mut db, planned.leased(), lease).await
            };
            match renewed.await {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => tracing::debug!(%error, "a lease was not renewed; trying again"),
            }
        }
    }

    /// Takes a step of a leased job, in a transaction that begins with the lock of its row and the comparison of its
    /// attempt: what came back is recorded, or the next call planned. A job whose data are at fault is parked. `None` if
    /// the lease is lost.
    async fn take(
        &self,
        leased: Leased,
        came_back: Option<(&str, &Reply<String>)>,
    ) -> Result<Option<Taken>, sqlx::Error> {
        let end = came_back.map(|(_, reply)| reply.end());
        let mut races_lost = 0_u8;
        loop {
            let mut tx = outbox::begin(&self.settler.pool).await?;
            let since = Instant::now();
            let Some(claimed) = outbox::claim_leased(&mut tx, leased).await? else { return Ok(None) };
            let step = match came_back {
                Some((request, reply)) => Step::Record { request: request.to_owned(), reply: reply.clone() },
                None => Step::Plan(earlier(outbox::calls_of(&mut tx, leased.job_id).await?)?),
            };
            if matches!(&step, Step::Plan(earlier) if earlier.has(leased.attempt)) {
                return Ok(None);
            }
            let lease_end = claimed.run_at;
            let batch = Batch::under_lease(tx, vec![claimed], since, step);
            let committed = self.settler.commit_whole(batch, already_noted()).await;
            self.settler.remember().isolated.retain(|id| *id != leased.job_id);
            let error = match committed {
                Ok(stored) => {
                    let left = lease_end.signed_duration_since(stored.now).to_std().unwrap_or_default();
                    let Decisions { report, planned, .. } = stored.decisions;
                    return Ok(Some(Taken { report, planned, left }));
                }
                Err(Failure::Unnoted(error)) => return Err(error),
                Err(Failure::Poison(culprit)) => {
                    return self.park(leased, culprit.reason, culprit.detail, end).await;
                }
                Err(Failure::Database(error)) => error,
            };
            if outbox::trouble(&error) == Trouble::Weather {
                return Err(error);
            }
            if !matches!(error, sqlx::Error::RowNotFound) || races_lost >= RACES_MAX {
                return self.park(leased, "poison", error.to_string(), end).await;
            }
            races_lost = races_lost.saturating_add(1);
        }
    }

    async fn park(
        &self,
        leased: Leased,
        reason: &'static str,
        detail: String,
        end: Option<CallEnd>,
    ) -> Result<Option<Taken>, sqlx::Error> {
        let mut tx = outbox::begin(&self.settler.pool).await?;
        let Some(claimed) = outbox::claim_leased(&mut tx, leased).await? else { return Ok(None) };
        let now = outbox::clock(&mut tx).await?;
        if let Some(end) = end {
            outbox::end_call(&mut tx, leased, end.as_str(), now).await?;
        }
        let parked = Parked { job_id: leased.job_id, attempt: leased.attempt, reason, detail };
        outbox::park(&mut tx, std::slice::from_ref(&parked)).await?;
        tx.commit().await?;
        self.settler.told_of_parked(&parked, &claimed.kind, now);
        let report = Report { parked: 1, ..Report::default() };
        Ok(Some(Taken { report, planned: None, left: Duration::ZERO }))
    }

    /// Plans, calls and records. Where the database refuses that, it is told to `storm`, which says when to try again:
    /// what came back is kept until it is recorded. A call that only reads is dropped and put back when `stop` returns; any
    /// other one is awaited, and what came of it recorded.
    ///
    /// # Errors
    /// Weather while it was planned or put back: the job is due again when its lease ends.
    pub async fn run(
        &self,
        leased: Leased,
        stop: impl Future<Output = ()> + Send,
        storm: impl Fn(&sqlx::Error) -> Duration,
    ) -> Result<Calling, sqlx::Error> {
        let planned = match self.plan(leased).await? {
            Planning::Call(planned) => planned,
            Planning::Ended(report) => return Ok(Calling::Recorded(report)),
            Planning::Lost => return Ok(Calling::Lost),
        };
        let reply = if planned.endpoint().only_reads {
            tokio::select! {
                reply = self.call(&planned) => reply,
                () = self.keep_leased(&planned) => return Ok(Calling::Lost),
                () = stop => {
                    self.put_back(leased).await?;
                    return Ok(Calling::PutBack);
                }
            }
        } else {
            self.call(&planned).await
        };
        loop {
            match self.record(&planned, &reply).await {
                Ok(recorded) => return Ok(recorded.map_or(Calling::Lost, Calling::Recorded)),
                Err(error) => tokio::time::sleep(storm(&error)).await,
            }
        }
    }
}

fn earlier(rows: Vec<outbox::CallRow>) -> Result<Earlier, sqlx::Error> {
    let read = |row: outbox::CallRow| {
        let end = match row.reply {
            Some(text) => Some(CallEnd::parse(&text).ok_or_else(|| corrupt("call_end.reply"))?),
            None => None,
        };
        Ok(EarlierCall { attempt: row.attempt, end })
    };
    rows.into_iter().map(read).collect::<Result<_, sqlx::Error>>().map(Earlier)
}
