//! The recorded and synthetic bodies of `tests/fixtures/nowpayments_ipn.json`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::super::json::read;
use super::super::number::push_ecmascript;
use super::super::{Callback, Form, Refusal, Secret, canonical, verify};

#[derive(Deserialize)]
pub(super) struct Fixture {
    js_number_table: Vec<Number>,
    pub(super) vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Number {
    token: String,
    js: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Vector {
    name: String,
    kind: String,
    pub(super) raw_body: String,
    pub(super) secret: String,
    canonical: BTreeMap<String, String>,
    pub(super) signatures: BTreeMap<String, String>,
}

/// The variants whose texts are accepted, in the order in which they are tried.
pub(super) const ACCEPTED: [(&str, Form); 4] = [
    ("raw", Form::Raw),
    ("lexeme_preserving", Form::Sorted),
    ("sdk_js", Form::EcmaScript),
    ("docs_js", Form::EcmaScriptIndexed),
];

pub(super) fn fixture() -> Fixture {
    serde_json::from_str(include_str!("../../../tests/fixtures/nowpayments_ipn.json")).unwrap()
}

impl Vector {
    pub(super) fn text(&self, variant: &str) -> &str {
        if variant == "raw" { &self.raw_body } else { &self.canonical[variant] }
    }

    /// The first accepted form whose text is this one, byte for byte.
    fn form_of(&self, text: &str) -> Option<Form> {
        ACCEPTED.into_iter().find(|(variant, _)| self.text(variant) == text).map(|(_, form)| form)
    }
}

#[test]
fn every_signature_is_accepted_or_refused_by_its_text() {
    let (mut accepted, mut refused) = (BTreeMap::new(), BTreeMap::new());
    for vector in &fixture().vectors {
        let secrets = [Secret::new(&vector.secret).unwrap()];
        assert_eq!(vector.signatures.len(), 8, "{}", vector.name);
        for (variant, signature) in &vector.signatures {
            let text = vector.text(variant);
            let answer = verify(vector.raw_body.as_bytes(), Some(signature), &secrets);
            let case = format!("{} {variant}", vector.name);
            if let Some(form) = vector.form_of(text) {
                let signed = answer.expect(&case);
                assert_eq!((signed.form(), signed.text()), (form, text), "{case}");
                *accepted.entry(variant.clone()).or_insert(0) += 1;
            } else {
                assert_eq!(answer, Err(Refusal::Mismatch), "{case}");
                *refused.entry(variant.clone()).or_insert(0) += 1;
            }
        }
    }
    for (variant, _) in ACCEPTED {
        assert_eq!((accepted.get(variant), refused.get(variant)), (Some(&28), None), "{variant}");
    }
    // Each of the wrong variants is seen to be refused, so the rule above is not empty.
    for variant in ["legacy_js_replacer_array", "top_level_only", "docs_python", "docs_php"] {
        assert!(refused.get(variant).is_some_and(|count| *count >= 3), "{variant}");
    }
}

#[test]
fn canonical_texts_are_those_of_the_signers() {
    for vector in &fixture().vectors {
        let node = read(&vector.raw_body).unwrap();
        for (variant, form) in ACCEPTED.into_iter().skip(1) {
            let text = canonical::write(&node, form, 0);
            assert_eq!(text, vector.text(variant), "{} {variant}", vector.name);
        }
    }
}

#[test]
fn numbers_print_as_in_javascript() {
    let table = fixture().js_number_table;
    assert_eq!(table.len(), 14);
    let more = [
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e400", "null"),
        ("-1e400", "null"),
        ("1e-400", "0"),
        ("-0.0", "0"),
        ("9007199254740993", "9007199254740992"),
        ("123456.789e3", "123456789"),
        ("999999999999999999999", "1e+21"),
        ("0.0000012345", "0.0000012345"),
        ("-1.25e-9", "-1.25e-9"),
        ("1973403960497704.25", "1973403960497704.2"),
        ("-1973403960497704.75", "-1973403960497704.8"),
        ("9007199254740991.5", "9007199254740992"),
        ("2.2250738585072014e-308", "2.2250738585072014e-308"),
        ("9.5367431640625e-7", "9.5367431640625e-7"),
        ("1.0", "1"),
        ("0", "0"),
    ];
    let pairs = table.iter().map(|number| (number.token.as_str(), number.js.as_str())).chain(more);
    for (token, expected) in pairs {
        let mut printed = String::new();
        push_ecmascript(&mut printed, token);
        assert_eq!(printed, expected, "{token}");
    }
}

#[test]
fn every_vector_is_read_as_its_kind() {
    for vector in &fixture().vectors {
        let secrets = [Secret::new(&vector.secret).unwrap()];
        let signed = verify(vector.raw_body.as_bytes(), Some(&vector.signatures["raw"]), &secrets).unwrap();
        let callback = Callback::read(&signed);
        match (vector.kind.as_str(), vector.name.as_str()) {
            ("custody", _) | ("edge", "str_nested_unsorted") => {
                assert_eq!(callback, Ok(Callback::Other), "{}", vector.name);
            }
            ("edge", "str_controls" | "str_empty_containers") => {
                assert_eq!(callback.unwrap_err().to_string(), "payment_status is missing", "{}", vector.name);
            }
            ("payout", name) => assert!(matches!(callback, Ok(Callback::Payout(_))), "{name}"),
            ("payment" | "edge", name) => assert!(matches!(callback, Ok(Callback::Payment(_))), "{name}"),
            (kind, name) => panic!("unknown kind {kind} of {name}"),
        }
    }
}
