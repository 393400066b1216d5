//! Settling: claim → load → decide → store → complete → commit, a batch at a time.
//!
//! The kinds decide; this crate loads what they ask for, stores what they changed, and makes both
//! one transaction with the claim. How many statements that takes is bounded, whatever the size of
//! the batch.

mod batch;
mod behind;
mod call;
mod committed;
mod decide;
mod decisions;
mod follow_up;
mod foresight;
mod load;
mod numeric;
mod outside;
mod pauses;
mod plans;
mod reading;
mod recent;
mod settle;
mod settler;
mod start;
mod step;
mod store;
mod tables;
mod timers;
mod trust;
mod turn;
mod verification;
mod within;

pub use batch::{Batch, Report};
pub use call::{Calling, Calls, Planning};
pub use committed::{Committed, Done, End, Watcher};
pub use numeric::Numeric;
pub use outside::{Caller, Outside, PlannedCall};

pub use settler::{BATCH_IN_COMPANY, BATCH_MAX, Settings, Settler};
pub use tables::asset::load_assets;
pub use verification::{Checks, ask_for_verification};
