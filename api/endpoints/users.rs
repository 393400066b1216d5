pub(crate) mod commands;
pub(crate) mod queries;
mod registered;
