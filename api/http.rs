//! What every request and every answer has, whatever it is about. Knows no endpoint.

pub(crate) mod auth;
pub(crate) mod body;
pub(crate) mod edge;
pub(crate) mod exports;
pub(crate) mod headers;
pub(crate) mod key;
pub(crate) mod paging;
pub(crate) mod path;
pub(crate) mod peer;
pub(crate) mod problem;
pub(crate) mod query;
pub(crate) mod rate;
pub(crate) mod request_id;
pub(crate) mod traces;
