//! One file per table: how its rows are loaded, and how what a batch changed is stored in
//! one statement whatever the number of rows: what is new by `append!`, what moved by `unnest`. A batch with
//! little to store has one for several of them (`together.rs`).

pub(crate) mod account;
pub(crate) mod app_user;
pub(crate) mod asset;
pub(crate) mod deposit;
pub(crate) mod entry;
pub(crate) mod hold;
pub(crate) mod ipn_inbox;
pub(crate) mod outcome;
pub(crate) mod parked;
pub(crate) mod pause;
pub(crate) mod principal;
pub(crate) mod referral;
pub(crate) mod rules;
pub(crate) mod together;
pub(crate) mod trade;
pub(crate) mod transfer;
pub(crate) mod user_flag;
pub(crate) mod withdrawal;
pub(crate) mod withdrawal_day;

use ledger::BasisPoints;
use sqlx::Error;

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
