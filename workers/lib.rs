//! The runtime of the workers: the only place that names apalis.
//!
//! One apalis task is one claimed batch, with the open transaction that locks it. Nothing of
//! apalis acknowledges or retries: the commit of the batch is the acknowledgement, and a batch
//! that did not commit never left the outbox.

mod backend;
mod call_lane;
mod calls;
mod clockwork;
mod exposition;
mod feed;
mod heart;
mod in_hand;
mod ledger;
mod metrics;
mod nudges;
mod operate;
mod run;
mod stopping;
mod traces;
mod verify;

pub use run::{Error, Options, run};
