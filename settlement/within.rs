//! What a batch does in its transaction.

use futures_util::future::join;
use jobs::{AnyJob, Desk, Job, Want};
use outbox::{Claimed, Ended};
use sqlx::{Executor, PgConnection};

use crate::batch::Failure;
use crate::behind::Behind;
use crate::committed::Stored;
use crate::decide::decide;
use crate::decisions::Decisions;
use crate::follow_up::FollowUp;
use crate::foresight::{Known, Since};
use crate::pauses::Pauses;
use crate::settler::Settler;
use crate::step::Step;
use crate::store::{are_few, record_settled, same_rows, store_few, store_rows, store_shared};
use crate::tables::account::{Ids, are_newest, find_all};
use crate::tables::entry;
use crate::turn::{Stage, Turn};
use crate::{follow_up, load, reading};

/// A batch of fewer jobs is not worth foreseeing, and what it causes is queued.
const FORESEEN_MIN: usize = 256;

/// A batch, with its own rows loaded and locked.
struct Loaded {
    desk: Desk,
    want: Want,
    ids: Ids,
    jobs: Vec<(Job, AnyJob)>,
    step: Step,
    /// Every job of the batch in the order of the ids, those that could not be read included.
    all: Vec<i64>,
    pauses: Pauses,
    behind: Behind,
    /// What became of those that could not be read.
    unread: Decisions,
    /// Numbers for what the batch causes and decides itself.
    caused: Vec<i64>,
    since: Since,
    /// Whether balances are taken as they are remembered.
    trusts: bool,
    /// How often people were changed before they were read, if that was asked.
    user_changes: Option<i64>,
}

/// What a batch has seen and left behind, to be remembered once it is committed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) desk: Desk,
    pub(crate) want: Want,
    pub(crate) ids: Ids,
    pub(crate) since: Since,
    pub(crate) user_changes: Option<i64>,
}

impl Settler {
    /// Load → decide → store → complete.
    ///
    /// The rows that are the batch's own are locked first, and those that batches share (accounts)
    /// as late as can be. A large batch stores what rests on its own rows before that: as it foresees to
    /// decide with what is remembered of the others. What it then decides under all locks is what counts;
    /// what was stored otherwise is taken back, and all is read and decided once more.
    pub(crate) async fn settle_within(
        &self,
        db: &mut PgConnection,
        (claimed, step): (Vec<Claimed>, Step),
        (note, is_noted): (impl Future<Output = Result<(), sqlx::Error>> + Send, &mut bool),
        turn: &mut Turn,
    ) -> Result<(Stored, Seen), Failure> {
        let mut behind = Behind::new(&self.put_back);
        let (moment, noted) = join(outbox::moment(&mut *db, self.lane), note).await;
        noted.map_err(Failure::Unnoted)?;
        *is_noted = true;
        let moment = moment?;
        behind.begin(&moment);
        moment.within_window()?;
        let renewal = self.remember().plans.renewal(moment.backend, claimed.len());
        if let Some(renew) = renewal {
            db.execute(renew).await?;
        }
        let all = claimed.iter().map(|claimed| claimed.job_id).collect();
        let mut unread_decisions = Decisions::new(step.is_of_a_call());
        let (jobs, unread) = reading::read(claimed, (self.lane, self.calls), &mut unread_decisions);
        let (assets, rules) = {
            let memory = self.remember();
            (memory.assets.clone(), memory.rules.clone())
        };
        let since = self.remember().remembered.meet(&moment);
        let mut desk = Desk::new(moment.now, self.stripe, assets, rules);
        let mut want = load::wanted(&jobs);
        load::facts(db, &mut desk, &mut want, &self.settings.ipn_secrets).await?;
        turn.until(Stage::Locked).await;
        load::rows(db, &mut desk, &jobs, &mut want).await?;
        let ids = self.accounts(db, &want).await?;
        turn.reached(Stage::Locked);
        let pauses = Pauses::read(&moment);
        let mut loaded = Loaded {
            desk,
            want,
            ids,
            jobs,
            step,
            all,
            pauses,
            behind,
            unread: unread_decisions,
            caused: Vec::new(),
            since,
            trusts: false,
            user_changes: None,
        };
        let foreseen = self.store_foreseen(db, &mut loaded).await?;
        turn.until(Stage::Ended).await;
        let stored = match foreseen {
            Some(foreseen) => {
                let stored = self.store_as_foreseen(db, &mut loaded, &foreseen).await?;
                if stored.is_none() {
                    // With the savepoint go the locks that were taken since, and with them what was read under
                    // them: it is all read and decided once more, where nothing of what was foreseen is left.
                    db.execute("rollback to savepoint foreseen").await?;
                }
                stored
            }
            None => None,
        };
        let (desk, decisions) =
            if let Some(stored) = stored { stored } else { self.store_as_decided(db, &mut loaded).await? };
        let Loaded { want, ids, mut jobs, user_changes, .. } = loaded;
        // Numbers that were taken after the claim are greater than those in it, unless a server deals them out in
        // blocks.
        jobs.extend(decisions.follow_ups.iter().map(|follow_up| (follow_up.job.clone(), follow_up.kind.clone())));
        jobs.sort_unstable_by_key(|(job, _)| job.id.0);
        let queued_in = other_lanes(&desk, self.lane);
        Ok((
            Stored { decisions, jobs, unread, now: moment.now, queued_in },
            Seen { desk, want, ids, since, user_changes },
        ))
    }

