//! What holds of any body.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::super::json::{Fault, read};
use super::super::number::push_ecmascript;
use super::super::{Callback, Form, Refusal, canonical, verify};
use super::{secrets, sign};

const FORMS: [Form; 3] = [Form::Sorted, Form::EcmaScript, Form::EcmaScriptIndexed];

/// A JSON text whose objects have distinct keys, with space and escapes in odd places.
fn json_text() -> impl Strategy<Value = String> {
    let key = select(vec!["a", "b", "Z", "0", "10", "9", "01", "é", "\\u0061b", "\\n", "\u{1f680}", "\u{fffd}", ""]);
    let text = "[a-c é\u{1f680}]{0,3}(\\\\(n|u00e9|u0041|\"|/|ud83d|ude80)){0,3}";
    let leaf = prop_oneof![
        select(vec!["null", "true", "false", "[]", "{ }"]).prop_map(str::to_owned),
        number_token(),
        text.prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(5, 40, 6, move |inner| {
        let member = (key.clone(), inner.clone());
        prop_oneof![
            vec(inner, 0..6).prop_map(|items| format!("[{}]", items.join(" ,"))),
            vec(member, 0..6).prop_map(|mut members| {
                members.sort();
                members.dedup_by(|left, right| left.0 == right.0);
                members.reverse();
                let members: Vec<String> = members.iter().map(|(key, value)| format!("\"{key}\": {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

fn number_token() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,2})?",
        "0\\.0{0,9}[0-9]{1,9}",
    ]
}

/// A payment as production sends it, and as the other signers would sign it.
fn payment_body() -> impl Strategy<Value = String> {
    let amount = "(0|[1-9][0-9]{0,4})\\.[0-9]{1,8}";
    let status = select(vec!["waiting", "confirming", "finished", "partially_paid", "expired"]);
    (1..10_000_000_000_u64, amount, amount, status, "[a-z0-9_]{1,12}").prop_map(|(id, paid, outcome, status, order)| {
        format!(
            "{{\"actually_paid\":{paid},\"fee\":{{\"currency\":\"btc\",\"depositFee\":0.10}},\"order_id\":\"{order}\",\
             \"outcome_amount\":{outcome},\"outcome_currency\":\"btc\",\"pay_amount\":{paid},\"payment_extra_ids\":[1],\
             \"payment_id\":{id},\"payment_status\":\"{status}\"}}"
        )
    })
}

/// Changes some bytes: replaced, removed, doubled, or swapped with a neighbour.
fn mutate(body: &mut Vec<u8>, edits: &[(u8, Index, u8)]) {
    for (edit, index, byte) in edits {
        let at = index.index(body.len());
        match edit % 4 {
            0 => body[at] = *byte,
            1 if body.len() > 1 => drop(body.remove(at)),
            2 => body.insert(at, *byte),
            _ => {
                let next = (at + 1) % body.len();
                body.swap(at, next);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn canonical_texts_are_fixed_points(text in json_text()) {
        let node = match read(&text) {
            Ok(node) => node,
            // Keys that differ as spelled may be one key.
            Err(fault) => return Err(TestCaseError::reject(format!("{fault:?}"))),
        };
        for form in FORMS {
            let once = canonical::write(&node, form, 0);
            let again = canonical::write(&read(&once).unwrap(), form, 0);
            prop_assert_eq!(&once, &again);
        }
    }

    #[test]
    fn the_reader_agrees_with_serde_json(text in json_text(), edits in vec((any::<u8>(), any::<Index>(), any::<u8>()), 0..3)) {
        let mut bytes = text.into_bytes();
        mutate(&mut bytes, &edits);
        let Ok(text) = String::from_utf8(bytes) else { return Ok(()) };
        let theirs: Result<Value, _> = serde_json::from_str(&text);
        match (read(&text), theirs) {
            (Ok(node), Ok(theirs)) => {
                let sorted: Value = serde_json::from_str(&canonical::write(&node, Form::Sorted, 0)).unwrap();
                prop_assert_eq!(sorted, theirs);
            }
            (Ok(_), Err(error)) => {
                // It has no place for half a character or a number beyond a double.
                let known = ["surrogate", "hex escape", "out of range"].iter().any(|known| error.to_string().contains(known));
                prop_assert!(known, "{text}: {error}");
            }
            (Err(Fault::Syntax { .. }), theirs) => prop_assert!(theirs.is_err(), "{text}"),
            (Err(Fault::DuplicateKey { .. } | Fault::TooDeep { .. }), _) => {}
        }
    }

    #[test]
    #[allow(clippy::disallowed_types, reason = "the property is one of doubles")]
    fn a_number_prints_as_the_same_double(token in number_token()) {
        let mut printed = String::new();
        push_ecmascript(&mut printed, &token);
        let (before, after): (f64, f64) = (token.parse().unwrap(), printed.parse().unwrap());
        prop_assert_eq!(before.abs().to_bits(), after.abs().to_bits());
        prop_assert!(before.is_sign_negative() == after.is_sign_negative() || printed == "0");
    }

    #[test]
    fn a_mutated_body_says_what_was_signed_or_nothing(
        body in payment_body(),
        form in 0..4_usize,
        edits in vec((any::<u8>(), any::<Index>(), select(b"0123456789.eE+-\", \n{}[]:aA\\".to_vec())), 1..5),
    ) {
        let signed = match form.checked_sub(1) {
            None => body.clone(),
            Some(form) => canonical::write(&read(&body).unwrap(), FORMS[form], 0),
        };
        let signature = sign(&signed);
        let honest = verify(body.as_bytes(), Some(&signature), &secrets()).unwrap();
        let facts = Callback::read(&honest);
        prop_assert!(matches!(facts, Ok(Callback::Payment(_))));

        let mut mutated = body.clone().into_bytes();
        mutate(&mut mutated, &edits);
        // Most edits break the signature; space, escapes and zeros at the end of a number need not.
        if let Ok(accepted) = verify(&mutated, Some(&signature), &secrets()) {
            prop_assert_eq!(accepted.text(), &signed);
            prop_assert_eq!(Callback::read(&accepted), facts);
        }
    }

    #[test]
    fn a_respelled_body_says_what_was_signed(body in payment_body(), form in 0..3_usize, zeros in 0..4_usize) {
        let signed = canonical::write(&read(&body).unwrap(), FORMS[form], 0);
        let signature = sign(&signed);
        let honest = verify(body.as_bytes(), Some(&signature), &secrets()).unwrap();

        // Other order, other space, another escape: the same text was signed.
        let inner = body.strip_prefix('{').and_then(|body| body.strip_suffix('}')).unwrap();
        let (head, tail) = inner.split_once(",\"order_id\"").unwrap();
        let respelled = format!("{{ \"order\\u005fid\"{tail},\n{head}}}");
        let accepted = verify(respelled.as_bytes(), Some(&signature), &secrets()).unwrap();
        prop_assert_eq!(accepted.text(), honest.text());
        prop_assert_eq!(Callback::read(&accepted), Callback::read(&honest));

        // A number's last zeros are part of a verbatim text and of no double.
        let zeroed = respelled.replace("0.10}", &format!("0.1{}}}", "0".repeat(zeros)));
        let answer = verify(zeroed.as_bytes(), Some(&signature), &secrets());
        if FORMS[form] == Form::Sorted && zeros != 1 {
            prop_assert_eq!(answer, Err(Refusal::Mismatch));
        } else {
            prop_assert_eq!(Callback::read(&answer.unwrap()), Callback::read(&honest));
        }
    }
}
