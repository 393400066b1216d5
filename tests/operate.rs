//! What operators do: pauses, decisions about parked jobs, verifications.

mod api;
mod commands;
mod parked;
mod pauses;
mod processes;
mod top;
mod verifying;