    /// What a batch may take to be so under its locks.
    fn known(&self, loaded: &Loaded) -> Known {
        self.remember().remembered.known(loaded.since, &loaded.want, &loaded.ids, loaded.trusts)
    }

    /// The ids of the accounts that a batch asks for; those that are missing are made.
    async fn accounts(&self, db: &mut PgConnection, want: &Want) -> Result<Ids, sqlx::Error> {
        let mut ids = self.remember().remembered.ids_for(want);
        let known = ids.len();
        find_all(db, &self.aside, want, &mut ids).await?;
        if ids.len() > known {
            self.remember().remembered.ids.extend(ids.iter().map(|(key, id)| (*key, *id)));
        }
        Ok(ids)
    }

    /// Stores what the batch will probably decide, if that is worth it, behind a savepoint.
    async fn store_foreseen(
        &self,
        db: &mut PgConnection,
        loaded: &mut Loaded,
    ) -> Result<Option<(Desk, Decisions)>, Failure> {
        if self.lane != Self::LANE || !loaded.is_large() || !self.remember().foresight.tries() {
            return Ok(None);
        }
        loaded.trusts = {
            let mut memory = self.remember();
            !memory.others && memory.balances.tries()
        };
        db.execute("savepoint foreseen").await?;
        match self.try_foreseen(db, loaded).await {
            Ok(foreseen) => Ok(Some(foreseen)),
            Err(failure) if failure.is_weather() => Err(failure),
            // It may rest on something that is not so. What is decided under locks has its own chance.
            Err(failure) => {
                tracing::debug!(?failure, "nothing was foreseen");
                db.execute("rollback to savepoint foreseen").await?;
                Ok(None)
            }
        }
    }

    async fn try_foreseen(&self, db: &mut PgConnection, loaded: &mut Loaded) -> Result<(Desk, Decisions), Failure> {
        let remembered = self.known(loaded);
        let mut desk = loaded.desk.clone();
        load::foresee(db, &mut desk, &loaded.want, &loaded.ids, remembered, loaded.batch()).await?;
        let (desk, decisions) = loaded.decide(db, desk).await?;
        store_own(db, &desk, &decisions).await?;
        Ok((desk, decisions))
    }

    /// Decides under all locks on balances that are read under them, and stores everything.
    async fn store_as_decided(&self, db: &mut PgConnection, loaded: &mut Loaded) -> Result<(Desk, Decisions), Failure> {
        loaded.trusts = false;
        let known = if loaded.is_large() { self.known(loaded) } else { Known::default() };
        let (desk, decisions) = loaded.decide_under_locks(db, &known).await?;
        if are_few(&desk) {
            store_few(&mut *db, &desk).await?;
            end(db, &desk, &decisions).await?;
        } else {
            store_own(&mut *db, &desk, &decisions).await?;
            store_shared(db, &desk).await?;
        }
        Ok((desk, decisions))
    }

