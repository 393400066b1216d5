//! One file per table: how its rows are loaded, and how what a batch changed is stored in
//! one statement whatever the number of rows: what is new by `append!`, what moved by `unnest`. A batch with
//! little to store has one for several of them (`together.rs`).
//!
//! The tables that a batch decides on are declared in `jobs` ([`jobs::each_table`]). Here each of them is a [`Loaded`]
//! or an [`Appended`], which is all that there is to add.

pub(crate) mod account;
pub(crate) mod app_user;
pub(crate) mod approval;
pub(crate) mod asset;
pub(crate) mod commission;
pub(crate) mod deposit;
pub(crate) mod entry;
pub(crate) mod hold;
pub(crate) mod ipn_inbox;
pub(crate) mod outcome;
pub(crate) mod parked;
pub(crate) mod parked_decision;
pub(crate) mod pause;
pub(crate) mod pause_change;
pub(crate) mod principal;
pub(crate) mod rules;
pub(crate) mod together;
pub(crate) mod trade;
pub(crate) mod trade_referral;
pub(crate) mod transfer;
pub(crate) mod user_flag;
pub(crate) mod verification;
pub(crate) mod withdrawal;
pub(crate) mod withdrawal_day;

use jobs::{Desk, Want};
use ledger::BasisPoints;
use sqlx::{Error, PgConnection};

use crate::load::Batch;

/// When a batch stores what it did to a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// With the batch's own rows. A large batch stores it as it foresees it, before it locks what batches share, and
    /// commits that only if it decides the same under all locks.
    Own,
    /// As [`When::Own`], but with the book, in one statement with it where both are little (`together.rs`).
    WithBook,
    /// Last, under all locks.
    Shared,
}

impl When {
    /// Whether it may be stored as it was foreseen, so that whoever decides otherwise has to take it back.
    const fn is_foreseen(self) -> bool {
        match self {
            Self::Own | Self::WithBook => true,
            Self::Shared => false,
        }
    }
}

/// A table whose rows a batch asks for, adds and changes.
pub(crate) trait Loaded {
    /// What names a row.
    type Key;
    /// What it says.
    type Row;
    /// When new rows are stored.
    const INSERTED: When = When::Own;
    /// When rows that moved are stored.
    const UPDATED: When = When::Own;

    /// Locks the rows that a batch asks for, in the order of their keys, and puts them on its desk. Tables come in the
    /// order in which they are declared.
    async fn load(_db: &mut PgConnection, _desk: &mut Desk, _want: &Want) -> Result<(), Error> {
        Ok(())
    }

    /// The same for rows that are read under the locks of accounts.
    async fn load_shared(_: &mut PgConnection, _: &mut Desk, _: &Want, _: Batch<'_>) -> Result<(), Error> {
        Ok(())
    }

    /// Stores new rows, of which there is at least one; they come in the order of their keys.
    async fn insert(_: &mut PgConnection, _: &Desk, _: &[(&Self::Key, &Self::Row)]) -> Result<(), Error> {
        Err(corrupt("a batch has added rows to a table that it only changes"))
    }

    /// Stores rows that moved, of which there is at least one; they come in the order of their keys.
    async fn update(_: &mut PgConnection, _: &Desk, _: &[(&Self::Key, &Self::Row)]) -> Result<(), Error> {
        Err(corrupt("a batch has changed rows of a table that it only adds to"))
    }
}

/// A table to which a batch only adds rows.
pub(crate) trait Appended {
    /// What names a row.
    type Key;
    /// What it says.
    type Row;
    /// When rows are stored.
    const WHEN: When = When::Own;

    /// Stores rows, of which there is at least one; they come in the order of their keys.
    async fn append(db: &mut PgConnection, desk: &Desk, rows: &[(&Self::Key, &Self::Row)]) -> Result<(), Error>;
}

