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

mod answers;
mod app;
mod asset_registry;
mod auth;
mod batch;
mod batch_items;
mod body;
mod config;
mod cursor;
mod edge;
mod export;
mod export_rows;
mod extract;
mod fees;
mod gather;
mod headers;
mod health;
mod history;
mod history_rows;
mod inbox;
mod integrity;
mod job;
mod jobs_list;
mod key;
mod line;
mod metrics;
mod nudges;
mod openapi;
mod outcomes;
mod page;
mod page_text;
mod paging;
mod params;
mod parked;
mod pauses;
mod peer;
mod person;
mod problem;
mod queue_gauges;
mod rate;
mod recorder;
mod referrals;
mod request_id;
mod retentions;
mod routes;
mod serve;
mod shape;
mod stop;
mod submit;
mod texts;
mod time;
mod traces;
mod trade;
mod trades;
mod transactions;
mod user;
mod webhook;
mod withdrawal_asks;
mod withdrawals;
mod within;

pub use app::{Background, Error, app};
pub use config::{Config, Limits};
pub use key::{key_hash, new_key};
pub use openapi::openapi;
pub use rate::Rate;
pub use serve::serve;
