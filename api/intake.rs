//! From a checked request to a commit, and to what came of it.

pub(crate) mod asked;
pub(crate) mod asset_registry;
pub(crate) mod gather;
pub(crate) mod inbox;
pub(crate) mod line;
pub(crate) mod nudges;
pub(crate) mod outcomes;
pub(crate) mod recorder;
pub(crate) mod shape;
pub(crate) mod stop;
pub(crate) mod submit;
