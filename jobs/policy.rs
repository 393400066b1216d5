//! Rules that several kinds share.

pub(crate) mod commissions;
pub(crate) mod missing;
pub(crate) mod operator;
pub(crate) mod receivable;
pub(crate) mod shares;
pub(crate) mod trade;
pub(crate) mod withdrawal;
