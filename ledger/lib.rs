//! Money and nothing else: exact amounts, assets, accounts, holds, and the [`Book`] that a batch
//! decides on.
//!
//! Everything here is pure. There is no clock, no I/O and no randomness; ids and balances come in
//! with what is loaded, and what a batch did goes out as [`Changes`] for somebody else to store.
//! There is no floating point and no silent rounding: where a rule must round, the function that
//! does it says so in its name.

mod account;
mod amount;
mod asset;
mod book;
mod changes;
mod code;
mod decimal;
mod error;
mod fee;

pub use account::{Account, AccountId, AccountKey, Balance, Owner, Purpose};
pub use amount::{Amount, AmountError};
pub use asset::{Asset, AssetId};
pub use book::{Book, Mark};
pub use changes::{Cause, Changes, Entry, Hold, HoldId, HoldSubject, JobId, Transfer};
pub use code::Code;
pub use error::{BookError, LoadError};
pub use fee::{BasisPoints, fee_floor, split_floor};
