//! Stand-ins for the outside services: what they would send, for tests, the demo and
//! anyone's staging. Written against the providers' documents, not against our readers.

pub mod exchange;
pub mod nowpayments;
