//! What clients see: documents, and the texts that they are made of. Knows nothing of requests.

pub(crate) mod amounts;
pub(crate) mod job;
pub(crate) mod outcome;
pub(crate) mod parked;
pub(crate) mod status;
pub(crate) mod texts;
pub(crate) mod time;
