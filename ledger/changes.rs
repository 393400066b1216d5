use std::fmt;

use crate::account::AccountId;
use crate::amount::Amount;
use crate::code::Code;

/// The number of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId(pub i64);

/// The number of a hold, which is the number of the job that opened it. So a job opens at most
/// one hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldId(pub i64);

/// The number of the trade, withdrawal or other matter that a hold is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldSubject(pub i64);

impl From<JobId> for HoldId {
    fn from(job: JobId) -> Self {
        Self(job.0)
    }
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Display for HoldId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Money set aside on one account for one subject. It closes once, and whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hold {
    /// Under what it is stored.
    pub id: HoldId,
    /// Whose money it is.
    pub account: AccountId,
    /// What it is for.
    pub subject: HoldSubject,
    /// How much. Never zero.
    pub amount: Amount,
    /// The job that closed it; `None` while it is open.
    pub closed_by: Option<JobId>,
}

/// One movement of money within one asset: the debit account pays and the credit account
/// receives, so `debit.posted` falls by the amount and `credit.posted` rises by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Transfer {
    /// The job that moved it.
    pub job: JobId,
    /// Which of the job's transfers it is: 0, 1, 2, …
    pub leg: i16,
    /// Why it moved.
    pub code: Code,
    /// Who pays.
    pub debit: AccountId,
    /// Who receives.
    pub credit: AccountId,
    /// How much. Never zero.
    pub amount: Amount,
}

/// What an entry comes from. Exactly one thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// A transfer of the entry's job.
    Transfer {
        /// Which one.
        leg: i16,
    },
    /// The hold was opened.
    HoldOpened(HoldId),
    /// The hold was closed.
    HoldClosed(HoldId),
}

/// One line of an account: what changed and what it left there. All of it in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Entry {
    /// Whose line it is.
    pub account: AccountId,
    /// Its place on the account: one more than the line before it; the first is 1.
    pub version: i64,
    /// The job that wrote it.
    pub job: JobId,
    /// What it comes from.
    pub cause: Cause,
    /// By how much `posted` changed.
    pub d_posted: i128,
    /// By how much `held` changed.
    pub d_held: i128,
    /// `posted` after it.
    pub posted: i128,
    /// `held` after it.
    pub held: i128,
}

/// Everything that a batch did to a book, each list in the order in which it happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Transfers to insert.
    pub transfers: Vec<Transfer>,
    /// Entries to insert: two for a transfer (who pays, then who receives), one for a hold that
    /// opens or closes.
    pub entries: Vec<Entry>,
    /// Holds to insert as they stand at the end: one that opened and closed within the batch is
    /// here with its `closed_by`, and not in `closed`.
    pub opened: Vec<Hold>,
    /// Holds to update, all of which were loaded, with the job that closed each.
    pub closed: Vec<(HoldId, JobId)>,
}

impl Changes {
    /// Whether there is nothing to store.
    pub fn is_empty(&self) -> bool {
        // Every operation writes an entry, so no entries means no changes of any sort.
        self.entries.is_empty()
    }

    /// Whether the lists agree with each other: two entries that cancel out for a transfer, one
    /// that moves nothing in or out for each hold that opens or closes.
    pub fn is_consistent(&self) -> bool {
        let closed_as_opened = self.opened.iter().filter(|hold| hold.closed_by.is_some()).count();
        let expected = self
            .transfers
            .len()
            .checked_mul(2)
            .and_then(|entries| entries.checked_add(self.opened.len()))
            .and_then(|entries| entries.checked_add(closed_as_opened))
            .and_then(|entries| entries.checked_add(self.closed.len()));
        let sum = self.entries.iter().try_fold(0_i128, |sum, entry| sum.checked_add(entry.d_posted));
        expected == Some(self.entries.len()) && sum == Some(0)
    }
}
