//! Holdfast as a whole: a database for each test, the real queue and the real settlement.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::large_futures,
    clippy::needless_raw_string_hashes,
    reason = "a test fails by panicking, its figures are small, and snapshots are written by a tool"
)]

mod api;
mod begin;
mod calls;
mod chaos;
mod cli;
mod deaths;
mod deposits;
mod duels;
mod enqueue;
mod follow_ups;
mod foresight;
mod guards;
mod harness;
mod observe;
mod operate;
mod order;
mod plans;
mod queue;
mod races;
mod referrals;
mod remembered;
mod replay;
mod retention;
mod rights;
mod schema;
mod starts;
mod statements;
mod tidy;
mod time;
mod trades;
mod verify;
mod withdrawals;
