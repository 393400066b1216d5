#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod decimal;
mod facts;
mod json;
mod properties;
mod refusals;
mod tampering;
mod vectors;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha512;

use super::{Callback, FactsError, Form, Refusal, Secret, Signed, verify};

const SECRET: &str = "test-ipn-secret";

fn secrets() -> Vec<Secret> {
    vec![Secret::new(SECRET).unwrap()]
}

fn sign(text: &str) -> String {
    sign_bytes(text.as_bytes())
}

fn sign_bytes(bytes: &[u8]) -> String {
    let keyed = Hmac::<Sha512>::new_from_slice(SECRET.as_bytes()).unwrap();
    hex::encode(keyed.chain_update(bytes).finalize().into_bytes())
}

/// Verifies `body` with a signature over `signed`.
fn verify_as(body: &str, signed: &str) -> Result<Signed, Refusal> {
    verify(body.as_bytes(), Some(&sign(signed)), &secrets())
}

/// Reads a body that was signed as it stands.
fn read(body: &str) -> Result<Callback, FactsError> {
    let signed = verify_as(body, body).unwrap();
    assert_eq!(signed.form(), Form::Raw);
    Callback::read(&signed)
}
