//! The HTTP side: it authenticates, validates, enqueues and reads.
//!
//! It writes nothing but requests, their jobs and authentic callbacks, and cannot: the database
//! role that it connects as is refused everything else. What a request asks for is done by a
//! worker, later; a 202 says that it is recorded for good and nothing more.
//!
//! The way of a POST: `http::edge` gives it an id, `http::auth` finds its principal,
//! `intake::asked` and `intake::shape` read it, a command among the `endpoints` makes it a job,
//! `intake::submit` turns that into an ask, `intake::gather` commits it together with whatever else
//! came meanwhile as `intake::recorder` says, and `intake::outcomes` waits for what came of it if
//! the client prefers to. A callback: `endpoints::webhooks` checks its signature, and
//! `intake::gather` commits it with others as `intake::inbox` says.
//!
//! Rooms depend on each other in one direction: `app` and `routes` on `endpoints`, these on `state`,
//! that on `intake` and `telemetry`, `intake` on `http`, and `http` on `documents`.

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
