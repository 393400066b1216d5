pub(crate) mod metrics;
pub(crate) mod queue_gauges;
