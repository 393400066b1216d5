pub(crate) mod batch;
mod batch_items;
pub(crate) mod parked;
