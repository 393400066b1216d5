//! What the ledger promises, seen from outside it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    reason = "a test fails by panicking, and its sums are small"
)]

mod amounts;
mod book;
mod desk;
mod facts;
mod fees;
mod ledger_text;
mod loading;
mod naive;
