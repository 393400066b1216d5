//! What `verify` refuses, and the few liberties it allows.

use super::super::{BODY_BYTES_MAX, DEPTH_MAX, EmptySecret, Form, Refusal, Secret, verify};
use super::{SECRET, secrets, sign, verify_as};

const BODY: &str = r#"{"payment_id":1,"payment_status":"waiting"}"#;

#[test]
fn an_empty_secret_is_refused() {
    for text in ["", " ", "\t\r\n", "\u{a0}"] {
        assert_eq!(Secret::new(text).err(), Some(EmptySecret));
    }
}

#[test]
fn a_secret_is_never_printed() {
    assert_eq!(format!("{:?}", Secret::new(SECRET).unwrap()), "Secret(..)");
    assert_eq!(format!("{:#?}", secrets()), "[\n    Secret(..),\n]");
}

#[test]
fn space_around_a_secret_is_not_part_of_it() {
    let padded = [Secret::new(&format!(" {SECRET}\n")).unwrap()];
    assert!(verify(BODY.as_bytes(), Some(&sign(BODY)), &padded).is_ok());
}

#[test]
fn no_secret_verifies_nothing() {
    assert_eq!(verify(BODY.as_bytes(), Some(&sign(BODY)), &[]), Err(Refusal::NoSecret));
}

#[test]
fn either_secret_of_a_rotation_verifies() {
    let new = Secret::new("another-secret").unwrap();
    let old = Secret::new(SECRET).unwrap();
    let signature = sign(BODY);
    for secrets in [[new.clone(), old.clone()], [old.clone(), new.clone()]] {
        assert!(verify(BODY.as_bytes(), Some(&signature), &secrets).is_ok());
    }
    assert_eq!(verify(BODY.as_bytes(), Some(&signature), &[new]), Err(Refusal::Mismatch));
}

#[test]
fn hexadecimal_is_read_in_either_case() {
    let signature = sign(BODY);
    let mixed = signature.replace('a', "A");
    for header in [signature.to_ascii_uppercase(), mixed, signature] {
        assert!(verify(BODY.as_bytes(), Some(&header), &secrets()).is_ok());
    }
}

#[test]
fn malformed_headers_are_refused() {
    let signature = sign(BODY);
    let length = |length| Refusal::SignatureLength { length };
    let cases = [
        (None, Refusal::MissingSignature),
        (Some(String::new()), length(0)),
        (Some(signature[..127].to_owned()), length(127)),
        (Some(signature[..126].to_owned()), length(126)),
        (Some(format!("{signature}00")), length(130)),
        (Some(format!("{signature} ")), length(129)),
        (Some(format!("sha512={signature}")), length(135)),
        (Some(signature[..64].to_owned()), length(64)),
        (Some("g".repeat(128)), Refusal::SignatureNotHex),
        (Some(format!(" {}", &signature[1..])), Refusal::SignatureNotHex),
        (Some("é".repeat(64)), Refusal::SignatureNotHex),
        (Some("0".repeat(128)), Refusal::Mismatch),
    ];
    for (header, refusal) in cases {
        assert_eq!(verify(BODY.as_bytes(), header.as_deref(), &secrets()), Err(refusal), "{header:?}");
    }
}

#[test]
fn any_changed_bit_of_a_signature_is_refused() {
    let signature = hex::decode(sign(BODY)).unwrap();
    for bit in 0..512 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let header = hex::encode(changed);
        assert_eq!(verify(BODY.as_bytes(), Some(&header), &secrets()), Err(Refusal::Mismatch));
    }
}

#[test]
fn duplicate_keys_are_refused_at_any_depth_though_signed() {
    let bodies = [
        r#"{"payment_id":1,"payment_id":1}"#,
        r#"{"payment_id":1,"a":0,"payment_id":2}"#,
        r#"{"payment_id":1,"\u0070ayment_id":2}"#,
        r#"{"fee":{"a":1,"b":2,"a":3}}"#,
        r#"{"a":[{"b":{"":1,"":2}}]}"#,
        r#"{"1":1,"0":1,"\u0031":1}"#,
        r#"{"\ud800":1,"\uD800":1}"#,
    ];
    for body in bodies {
        let refusal = verify_as(body, body).unwrap_err();
        assert_eq!(refusal.code(), "duplicate_key", "{body}");
    }
    assert_eq!(verify_as(bodies[3], bodies[3]), Err(Refusal::DuplicateKey { offset: 7 }));
    // The same key in two objects is no duplicate.
    let siblings = r#"{"a":{"b":1},"b":{"b":1}}"#;
    assert_eq!(verify_as(siblings, siblings).unwrap().form(), Form::Raw);
}