    /// Decides under all locks and stores what is left to be stored, if that is what was foreseen. Where balances
    /// are trusted, they are those that the batches before have left, as this worker remembers them. If another
    /// worker has written since, the entries of this batch would have versions that are taken; and an account that
    /// it writes no entry of is compared with what its newest one says.
    ///
    /// `None` if what was foreseen or remembered is not so: the transaction is to go back then.
    async fn store_as_foreseen(
        &self,
        db: &mut PgConnection,
        loaded: &mut Loaded,
        foreseen: &(Desk, Decisions),
    ) -> Result<Option<(Desk, Decisions)>, Failure> {
        let known = self.known(loaded);
        let (desk, decisions) = match loaded.decide_under_locks(db, &known).await {
            // No job is to blame for what comes of a balance that may not be so.
            Err(failure) if loaded.trusts && !failure.is_weather() => {
                tracing::debug!(?failure, "nothing was decided on what is remembered");
                self.remember().balances.note(false);
                return Ok(None);
            }
            decided => decided?,
        };
        let came_true = foreseen.1 == decisions && same_rows(&foreseen.0, &desk);
        // Where it rests on what is remembered of balances, that is the first to be doubted.
        if came_true || !loaded.trusts {
            self.remember().foresight.note(came_true);
        }
        if !came_true {
            tracing::debug!("what was foreseen is not what was decided");
            if loaded.trusts {
                self.remember().balances.note(false);
            }
            return Ok(None);
        }
        let are_so = are_newest(db, &desk, &known.heads).await?
            && match store_shared(db, &desk).await {
                Err(error) if entry::are_outdated(&error) => false,
                stored => stored.map(|()| true)?,
            };
        if loaded.trusts {
            self.remember().balances.note(are_so);
        }
        Ok(are_so.then_some((desk, decisions)))
    }
}

impl Loaded {
    fn batch(&self) -> load::Batch<'_> {
        load::Batch { ids: &self.all, jobs: &self.jobs }
    }

    /// Locks what batches share, reads of it what is not known, and decides.
    async fn decide_under_locks(&mut self, db: &mut PgConnection, known: &Known) -> Result<(Desk, Decisions), Failure> {
        let mut desk = self.desk.clone();
        let batch = load::Batch { ids: &self.all, jobs: &self.jobs };
        self.user_changes = load::shared(db, &mut desk, &self.want, &mut self.ids, known, batch).await?;
        self.decide(db, desk).await
    }

    /// Whether it is worth more than the fewest statements.
    fn is_large(&self) -> bool {
        self.jobs.len() >= FORESEEN_MIN
    }

    async fn decide(&mut self, db: &mut PgConnection, desk: Desk) -> Result<(Desk, Decisions), Failure> {
        let (mut decisions, mut pauses) = (self.unread.clone(), self.pauses.clone());
        pauses.look_ahead(&mut *db, &self.jobs).await?;
        self.behind.look(&mut *db, &self.jobs, &self.all).await?;
        let mut desk = decide(desk, (&self.jobs, &self.step), &mut pauses, &self.behind, &mut decisions)?;
        if self.is_large() {
            let missing = follow_up::count(&desk).saturating_sub(self.caused.len());
            if missing > 0 {
                self.caused.extend(outbox::job_ids(&mut *db, missing).await?);
            }
            follow_up::decide_caused(&mut desk, &self.caused, &pauses, &mut decisions);
        }
        if !self.step.records() {
            decisions.let_wait(&outbox::overtaken(db, &decisions.refused(), &self.all).await?);
        }
        Ok((desk, decisions))
    }
}

/// The lanes of what a batch has caused for others.
fn other_lanes(desk: &Desk, own: &str) -> Vec<&'static str> {
    let lanes = desk.causes.iter().map(|cause| cause.kind.lane.as_str());
    let mut lanes: Vec<&str> = lanes.filter(|lane| *lane != own).collect();
    lanes.sort_unstable();
    lanes.dedup();
    lanes
}

/// Stores what rests on the batch's own rows, and ends its jobs.
async fn store_own(db: &mut PgConnection, desk: &Desk, decisions: &Decisions) -> Result<(), sqlx::Error> {
    store_rows(&mut *db, desk).await?;
    end(db, desk, decisions).await
}

/// Ends the jobs of a batch, each as was decided, and what it has caused and decided itself.
async fn end(db: &mut PgConnection, desk: &Desk, decisions: &Decisions) -> Result<(), sqlx::Error> {
    record_settled(&mut *db, &decisions.follow_ups, desk.now).await?;
    if let Some(planned) = &decisions.planned {
        let endpoint = (planned.endpoint.name, planned.endpoint.only_reads);
        outbox::plan_call(&mut *db, planned.leased, endpoint, desk.now).await?;
    }
    if let Some((leased, end)) = decisions.called {
        outbox::end_call(&mut *db, leased, end.as_str(), desk.now).await?;
    }
    let caused: Vec<Ended> = decisions.follow_ups.iter().map(FollowUp::ended).collect();
    outbox::complete(&mut *db, &decisions.ended, &caused, desk.now).await?;
    outbox::postpone(&mut *db, &decisions.postponed).await?;
    outbox::put_off(&mut *db, &decisions.put_off).await?;
    outbox::park(db, &decisions.parked).await
}
