//! `NOWPayments` callbacks (IPNs): is the body theirs, and what does it say.
//!
//! The way of a callback: [`verify`] answers a [`Signed`] text or a [`Refusal`];
//! [`Callback::read`] reads the facts out of that text and of nothing else, so that no fact
//! is ever taken from bytes that the signature does not cover.

mod canonical;
mod decimal;
mod facts;
mod fields;
mod json;
mod number;
mod signature;
mod spelling;
mod status;
#[cfg(test)]
mod tests;

pub use decimal::{DecimalError, DecimalText};
pub use facts::{Callback, PaymentFacts, PayoutFacts};
pub use fields::FactsError;
pub use signature::{BODY_BYTES_MAX, DEPTH_MAX, EmptySecret, Form, Refusal, Secret, Signed, verify};
pub use status::{PaymentStatus, PayoutStatus};
