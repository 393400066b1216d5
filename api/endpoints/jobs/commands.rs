pub(crate) mod batch;
pub(crate) mod batch_items;
pub(crate) mod parked;
