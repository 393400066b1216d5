pub(crate) mod job;
pub(crate) mod texts;
pub(crate) mod time;
