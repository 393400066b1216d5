//! What operators do: pauses, decisions about parked jobs, verifications.

mod parked;
mod pauses;
mod processes;
