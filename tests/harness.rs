//! What the tests stand on: a database of its own for each test, in one private server for all.
//!
//! ```ignore
//! let db = Db::new().await;
//! let [seller, buyer] = db.people().await;
//! db.fund(seller, "btc", "0.9").await;
//! let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
//! db.drain().await;
//! assert_eq!(db.outcome(trade).await, "settled");
//! db.verified().await;
//! ```

mod asks;
mod books;
mod callbacks;
mod calls;
mod check_call;
mod contract;
mod drain;
mod ending;
mod ledger_text;
mod operate;
mod refusal;
mod server;
mod site;
mod slowest;
mod statements;
mod withdrawals;

pub(crate) use asks::{SUBMITTER, ask_of, cancel, extend, extend_by, lock, mark_paid, refund, register, release, undo};
pub(crate) use callbacks::{IPN_SECRET, credit_of, ipn_secrets, payment, receive};
pub(crate) use calls::lease_one;
pub(crate) use check_call::{CallCase, Mischief, check_call};
pub(crate) use contract::{document, operations};
pub(crate) use drain::sum;
pub(crate) use ending::ended;
pub(crate) use operate::{OTHER, ask_by, cancel_parked, pause, resume, retry_parked};
pub(crate) use refusal::refusal;
pub(crate) use server::{Db, run};
pub(crate) use site::{Answer, Call, Site, Traces, fresh_key, minor};
pub(crate) use slowest::timed;
pub(crate) use statements::Statements;
pub(crate) use withdrawals::{approve, call_off, reject, withdraw};

use std::time::{Duration, Instant};

/// Longest time that a test waits for a condition.
const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for a condition that nobody can signal, such as something within the server.
pub(crate) async fn until(what: &str, condition: impl AsyncFnMut() -> bool) {
    assert!(until_or(condition).await, "not within {PATIENCE:?}: {what}");
}

/// The same; answers whether it came in time.
async fn until_or(mut condition: impl AsyncFnMut() -> bool) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while !condition().await {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    true
}
