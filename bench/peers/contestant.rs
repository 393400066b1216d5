//! Who is compared with Holdfast, with which settings, and what each does not guarantee.

use crate::peers::by_hand::Loop;
use crate::peers::toolbox::Program;

/// How a contestant's jobs are done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The procedure for one job, called by a handler.
    PerJob,
    /// The procedure for many, with the arrays that the library hands over.
    Bulk,
    /// Nothing is done.
    Noop,
    /// Nothing is done, with the arrays.
    NoopBulk,
}

impl Mode {
    /// As the programs take it.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::PerJob => "per-job",
            Self::Bulk => "bulk",
            Self::Noop => "noop",
            Self::NoopBulk => "noop-bulk",
        }
    }
}

/// What runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// In this process, by hand.
    ByHand,
    /// A program of the library's own language.
    Library(Program),
}

/// What is searched for the best: jobs or connections at once, and jobs in a fetch, a local queue or
/// a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Jobs at once; connections, if they are batches.
    pub(crate) at_once: u16,
    /// Jobs in each.
    pub(crate) batch: u16,
}

impl Settings {
    /// In words.
    pub(crate) fn text(self) -> String {
        format!("{} at once, {} in a batch", self.at_once, self.batch)
    }
}

const fn settings<const N: usize>(all: [(u16, u16); N]) -> [Settings; N] {
    let mut made = [Settings { at_once: 0, batch: 0 }; N];
    let mut at = 0;
    while at < N {
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        let (at_once, batch) = all[at];
        #[expect(clippy::indexing_slicing, reason = "evaluated by the compiler")]
        {
            made[at] = Settings { at_once, batch };
        }
        at += 1;
    }
    made
}

/// Somebody who does the same jobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Contestant {
    /// As in the table.
    pub(crate) name: &'static str,
    pub(crate) runner: Runner,
    pub(crate) mode: Mode,
    /// What is tried, the likeliest first: the smallest form of a run tries no other.
    pub(crate) candidates: &'static [Settings],
    /// It is given one of so many of the jobs: a rate shows sooner at who is slow.
    pub(crate) share: usize,
    pub(crate) lacks: &'static str,
}

const COMMON: &str = "outcomes, rejections with reasons, limits, keys that outlive the queue, balances that cannot drift \
     from their entries; a commission is posted within its release, no row has an index for timers or lists";
const BY_HAND: &str = "outcomes, rejections with reasons, limits, balances that cannot drift from their entries; a \
     commission is posted within its release, no row has an index for timers or lists";
const AFTER: &str = "completion is another transaction than the effects, so a job may run twice and only the table of \
     done jobs stops it; outcomes, rejections with reasons, limits; a commission is posted within its release";
const ARRAYS: &str = "whoever queues puts the jobs together, and each batch fails or runs again as one; completion is \
     another transaction than the effects; outcomes, rejections with reasons, limits; a commission is posted within its \
     release";
const NO_OP: &str = "effects";
const NO_OP_ARRAYS: &str = "effects; whoever queues puts the jobs together, and each batch fails or runs again as one";

const LANES: [Settings; 6] = settings([(16, 500), (8, 500), (32, 500), (16, 2_000), (8, 2_000), (8, 5_000)]);
const CLAIMS: [Settings; 6] = settings([(200, 512), (512, 512), (1_024, 512), (1_024, 2_000), (100, 512), (32, 512)]);
const FETCHES: [Settings; 5] = settings([(8, 100), (16, 50), (32, 20), (16, 10), (4, 200)]);
const CONNECTIONS: [Settings; 5] = settings([(8, 1), (4, 1), (16, 1), (32, 1), (2, 1)]);
const BATCHES: [Settings; 6] = settings([(2, 500), (1, 500), (2, 1_000), (4, 500), (2, 250), (2, 2_000)]);

/// Everybody with the effects of the money day.
pub(crate) const MONEY: [Contestant; 9] = [
    Contestant {
        name: "by hand, per job",
        runner: Runner::ByHand,
        mode: Mode::PerJob,
        candidates: &CONNECTIONS,
        share: 5,
        lacks: BY_HAND,
    },
    Contestant {
        name: "by hand, one procedure",
        runner: Runner::ByHand,
        mode: Mode::Bulk,
        candidates: &BATCHES,
        share: 1,
        lacks: COMMON,
    },
    library("apalis, its Postgres storage, per job", Program::Package("apalis"), Mode::PerJob, &LANES, 5, AFTER),
    library("awa, per job", Program::Package("awa"), Mode::PerJob, &CLAIMS, 5, AFTER),
    library("graphile-worker, per job", Program::Node("graphile.mjs"), Mode::PerJob, &LANES, 5, AFTER),
    library("graphile-worker, batch jobs", Program::Node("graphile.mjs"), Mode::Bulk, &BATCHES, 1, ARRAYS),
    library("pg-boss, per job", Program::Node("pg_boss.mjs"), Mode::PerJob, &FETCHES, 5, AFTER),
    library("pg-boss, bulk in its transaction", Program::Node("pg_boss.mjs"), Mode::Bulk, &BATCHES, 1, COMMON),
    library("Procrastinate, per job", Program::Python("procrastinate_peer.py"), Mode::PerJob, &CONNECTIONS, 50, AFTER),
];

/// The libraries with handlers that do nothing.
pub(crate) const NOTHING: [Contestant; 6] = [
    library("apalis, its Postgres storage", Program::Package("apalis"), Mode::Noop, &LANES, 2, NO_OP),
    library("awa", Program::Package("awa"), Mode::Noop, &CLAIMS, 1, NO_OP),
    library("graphile-worker", Program::Node("graphile.mjs"), Mode::Noop, &LANES, 1, NO_OP),
    library("graphile-worker, batch jobs", Program::Node("graphile.mjs"), Mode::NoopBulk, &BATCHES, 1, NO_OP_ARRAYS),
    library("pg-boss", Program::Node("pg_boss.mjs"), Mode::Noop, &BATCHES, 1, NO_OP),
    library("Procrastinate", Program::Python("procrastinate_peer.py"), Mode::Noop, &CONNECTIONS, 50, NO_OP),
];

const fn library(
    name: &'static str,
    program: Program,
    mode: Mode,
    candidates: &'static [Settings],
    share: usize,
    lacks: &'static str,
) -> Contestant {
    Contestant { name, runner: Runner::Library(program), mode, candidates, share, lacks }
}

impl Contestant {
    /// Whether its jobs have effects.
    pub(crate) fn posts(&self) -> bool {
        matches!(self.mode, Mode::PerJob | Mode::Bulk)
    }

    /// Whether it notes which jobs are done. A procedure whose queue is emptied by the transaction that posts need not.
    pub(crate) fn keeps(&self) -> bool {
        self.lacks != COMMON
    }

    /// The loop of one that is written by hand.
    pub(crate) fn by_hand(&self, settings: Settings) -> Loop {
        match self.mode {
            Mode::PerJob | Mode::Noop | Mode::NoopBulk => Loop::PerJob,
            Mode::Bulk => Loop::Procedure(i32::from(settings.batch)),
        }
    }
}
