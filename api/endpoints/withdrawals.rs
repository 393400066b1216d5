pub(crate) mod commands;
mod document;
pub(crate) mod queries;
