//! One file per kind: its payload, the rows it touches, and `decide`.

pub(crate) mod deposit_credit;
pub(crate) mod lock_escrow;
pub(crate) mod parked_decision;
pub(crate) mod pause;
pub(crate) mod referral_commission;
pub(crate) mod refund;
pub(crate) mod release;
pub(crate) mod timer_expiry;
pub(crate) mod trade_event;
pub(crate) mod user_flag;
pub(crate) mod user_register;
pub(crate) mod verify;
pub(crate) mod withdrawal_decision;
pub(crate) mod withdrawal_request;
