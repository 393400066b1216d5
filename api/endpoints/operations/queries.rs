pub(crate) mod fees;
pub(crate) mod integrity;
pub(crate) mod pauses;
pub(crate) mod retentions;
