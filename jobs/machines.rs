//! The state machines: state × event × actor, as data and nothing else.

pub mod deposit;
pub mod trade;
pub mod withdrawal;
