//! The HTTP side: it authenticates, validates, enqueues and reads.
//!
//! It writes nothing but requests, their jobs and authentic callbacks, and cannot: the database
//! role that it connects as is refused everything else. What a request asks for is done by a
//! worker, later; a 202 says that it is recorded for good and nothing more.
//!
//! The way of a POST: `edge` gives it an id, `auth` finds its principal, `body` and
//! `shape` read it, `submit` turns it into an ask, `gather` commits it together with
//! whatever else came meanwhile as `recorder` says, and `outcomes` waits for what came of it
//! if the client prefers to. A callback: `webhook` checks its signature, and `gather` commits
//! it with others as `inbox` says.

mod app;
mod config;
mod documents;
mod endpoints;
mod http;
mod intake;
mod openapi;
mod routes;
mod serve;
mod state;
mod telemetry;
mod within;

pub use app::{Background, Error, app};
pub use config::{Config, Limits};
pub use http::key::{key_hash, new_key};
pub use http::rate::Rate;
pub use routes::openapi;
pub use serve::serve;
