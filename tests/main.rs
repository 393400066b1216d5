//! Holdfast as a whole: a database for each test, the real queue and the real settlement.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::large_futures,
    reason = "a test fails by panicking, and its figures are small"
)]

mod deaths;
mod deposits;
mod enqueue;
mod guards;
mod harness;
mod queue;
mod races;
mod replay;
mod rights;
mod schema;
mod tidy;
mod trades;
