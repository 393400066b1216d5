//! A claimed batch, and what became of it.

use std::time::Instant;

use chrono::{DateTime, Utc};
use outbox::{Claimed, Parked, Trouble};
use sqlx::{Postgres, Transaction};

use crate::step::Step;
use crate::turn::Turn;

/// A claimed batch: its rows are locked by the open transaction that it carries, and are free
/// again the moment it is dropped. It is not `Clone`, so nothing can run it twice.
#[derive(Debug)]
pub struct Batch {
    pub(crate) tx: Transaction<'static, Postgres>,
    pub(crate) claimed: Vec<Claimed>,
    /// When its transaction began.
    pub(crate) since: Instant,
    pub(crate) turn: Turn,
    /// Whether it has everything that was due, as far as the claim looked back.
    pub(crate) has_all: bool,
    /// Whether it has as many jobs as it may have.
    pub(crate) is_full: bool,
    pub(crate) step: Step,
}

impl Batch {
    /// One that stands in no line, of jobs that were asked for by their numbers.
    pub(crate) fn alone(tx: Transaction<'static, Postgres>, claimed: Vec<Claimed>, since: Instant) -> Self {
        Self::under_lease(tx, claimed, since, Step::Decide)
    }

    /// The same, for a step of a call.
    pub(crate) fn under_lease(
        tx: Transaction<'static, Postgres>,
        claimed: Vec<Claimed>,
        since: Instant,
        step: Step,
    ) -> Self {
        Self { tx, claimed, since, turn: Turn::alone(), has_all: false, is_full: false, step }
    }

    /// How many jobs it has.
    pub fn len(&self) -> usize {
        self.claimed.len()
    }

    /// Whether it has none; a claim never gives such a batch.
    pub fn is_empty(&self) -> bool {
        self.claimed.is_empty()
    }

    /// Whether it has all that was due when it was claimed, as far as the claim looked back: whoever claims again at once
    /// finds nothing but what is told of.
    pub const fn has_all(&self) -> bool {
        self.has_all
    }

    /// Whether it has as many jobs as a batch may have: more are probably due.
    pub const fn is_full(&self) -> bool {
        self.is_full
    }

    /// When the first of its jobs fell due.
    pub(crate) fn first_run_at(&self) -> Option<DateTime<Utc>> {
        self.claimed.iter().map(|claimed| claimed.run_at).min()
    }

    /// The jobs, in the order of their ids.
    pub fn ids(&self) -> Vec<i64> {
        self.claimed.iter().map(|claimed| claimed.job_id).collect()
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Effects committed.
    pub settled: u64,
    /// Refused by a rule.
    pub rejected: u64,
    /// Put back for later.
    pub postponed: u64,
    /// Left to a person.
    pub parked: u64,
}

impl Report {
    pub(crate) fn add(&mut self, other: Self) {
        self.settled = self.settled.saturating_add(other.settled);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.postponed = self.postponed.saturating_add(other.postponed);
        self.parked = self.parked.saturating_add(other.parked);
    }

    /// How many jobs ended: those that left the outbox, and those that were settled by the batch that caused them.
    pub const fn ended(&self) -> u64 {
        self.settled.saturating_add(self.rejected).saturating_add(self.parked)
    }
}

/// Why a batch did not commit.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The database refused or went away.
    Database(sqlx::Error),
    /// What is held could not be noted, whatever the reason: nothing was decided, and no job is to blame.
    Unnoted(sqlx::Error),
    /// One job is known to be at fault.
    Poison(Parked),
}

impl Failure {
    /// Whether it has nothing to do with the jobs.
    pub(crate) fn is_weather(&self) -> bool {
        match self {
            Self::Database(error) => outbox::trouble(error) == Trouble::Weather,
            Self::Unnoted(_) => true,
            Self::Poison(_) => false,
        }
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}
