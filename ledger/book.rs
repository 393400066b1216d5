mod posting;
mod undo;

use std::collections::hash_map::Entry as MapEntry;

use rustc_hash::FxHashMap;

use crate::account::{Account, AccountId, AccountKey, Balance};
use crate::amount::Amount;
use crate::changes::{Cause, Changes, Hold, HoldId, HoldSubject, JobId, Transfer};
use crate::code::Code;
use crate::error::{BookError, LoadError};
use posting::{append, is_sound, next_entry, require_available};

/// The accounts and holds that a batch has loaded, and what the batch has done to them so far.
///
/// Every operation either happens whole or returns an error and leaves the book exactly as it
/// was. A transfer writes two entries that cancel out, so whatever a batch does, the sum of
/// `posted` over all accounts of an asset stays what it was.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Book {
    accounts: FxHashMap<AccountId, Account>,
    ids: FxHashMap<AccountKey, AccountId>,
    holds: FxHashMap<HoldId, KnownHold>,
    /// The leg that the next transfer of a job gets, for jobs that have made one.
    legs: FxHashMap<JobId, i16>,
    changes: Changes,
}

/// A hold and, if this batch opened it, its place among the opened ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct KnownHold {
    hold: Hold,
    opened_at: Option<usize>,
}

/// A moment of a book, to go back to with [`Book::undo`].
///
/// Marks nest: going back to an earlier one passes the later ones, which are then void.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Every operation writes entries, so their number says all.
    entries: usize,
}

impl Book {
    /// A book with nothing loaded.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in an account as it is stored.
    ///
    /// # Errors
    /// [`LoadError`] if the account or its key is in the book already, or if it breaks a rule
    /// that every stored account keeps. The book is unchanged; the batch must not go on.
    pub fn load_account(&mut self, account: Account) -> Result<(), LoadError> {
        let id = account.id;
        if self.accounts.contains_key(&id) {
            return Err(LoadError::AccountTwice { account: id });
        }
        if let Some(&first) = self.ids.get(&account.key) {
            return Err(LoadError::KeyTwice { first, second: id, key: account.key });
        }
        if id.has_floor() != account.key.purpose.has_floor() {
            return Err(LoadError::FloorMismatch { account: id });
        }
        let untouched_yet_funded = account.version == 0 && account.balance != Balance::default();
        if account.version < 0 || untouched_yet_funded || !is_sound(id, account.balance) {
            return Err(LoadError::Unsound { account: id });
        }
        self.ids.insert(account.key, id);
        self.accounts.insert(id, account);
        Ok(())
    }

    /// Takes in a hold as it is stored, open or closed. Its account may be loaded before or after.
    ///
    /// # Errors
    /// [`LoadError`] if the hold is in the book already or is of nothing. The book is unchanged;
    /// the batch must not go on.
    pub fn load_hold(&mut self, hold: Hold) -> Result<(), LoadError> {
        if self.holds.contains_key(&hold.id) {
            return Err(LoadError::HoldTwice { hold: hold.id });
        }
        if hold.amount.is_zero() {
            return Err(LoadError::HoldOfNothing { hold: hold.id });
        }
        self.holds.insert(hold.id, KnownHold { hold, opened_at: None });
        Ok(())
    }

    /// The id of the account with this key, if it is loaded.
    pub fn account_id(&self, key: &AccountKey) -> Option<AccountId> {
        self.ids.get(key).copied()
    }

    /// The account as it stands now, if it is loaded.
    pub fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    /// The hold as it stands now, if it was loaded or opened.
    pub fn hold(&self, id: HoldId) -> Option<&Hold> {
        self.holds.get(&id).map(|known| &known.hold)
    }

    /// Moves money: `debit` pays and `credit` receives. The legs of a job count 0, 1, 2, … also
    /// when other jobs come in between; a job whose transfers are spread over several books must
    /// see to it that only one of them moves money, since each counts from 0.
    ///
    /// # Errors
    /// Refused with [`BookError::Insufficient`] if the payer has a floor and too little is
    /// available. Otherwise [`BookError::ZeroAmount`], [`BookError::SameAccount`],
    /// [`BookError::UnknownAccount`] (the payer before the receiver),
    /// [`BookError::AssetMismatch`] or [`BookError::Overflow`]. Nothing has changed.
    pub fn transfer(
        &mut self,
        job: JobId,
        code: Code,
        debit: AccountId,
        credit: AccountId,
        amount: Amount,
    ) -> Result<(), BookError> {
        if amount.is_zero() {
            return Err(BookError::ZeroAmount);
        }
        if debit == credit {
            return Err(BookError::SameAccount { account: debit });
        }
        let [payer, receiver] = self.accounts.get_disjoint_mut([&debit, &credit]);
        let payer = payer.ok_or(BookError::UnknownAccount { account: debit })?;
        let receiver = receiver.ok_or(BookError::UnknownAccount { account: credit })?;
        if payer.key.asset != receiver.key.asset {
            return Err(BookError::AssetMismatch { debit, credit });
        }
        require_available(payer, amount)?;

        let legs = self.legs.entry(job);
        let leg = match &legs {
            MapEntry::Occupied(next) => *next.get(),
            MapEntry::Vacant(_) => 0,
        };
        let next_leg = leg.checked_add(1).ok_or(BookError::Overflow { account: debit })?;
        let cause = Cause::Transfer { leg };
        let gain = amount.minor();
        let loss = gain.checked_neg().ok_or(BookError::Overflow { account: debit })?;
        let paid = next_entry(payer, job, cause, loss, 0)?;
        let got = next_entry(receiver, job, cause, gain, 0)?;

        // Nothing below can fail.
        legs.insert_entry(next_leg);
        append(payer, &paid);
        append(receiver, &got);
        self.changes.entries.push(paid);
        self.changes.entries.push(got);
        self.changes.transfers.push(Transfer { job, leg, code, debit, credit, amount });
        Ok(())
    }

