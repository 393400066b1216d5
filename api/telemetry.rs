//! What monitors are told of this process and of the queue.

pub(crate) mod metrics;
pub(crate) mod queue_gauges;
pub(crate) mod readiness;
