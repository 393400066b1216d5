//! What the outside services say, and how it is known to be theirs.
//!
//! A module per provider. So far: [`nowpayments`], the signature of its callbacks and the
//! facts they carry. Nothing here does I/O.

pub mod nowpayments;
