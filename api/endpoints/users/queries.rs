pub(crate) mod balances;
pub(crate) mod cursor;
pub(crate) mod export;
pub(crate) mod export_rows;
pub(crate) mod referrals;
pub(crate) mod transactions;
pub(crate) mod user;
