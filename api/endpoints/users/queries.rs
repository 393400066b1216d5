pub(crate) mod balances;
pub(crate) mod commissions;
mod cursor;
pub(crate) mod export;
mod export_rows;
pub(crate) mod flags;
pub(crate) mod referrals;
pub(crate) mod transactions;
pub(crate) mod user;