/// Makes of the tables that are declared what goes through all of them.
macro_rules! all_tables {
    (
        loaded { $($(#[$rows_doc:meta])* $rows:ident in $rows_table:ident: $rows_key:ty => $row:ty,)+ }
        appended { $($(#[$log_doc:meta])* $log:ident in $log_table:ident: $log_key:ty => $entry:ty,)+ }
    ) => {
        /// Locks and reads the rows that a batch hardly ever shares with another one.
        pub(crate) async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), Error> {
            $($rows_table::Table::load(&mut *db, desk, want).await?;)+
            Ok(())
        }

        /// Reads the rows that are read under the locks of accounts.
        pub(crate) async fn load_shared(
            db: &mut PgConnection,
            desk: &mut Desk,
            want: &Want,
            batch: Batch<'_>,
        ) -> Result<(), Error> {
            $($rows_table::Table::load_shared(&mut *db, desk, want, batch).await?;)+
            Ok(())
        }

        /// Stores what a batch did to the tables that are stored at this time: one statement for each table and verb, and
        /// none where nothing changed.
        pub(crate) async fn store(db: &mut PgConnection, desk: &Desk, when: When) -> Result<(), Error> {
            $(
                if $rows_table::Table::INSERTED == when || $rows_table::Table::UPDATED == when {
                    let changed = desk.$rows.changed();
                    if $rows_table::Table::INSERTED == when && !changed.inserted.is_empty() {
                        $rows_table::Table::insert(&mut *db, desk, &changed.inserted).await?;
                    }
                    if $rows_table::Table::UPDATED == when && !changed.updated.is_empty() {
                        $rows_table::Table::update(&mut *db, desk, &changed.updated).await?;
                    }
                }
            )+
            $(
                if $log_table::Table::WHEN == when {
                    let appended = desk.$log.appended();
                    if !appended.is_empty() {
                        $log_table::Table::append(&mut *db, desk, &appended).await?;
                    }
                }
            )+
            Ok(())
        }

        /// Whether all that may be stored as it was foreseen is the same on both desks.
        pub(crate) fn same_foreseen(one: &Desk, other: &Desk) -> bool {
            $(
                let (changed, others) = (one.$rows.changed(), other.$rows.changed());
                let inserted = !$rows_table::Table::INSERTED.is_foreseen() || changed.inserted == others.inserted;
                let updated = !$rows_table::Table::UPDATED.is_foreseen() || changed.updated == others.updated;
                if !inserted || !updated {
                    return false;
                }
            )+
            $(
                if $log_table::Table::WHEN.is_foreseen() && one.$log.appended() != other.$log.appended() {
                    return false;
                }
            )+
            true
        }
    };
}

jobs::each_table!(all_tables);

/// A row says something that the types do not: the schema and this binary disagree.
pub(crate) fn corrupt(what: impl Into<String>) -> Error {
    Error::Decode(what.into().into())
}

/// A rate as it is stored: at most 10 000, so it always fits.
pub(crate) fn stored_rate(rate: BasisPoints) -> i16 {
    i16::try_from(rate.get()).unwrap_or(i16::MAX)
}

/// Every settling statement must hit exactly the rows that the batch has locked or made.
pub(crate) fn all_hit(rows: u64, expected: usize) -> Result<(), Error> {
    if usize::try_from(rows) == Ok(expected) {
        return Ok(());
    }
    Err(Error::RowNotFound)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use chrono::DateTime;
    use jobs::{Assets, Commission, Day, DayKey, Desk, Flagged, PrincipalId, Rules, Tier, TradeId, User, UserId};
    use ledger::{Amount, AssetId, BasisPoints, JobId};

    use super::same_foreseen;

    const USER: UserId = UserId(1);

    fn user() -> User {
        let registered_at = DateTime::UNIX_EPOCH;
        User { referrer: None, tier: Tier::Standard, frozen: false, kyc: 0, registered_at }
    }

    /// A desk after somebody did something to it.
    fn desk(act: impl FnOnce(&mut Desk)) -> Desk {
        let mut desk = Desk::new(DateTime::UNIX_EPOCH, 0, Assets::default(), Rules::default());
        act(&mut desk);
        desk
    }

    #[test]
    fn a_batch_is_as_foreseen_if_all_is_the_same_that_is_stored_before_the_shared_locks() {
        let none = desk(|_| {});
        let registered = desk(|desk| assert!(desk.users.insert(USER, user())));
        assert!(!same_foreseen(&none, &registered), "who registers is stored early");
        assert!(same_foreseen(&registered, &registered.clone()));
        let otherwise = desk(|desk| assert!(desk.users.insert(USER, User { kyc: 1, ..user() })));
        assert!(!same_foreseen(&registered, &otherwise), "and so is what is said of them");
        let fixed = desk(|desk| assert!(desk.referrals.insert(TradeId(1), Vec::new())));
        assert!(!same_foreseen(&none, &fixed), "what is stored with the book as well");
        let paid = desk(|desk| {
            let (base, amount) = (Amount::ZERO, Amount::ZERO);
            let rate = BasisPoints::new(1).unwrap();
            let commission = Commission { trade: TradeId(1), referrer: USER, level: 1, base, rate, amount };
            assert!(desk.commissions.append(JobId(1), commission));
        });
        assert!(!same_foreseen(&none, &paid), "and rows that are only added");
    }

    #[test]
    fn what_is_stored_under_the_shared_locks_need_not_be_foreseen() {
        let key = DayKey { user: USER, asset: AssetId::new(1), day: DateTime::UNIX_EPOCH.date_naive() };
        let loaded = |desk: &mut Desk| {
            desk.users.load(USER, user());
            desk.days.load(key, Day { version: 0, used: Amount::ZERO, max: Amount::ZERO });
        };
        let before = desk(loaded);
        let after = desk(|desk| {
            loaded(desk);
            assert!(desk.users.update(&USER, |user| user.frozen = true));
            assert!(desk.days.update(&key, |day| day.max = Amount::MAX));
            let flagged = Flagged { user: USER, by: PrincipalId(100), then: user(), reason: String::new() };
            assert!(desk.flags.append(JobId(1), flagged));
        });
        assert!(same_foreseen(&before, &after));
    }
}
