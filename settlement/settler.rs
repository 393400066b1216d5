use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use jobs::{Assets, CallKind, Lane, Rules};
use outbox::Suspects;
use providers::nowpayments::Secret;
use sqlx::PgPool;

use crate::behind::PutBack;
use crate::committed::Watcher;
use crate::foresight::Remembered;
use crate::plans::Plans;
use crate::start::Start;
use crate::tables::asset::load_assets;
use crate::tables::rules;
use crate::trust::Trust;
use crate::turn::{Line, Turn};

/// So many batches are not foreseen at most before it is tried again.
const FORESIGHT_SKIPPED_MAX: u8 = 16;
/// So many batches read all balances at most before it is tried again without: what it saves is less.
const BALANCES_SKIPPED_MAX: u8 = 64;
/// House accounts have this many stripes.
const STRIPES: i64 = 16;

/// How many jobs a batch has at most, unless somebody says otherwise.
pub const BATCH_MAX: u16 = 2048;

/// How many jobs a batch has at most beside another worker where cores are few: who waits for what a batch holds, above
/// all that of a worker that has died, waits less long (decision 23).
pub const BATCH_IN_COMPANY: u16 = BATCH_MAX / 2;

/// How a settler works.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Jobs per batch, at most; 1 or more. Large batches settle faster, small ones sooner.
    pub batch_max: u16,
    /// The same where other workers are about; [`BATCH_IN_COMPANY`] is for machines of few cores.
    pub batch_max_in_company: u16,
    /// Secrets that callbacks are signed with; two during a rotation.
    pub ipn_secrets: Vec<Secret>,
    /// How long one job is leased where the lane is worked cautiously.
    pub lease: Duration,
    /// A job that this many workers died alone with is parked.
    pub deaths_max: i64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_max: BATCH_MAX,
            batch_max_in_company: u16::MAX,
            ipn_secrets: Vec::new(),
            lease: Duration::from_mins(1),
            deaths_max: 3,
        }
    }
}

/// What a worker of a lane that is settled in batches knows from one batch to the next. It only saves statements: what
/// is decided on some of it is refused by the database, or found out under locks, where it is not so.
#[derive(Debug)]
pub struct Settler {
    pub(crate) pool: PgPool,
    /// For what is done between batches, and must not take a connection from them.
    pub(crate) aside: PgPool,
    pub(crate) lane: &'static str,
    pub(crate) settings: Settings,
    pub(crate) stripe: i16,
    pub(crate) memory: Mutex<Memory>,
    pub(crate) put_back: PutBack,
    pub(crate) watcher: Option<Watcher>,
    /// The kinds that call.
    pub(crate) calls: &'static [CallKind],
}

/// The parts that change.
#[derive(Debug)]
pub(crate) struct Memory {
    pub(crate) assets: Assets,
    pub(crate) rules: Rules,
    pub(crate) remembered: Remembered,
    pub(crate) plans: Plans,
    /// In what is foreseen of a batch.
    pub(crate) foresight: Trust,
    /// In what is remembered of balances, where it is foreseen.
    pub(crate) balances: Trust,
    /// Whether other workers settle as well.
    pub(crate) others: bool,
    pub(crate) suspects: Suspects,
    pub(crate) start: Start,
    /// Jobs of failed batches that are being tried in parts.
    pub(crate) isolated: Vec<i64>,
    /// The batches in hand.
    line: Line,
}

impl Settler {
    /// A settler of the ledger lane that uses the stripe of house accounts that belongs to a run's
    /// number.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn new(pool: PgPool, settings: Settings, run: i64) -> Result<Self, sqlx::Error> {
        Self::of_lane(Lane::Ledger, pool, settings, run).await
    }

    /// A settler of another lane whose jobs touch the database only.
    ///
    /// # Errors
    /// Any error of the database.
    pub async fn of_lane(lane: Lane, pool: PgPool, settings: Settings, run: i64) -> Result<Self, sqlx::Error> {
        let assets = load_assets(&pool).await?;
        let rules = rules::load(&mut *pool.acquire().await?).await?;
        let stripe = i16::try_from(run.rem_euclid(STRIPES)).unwrap_or(0);
        let memory = Memory {
            assets,
            rules,
            remembered: Remembered::default(),
            plans: Plans::default(),
            foresight: Trust::new(FORESIGHT_SKIPPED_MAX),
            balances: Trust::new(BALANCES_SKIPPED_MAX),
            others: false,
            suspects: Suspects::new(),
            start: Start::new(Instant::now()),
            isolated: Vec::new(),
            line: Line::new(),
        };
        Ok(Self {
            aside: pool.clone(),
            pool,
            lane: lane.as_str(),
            settings,
            stripe,
            memory: Mutex::new(memory),
            put_back: PutBack::default(),
            watcher: None,
            calls: jobs::CALLS,
        })
    }

    /// The same, with another pool for what is not a batch. As many connections as batches are in hand at
    /// once are then enough for these; and they are warm ones, whose plans are made and whose caches are
    /// full.
    #[must_use]
    pub fn aside(mut self, pool: PgPool) -> Self {
        self.aside = pool;
        self
    }

    /// The same, with somebody who is told of every commit.
    #[must_use]
    pub fn watched(mut self, watcher: Watcher) -> Self {
        self.watcher = Some(watcher);
        self
    }

    /// The same, with other kinds that call than those of the registry.
    #[must_use]
    pub fn calling(mut self, kinds: &'static [CallKind]) -> Self {
        self.calls = kinds;
        self
    }

    /// The lane of the ledger.
    pub const LANE: &'static str = Lane::Ledger.as_str();

    /// The lane that it works.
    pub const fn lane(&self) -> &'static str {
        self.lane
    }

    /// Reads again what an operator may have changed, and takes note of the jobs to be careful
    /// with. Called with every heartbeat.
    ///
    /// # Errors
    /// Any error of the database; what was known stays.
    pub async fn refresh(&self, suspects: Suspects) -> Result<(), sqlx::Error> {
        let assets = load_assets(&self.aside).await?;
        let mut db = self.aside.acquire().await?;
        let (rules, partitions) = (rules::load(&mut db).await?, outbox::partitions(&mut db).await?);
        let mut memory = self.remember();
        memory.assets = assets;
        memory.rules = rules;
        memory.suspects = suspects;
        memory.plans.note_partitions(partitions);
        Ok(())
    }

    /// Other workers of the lane are about, or are not. If they are, no balance is taken to be so because it is
    /// remembered; if they are not, it is, and found out if they are after all. Batches may be smaller then
    /// ([`Settings::batch_max_in_company`]).
    pub fn company(&self, others: bool) {
        self.remember().others = others;
    }

    /// Whether there is to be less in hand where others are about.
    pub const fn has_less_in_company(&self) -> bool {
        self.settings.batch_max_in_company < u16::MAX
    }

    /// How many jobs a batch may have now.
    pub(crate) fn batch_max(&self) -> u16 {
        let most = self.settings.batch_max;
        let most_in_company = if self.remember().others { self.settings.batch_max_in_company } else { u16::MAX };
        most.min(most_in_company).max(1)
    }

    /// Whether there are jobs to be taken one at a time.
    pub fn has_suspects(&self) -> bool {
        !self.remember().suspects.is_empty()
    }

    /// The place of a batch that was claimed just now.
    pub(crate) fn turn(&self) -> Turn {
        Turn::behind(&mut self.remember().line)
    }

    pub(crate) fn remember(&self) -> MutexGuard<'_, Memory> {
        // A panic while it was held cannot have left it half changed in a way that matters.
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
