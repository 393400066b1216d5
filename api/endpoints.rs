//! The endpoints by resource. Commands ask for a job; queries read. `routes` lists all of them.

mod history;
pub(crate) mod jobs;
pub(crate) mod operations;
pub(crate) mod server;
pub(crate) mod trades;
pub(crate) mod users;
pub(crate) mod webhooks;
pub(crate) mod withdrawals;
