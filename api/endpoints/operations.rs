pub(crate) mod queries;