#[test]
fn nesting_is_bounded_though_signed() {
    let arrays = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for body in [arrays(DEPTH_MAX), objects(DEPTH_MAX)] {
        assert!(verify_as(&body, &body).is_ok());
    }
    for body in [arrays(DEPTH_MAX + 1), objects(DEPTH_MAX + 1), arrays(20_000), "[".repeat(60_000)] {
        assert_eq!(verify_as(&body, &body).unwrap_err().code(), "too_deep");
    }
}

#[test]
fn a_body_is_bounded_though_signed() {
    let body = |length: usize| format!("\"{}\"", "a".repeat(length - 2));
    assert!(verify_as(&body(BODY_BYTES_MAX), &body(BODY_BYTES_MAX)).is_ok());
    let length = BODY_BYTES_MAX + 1;
    assert_eq!(verify_as(&body(length), &body(length)), Err(Refusal::BodyTooLong { length }));
}

#[test]
fn what_is_not_json_is_refused_though_signed() {
    for body in ["", " ", "{", "nul", "{\"a\":1}x", "{'a':1}", "\u{feff}{}", "{\"a\":01}", "[1,]"] {
        assert_eq!(verify_as(body, body).unwrap_err().code(), "not_json", "{body}");
    }
    let keyed = super::sign_bytes(b"{\"a\":\"\xff\"}");
    let refusal = verify(b"{\"a\":\"\xff\"}", Some(&keyed), &secrets());
    assert_eq!(refusal, Err(Refusal::NotUtf8 { offset: 6 }));
}

#[test]
fn keys_are_sorted_as_javascript_sorts_them() {
    // Array indices first and by value; an astral character is two units that begin with
    // 0xd83d, and so comes before U+FFFD.
    let body = "{\"\u{fffd}\":1,\"\u{1f680}\":2,\"b\":3,\"10\":4,\"9\":5,\"01\":6,\"B\":7,\"4294967295\":8}";
    let sorted = "{\"9\":5,\"10\":4,\"01\":6,\"4294967295\":8,\"B\":7,\"b\":3,\"\u{1f680}\":2,\"\u{fffd}\":1}";
    assert_eq!(verify_as(body, sorted).unwrap().form(), Form::Sorted);
}

#[test]
fn arrays_are_kept_or_keyed_by_index() {
    let body = r#"{"b":1.0,"a":[[],{"d":2.50,"c":null},"x"]}"#;
    let forms = [
        (Form::Sorted, r#"{"a":[[],{"c":null,"d":2.50},"x"],"b":1.0}"#),
        (Form::EcmaScript, r#"{"a":[[],{"c":null,"d":2.5},"x"],"b":1}"#),
        (Form::EcmaScriptIndexed, r#"{"a":{"0":{},"1":{"c":null,"d":2.5},"2":"x"},"b":1}"#),
    ];
    for (form, text) in forms {
        let signed = verify_as(body, text).unwrap();
        assert_eq!((signed.form(), signed.text()), (form, text));
    }
    // Verbatim numbers with indexed arrays is nobody's form.
    let mixed = r#"{"a":{"0":{},"1":{"c":null,"d":2.50},"2":"x"},"b":1.0}"#;
    assert_eq!(verify_as(body, mixed), Err(Refusal::Mismatch));
}

#[test]
fn every_refusal_has_a_code_of_its_own() {
    let refusals = [
        Refusal::NoSecret,
        Refusal::MissingSignature,
        Refusal::SignatureLength { length: 0 },
        Refusal::SignatureNotHex,
        Refusal::BodyTooLong { length: 0 },
        Refusal::NotUtf8 { offset: 0 },
        Refusal::NotJson { offset: 0, expected: "" },
        Refusal::DuplicateKey { offset: 0 },
        Refusal::TooDeep { offset: 0 },
        Refusal::Mismatch,
    ];
    let mut codes: Vec<_> = refusals.iter().map(Refusal::code).collect();
    codes.sort_unstable();
    codes.dedup();
    assert_eq!(codes.len(), refusals.len());
}
