//! Every race of which one side must win, run many times against two worker processes.
//!
//! The two jobs of each round are queued so that the two workers, with batches of a few jobs, hold
//! one side of the same subjects each at the same moment, and most transactions wait before they
//! commit until the other worker is there. A run counts only if it can show that they met: enough
//! transactions were waited for by the other worker, those of enough rounds overlapped, by the times
//! at which they began and committed, and each side came first in a fair share of those.
//!
//! The short form runs with the other tests. The long one:
//!
//! ```text
//! DUEL_ROUNDS=1000 cargo test --test tests duels -- --nocapture
//! ```

mod deadlines;
mod deposits;
mod processes;
mod ring;
mod rounds;
mod stage;
mod trades;
mod withdrawals;

/// How many subjects each race is run on; from the environment for the long form.
#[expect(clippy::disallowed_methods, reason = "the long form of a test is asked for by its environment")]
fn asked_rounds() -> usize {
    std::env::var("DUEL_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}
