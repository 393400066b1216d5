use serde::Serialize;
use utoipa::ToSchema;

/// A word that says all.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    pub(crate) status: &'static str,
}