    /// Sets money of an account aside for a subject. The hold's id is the job's.
    ///
    /// # Errors
    /// Refused with [`BookError::Insufficient`] if the account has a floor and too little is
    /// available. Otherwise [`BookError::ZeroAmount`], [`BookError::HoldExists`],
    /// [`BookError::UnknownAccount`] or [`BookError::Overflow`]. Nothing has changed.
    pub fn open_hold(
        &mut self,
        job: JobId,
        account: AccountId,
        subject: HoldSubject,
        amount: Amount,
    ) -> Result<HoldId, BookError> {
        if amount.is_zero() {
            return Err(BookError::ZeroAmount);
        }
        let id = HoldId::from(job);
        let MapEntry::Vacant(place) = self.holds.entry(id) else {
            return Err(BookError::HoldExists { hold: id });
        };
        let owner = self.accounts.get_mut(&account).ok_or(BookError::UnknownAccount { account })?;
        require_available(owner, amount)?;
        let entry = next_entry(owner, job, Cause::HoldOpened(id), 0, amount.minor())?;

        // Nothing below can fail.
        let hold = Hold { id, account, subject, amount, closed_by: None };
        place.insert(KnownHold { hold, opened_at: Some(self.changes.opened.len()) });
        append(owner, &entry);
        self.changes.entries.push(entry);
        self.changes.opened.push(hold);
        Ok(id)
    }

    /// Gives back what a hold set aside, all of it, and returns how much that is. A hold closes
    /// once, whether it was loaded or opened in this batch.
    ///
    /// # Errors
    /// Refused with [`BookError::HoldClosed`] if it is closed. Otherwise
    /// [`BookError::UnknownHold`], [`BookError::UnknownAccount`] if the hold's account is not
    /// loaded, [`BookError::HoldExceedsHeld`] or [`BookError::Overflow`]. Nothing has changed.
    pub fn close_hold(&mut self, job: JobId, hold: HoldId) -> Result<Amount, BookError> {
        let known = self.holds.get_mut(&hold).ok_or(BookError::UnknownHold { hold })?;
        if let Some(by) = known.hold.closed_by {
            return Err(BookError::HoldClosed { by });
        }
        let Hold { account, amount, .. } = known.hold;
        let owner = self.accounts.get_mut(&account).ok_or(BookError::UnknownAccount { account })?;
        let set_aside = owner.balance.held;
        if set_aside < amount.minor() {
            return Err(BookError::HoldExceedsHeld { hold, amount, held: set_aside });
        }
        let released = amount.minor().checked_neg().ok_or(BookError::Overflow { account })?;
        let entry = next_entry(owner, job, Cause::HoldClosed(hold), 0, released)?;

        // Nothing below can fail.
        known.hold.closed_by = Some(job);
        match known.opened_at.and_then(|at| self.changes.opened.get_mut(at)) {
            Some(opened) => opened.closed_by = Some(job),
            None => self.changes.closed.push((hold, job)),
        }
        append(owner, &entry);
        self.changes.entries.push(entry);
        Ok(amount)
    }

    /// This moment, to go back to.
    pub const fn mark(&self) -> Mark {
        Mark { entries: self.changes.entries.len() }
    }

    /// Takes back everything since the mark: accounts, holds and the lists of changes are exactly
    /// as they were. The mark stays good and may be used again. What was loaded since stays
    /// loaded, as it was loaded.
    ///
    /// A mark that an earlier undo has passed, or that another book gave, is a bug; where it can
    /// be told, debug builds stop.
    pub fn undo(&mut self, mark: Mark) {
        debug_assert!(mark.entries <= self.changes.entries.len(), "the mark is void");
        while self.changes.entries.len() > mark.entries {
            let Some(entry) = self.changes.entries.pop() else {
                break;
            };
            self.take_back(&entry);
        }
    }

    /// What the batch did so far.
    pub const fn changes(&self) -> &Changes {
        &self.changes
    }

    /// What the batch did, to be stored.
    pub fn into_changes(self) -> Changes {
        debug_assert!(self.changes.is_consistent(), "transfers, holds and entries agree");
        self.changes
    }
}
