//! What is stored, as types: no rule and no kind.

pub(crate) mod deposit;
pub(crate) mod parked;
pub(crate) mod pause;
pub(crate) mod people;
pub(crate) mod referral;
pub(crate) mod trade;
pub(crate) mod verification;
pub(crate) mod withdrawal;
