//! What a batch does in its transaction.

use jobs::{AnyJob, Desk, Job, Want};
use outbox::{Claimed, Trouble};
use sqlx::{Executor, PgConnection};

use crate::committed::Stored;
use crate::decide::decide;
use crate::decisions::Decisions;
use crate::pauses::Pauses;
use crate::settle::Failure;
use crate::settler::Settler;
use crate::store::{same_rows, store_rows, store_shared};
use crate::tables::account::{Ids, find_all};
use crate::turn::{Stage, Turn};
use crate::{load, reading};

/// A batch of fewer jobs is not worth foreseeing.
const FORESEEN_MIN: usize = 256;

/// A batch, with its own rows loaded and locked.
struct Loaded {
    desk: Desk,
    want: Want,
    ids: Ids,
    jobs: Vec<(Job, AnyJob)>,
    /// Every job of the batch, those that could not be read included.
    all: Vec<i64>,
    pauses: Pauses,
    /// What became of those that could not be read.
    unread: Decisions,
}

/// What a batch has seen and left behind, to be remembered once it is committed.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) desk: Desk,
    pub(crate) want: Want,
    pub(crate) ids: Ids,
}

impl Settler {
    /// Load → decide → store → complete.
    ///
    /// The rows that are the batch's own are locked first, and those that batches share (limits, accounts)
    /// as late as can be. A large batch stores what rests on its own rows before that: as it foresees to
    /// decide with what is remembered of the others. What it then decides under all locks is what counts;
    /// what was stored otherwise is taken back.
    pub(crate) async fn settle_within(
        &self,
        db: &mut PgConnection,
        claimed: Vec<Claimed>,
        turn: &mut Turn,
    ) -> Result<(Stored, Seen), Failure> {
        let moment = outbox::moment(&mut *db).await?;
        moment.within_window()?;
        let all = claimed.iter().map(|claimed| claimed.job_id).collect();
        let mut unread_decisions = Decisions::default();
        let (jobs, unread) = reading::read(claimed, self.lane, &mut unread_decisions);
        let (assets, rules) = {
            let memory = self.remember();
            (memory.assets.clone(), memory.rules.clone())
        };
        let mut desk = Desk::new(moment.now, self.stripe, assets, rules);
        let mut want = load::wanted(&jobs);
        load::facts(db, &mut desk, &want, &self.settings.ipn_secrets).await?;
        turn.until(Stage::Stored).await;
        load::rows(db, &mut desk, &jobs, &mut want).await?;
        let ids = self.accounts(&want).await?;
        let mut pauses = Pauses::read(&moment);
        pauses.look_ahead(&mut *db, &jobs).await?;
        let mut loaded = Loaded { desk, want, ids, jobs, all, pauses, unread: unread_decisions };
        let foreseen = self.store_foreseen(db, &loaded).await?;
        turn.reached(Stage::Stored);
        turn.until(Stage::Ended).await;
        load::shared(db, &mut loaded.desk, &loaded.want, &mut loaded.ids).await?;
        let (desk, decisions) = loaded.decide(db, loaded.desk.clone()).await?;
        match foreseen {
            Some((foreseen, foretold)) if foretold == decisions && same_rows(&foreseen, &desk) => {}
            Some(_) => {
                tracing::debug!("what was foreseen is not what was decided");
                db.execute("rollback to savepoint foreseen").await?;
                store_own(db, &desk, &decisions).await?;
            }
            None => store_own(db, &desk, &decisions).await?,
        }
        store_shared(db, &desk).await?;
        let Loaded { want, ids, jobs, .. } = loaded;
        Ok((Stored { decisions, jobs, unread, now: moment.now }, Seen { desk, want, ids }))
    }

    /// The ids of the accounts that a batch asks for; those that are missing are made.
    async fn accounts(&self, want: &Want) -> Result<Ids, sqlx::Error> {
        let mut ids = self.remember().remembered.ids_for(want);
        let known = ids.len();
        find_all(&self.aside, want, &mut ids).await?;
        if ids.len() > known {
            self.remember().remembered.ids.extend(&ids);
        }
        Ok(ids)
    }

    /// Stores what the batch will probably decide, if that is worth it, behind a savepoint.
    async fn store_foreseen(
        &self,
        db: &mut PgConnection,
        loaded: &Loaded,
    ) -> Result<Option<(Desk, Decisions)>, Failure> {
        if self.lane != Self::LANE || loaded.jobs.len() < FORESEEN_MIN {
            return Ok(None);
        }
        let remembered = self.remember().remembered.of(&loaded.want, &loaded.ids);
        let mut desk = loaded.desk.clone();
        load::foresee(db, &mut desk, &loaded.want, &loaded.ids, remembered).await?;
        let (desk, decisions) = loaded.decide(db, desk).await?;
        db.execute("savepoint foreseen").await?;
        match store_own(db, &desk, &decisions).await {
            Ok(()) => Ok(Some((desk, decisions))),
            Err(error) if outbox::trouble(&error) == Trouble::Weather => Err(error.into()),
            // It may rest on something that is not so. What is decided under locks has its own chance.
            Err(error) => {
                tracing::debug!(%error, "what was foreseen could not be stored");
                db.execute("rollback to savepoint foreseen").await?;
                Ok(None)
            }
        }
    }
}

impl Loaded {
    async fn decide(&self, db: &mut PgConnection, desk: Desk) -> Result<(Desk, Decisions), Failure> {
        let mut decisions = self.unread.clone();
        let desk = decide(desk, &self.jobs, self.pauses.clone(), &mut decisions)?;
        decisions.let_wait(&outbox::overtaken(db, &decisions.refused(), &self.all).await?);
        Ok((desk, decisions))
    }
}

/// Stores what rests on the batch's own rows, and ends its jobs.
async fn store_own(db: &mut PgConnection, desk: &Desk, decisions: &Decisions) -> Result<(), sqlx::Error> {
    store_rows(&mut *db, desk).await?;
    outbox::complete(&mut *db, &decisions.ended).await?;
    outbox::postpone(&mut *db, &decisions.postponed).await?;
    outbox::put_off(&mut *db, &decisions.put_off).await?;
    outbox::park(db, &decisions.parked).await
}
