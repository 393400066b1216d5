//! RULES 19 and the signature rule: whatever is done to a body on its way, what is read out of it is
//! what was signed, or nothing.

use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use super::super::{Callback, FactsError, Form, Secret, verify};
use super::vectors::{ACCEPTED, Vector, fixture};
use super::{SECRET, secrets, sign};

/// The tokens of a JSON text: strings with their quotes, punctuation, and everything else by runs.
fn tokens(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => {
                let mut escaped = false;
                let end = rest[1..].find(|c| {
                    let ends = c == '"' && !escaped;
                    escaped = c == '\\' && !escaped;
                    ends
                });
                end.unwrap() + 2
            }
            '{' | '}' | '[' | ']' | ',' | ':' => 1,
            _ => rest.find(|c| "{}[],:\"".contains(c)).unwrap_or(rest.len()),
        };
        tokens.push(rest[..length].to_owned());
        rest = &rest[length..];
    }
    tokens
}

/// Whether a token is a value by itself. Keys are too: they are strings.
fn is_scalar(token: &str) -> bool {
    !["{", "}", "[", "]", ",", ":"].contains(&token) && !token.trim().is_empty()
}

/// The members of the outermost object, as ranges of tokens.
fn members(tokens: &[String]) -> Vec<Range<usize>> {
    let (mut found, mut depth, mut start) = (Vec::new(), 0, 1);
    for (at, token) in tokens.iter().enumerate() {
        match token.as_str() {
            "{" | "[" => depth += 1,
            "}" | "]" => depth -= 1,
            _ => {}
        }
        if (depth == 1 && token == ",") || (depth == 0 && token == "}") {
            found.push(start..at);
            start = at + 1;
        }
    }
    found
}

/// Another spelling of a number, of the same value or of one near it.
fn respelled(number: &str, how: usize) -> String {
    let digits = number.trim_start_matches('-');
    match how % 12 {
        0 => format!("{number}.0"),
        1 => format!("{number}0"),
        2 => format!("{number}e0"),
        3 => format!("{number}E+00"),
        4 => format!("{number}0e-1"),
        5 => format!("-{digits}"),
        6 => format!("0{number}"),
        7 => format!("\"{number}\""),
        8 => format!("{number}.00000000000000000001"),
        9 => format!("{number}00000000000000000001"),
        10 => format!("{}e1", digits.strip_suffix('0').unwrap_or(digits)),
        _ => digits.chars().map(|digit| if digit == '9' { '8' } else { digit }).collect(),
    }
}

/// Another spelling of a string, quotes included: other case, an escape, or without its quotes.
fn reworded(string: &str, how: usize) -> String {
    let inner = &string[1..string.len() - 1];
    let first = inner.chars().next();
    match (how % 5, first) {
        (0, _) => string.to_uppercase(),
        (1, Some(first)) if first != '\\' && u32::from(first) < 0x1_0000 => {
            format!("\"\\u{:04X}{}\"", u32::from(first), &inner[first.len_utf8()..])
        }
        (2, _) => inner.to_owned(),
        (3, _) => format!("\" {inner}\""),
        (_, _) => format!("\"{inner}\\u0000\""),
    }
}

/// Does one thing to a body that changes what it says, how it says it, or both.
fn tamper(tokens: &mut Vec<String>, (deed, at, other, how): Deed) {
    let scalars: Vec<usize> = (0..tokens.len()).filter(|&at| is_scalar(&tokens[at])).collect();
    let members = members(tokens);
    if scalars.is_empty() || members.is_empty() {
        return;
    }
    let (scalar, scalar_too) = (scalars[at.index(scalars.len())], scalars[other.index(scalars.len())]);
    let (member, member_too) = (members[at.index(members.len())].clone(), members[other.index(members.len())].clone());
    match deed % 12 {
        0 => {
            let token = &tokens[scalar];
            let number = token.starts_with(|c: char| c == '-' || c.is_ascii_digit());
            tokens[scalar] = if number { respelled(token, how) } else { format!("[{token}]") };
        }
        1 if tokens[scalar].starts_with('"') => tokens[scalar] = reworded(&tokens[scalar], how),
        // Two values, two keys, or a key and a value change places.
        2 => tokens.swap(scalar, scalar_too),
        // A member comes twice, with its own value or with another one's.
        3 => {
            let mut copy = tokens[member.clone()].to_vec();
            if how.is_multiple_of(2) {
                copy.truncate(2);
                copy.push(tokens[scalar_too].clone());
            }
            copy.push(",".to_owned());
            drop(tokens.splice(member_too.start..member_too.start, copy));
        }
        // A member is gone.
        4 => {
            let end = if tokens[member.end] == "," { member.end + 1 } else { member.end };
            drop(tokens.drain(member.start..end));
        }
        // A member moves; alone it changes nothing in a sorted form.
        5 => {
            let mut moved: Vec<String> = tokens[member.clone()].to_vec();
            moved.push(",".to_owned());
            drop(tokens.splice(1..1, moved));
            let (start, end) = (member.start + member.len() + 1, member.end + member.len() + 1);
            let is = |token: Option<&String>, what: &str| token.is_some_and(|token| token == what);
            let end = if is(tokens.get(end), ",") { end + 1 } else { end };
            drop(tokens.drain(start..end));
            // What was the last member leaves a comma behind; what was done before may have left no brace.
            if is(tokens.get(start - 1), ",") && is(tokens.get(start), "}") {
                tokens.remove(start - 1);
            }
        }
        // Arrays and objects take each other's shape.
        6 => {
            for token in tokens.iter_mut() {
                match token.as_str() {
                    "[" => "{\"0\":".clone_into(token),
                    "]" => "}".clone_into(token),
                    _ => {}
                }
            }
        }
        7 => tokens[scalar] = format!("{{\"0\":{}}}", tokens[scalar]),
        8 => tokens[scalar] = ["null", "true", "\"\"", "[]", "{}", "0", "1e400", "-0"][how % 8].to_owned(),
        9 => tokens.insert(at.index(tokens.len() + 1), [" ", "\n\t", "\r\n", "\u{feff}", "/**/"][how % 5].to_owned()),
        10 => drop(tokens.remove(at.index(tokens.len()))),
        _ => {
            let copy = tokens[other.index(tokens.len())].clone();
            tokens.insert(at.index(tokens.len() + 1), copy);
        }
    }
}

/// What a text says that was signed as it stands.
fn said(secrets: &[Secret], signature: &str, text: &str) -> Result<Callback, FactsError> {
    let signed = verify(text.as_bytes(), Some(signature), secrets).unwrap();
    assert_eq!(signed.form(), Form::Raw);
    Callback::read(&signed)
}

/// A body under a signature over another text is refused, or says what that text says; where only
/// a double was signed it may also say nothing.
fn check(body: &[u8], signed: &str, signature: &str, secrets: &[Secret]) -> Result<bool, TestCaseError> {
    let Ok(accepted) = verify(body, Some(signature), secrets) else { return Ok(false) };
    prop_assert_eq!(accepted.text(), signed);
    let (read, said) = (Callback::read(&accepted), said(secrets, signature, signed));
    let imprecise = matches!(read, Err(FactsError::Imprecise { .. }));
    prop_assert!(read == said || imprecise, "{:?}, but {:?} was signed", read, said);
    Ok(true)
}

fn all_vectors() -> Vec<Vector> {
    fixture().vectors
}

/// What to do, where, with what other place, and how.
type Deed = (usize, Index, Index, usize);

/// Things to do to a body, and a bit to flip after them if any.
fn deeds() -> impl Strategy<Value = (Vec<Deed>, Option<(Index, u8)>)> {
    let deed = (any::<usize>(), any::<Index>(), any::<Index>(), any::<usize>());
    (vec(deed, 0..4), proptest::option::weighted(0.2, (any::<Index>(), 0..8_u8)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Every recorded body, under every signature that is accepted for it.
    #[test]
    fn a_tampered_body_says_what_was_signed_or_nothing(
        vector in select(all_vectors()), variant in select(ACCEPTED.to_vec()), (deeds, flip) in deeds(),
    ) {
        let signed = vector.text(variant.0);
        let (secrets, signature) = ([Secret::new(&vector.secret).unwrap()], &vector.signatures[variant.0]);
        prop_assert!(check(vector.raw_body.as_bytes(), signed, signature, &secrets)?, "the body itself is good");

        let mut tokens = tokens(&vector.raw_body);
        prop_assert_eq!(tokens.concat(), vector.raw_body.as_str());
        for deed in deeds {
            tamper(&mut tokens, deed);
        }
        let mut body = tokens.concat().into_bytes();
        if let Some((at, bit)) = flip && !body.is_empty() {
            let at = at.index(body.len());
            body[at] ^= 1 << bit;
        }
        check(&body, signed, signature, &secrets)?;
    }

    /// No signature that is refused for the body itself is accepted for what is made of it, unless
    /// it is the very text that was signed.
    #[test]
    fn a_tampered_body_finds_no_other_signature(
        vector in select(all_vectors()), at in any::<Index>(), (deeds, _) in deeds(),
    ) {
        let variants: Vec<&String> = vector.signatures.keys().collect();
        let variant = variants[at.index(variants.len())].as_str();
        let (secrets, signature) = ([Secret::new(&vector.secret).unwrap()], &vector.signatures[variant]);
        let mut tokens = tokens(&vector.raw_body);
        for deed in deeds {
            tamper(&mut tokens, deed);
        }
        if let Ok(accepted) = verify(tokens.concat().as_bytes(), Some(signature), &secrets) {
            prop_assert_eq!(accepted.text(), vector.text(variant));
        }
    }
}

/// Numbers that one double stands for are one text to a signer in JavaScript: what is believed is
/// that text, and nothing where it lost digits.
#[test]
fn numbers_of_one_double_are_told_apart_or_not_read() {
    let body = |outcome: &str| {
        format!(r#"{{"outcome_amount":{outcome},"outcome_currency":"btc","payment_id":7,"payment_status":"finished"}}"#)
    };
    let amount = |body: &str, signed: &str| match verify(body.as_bytes(), Some(&sign(signed)), &secrets()) {
        Err(refusal) => refusal.code().to_owned(),
        Ok(signed) => match Callback::read(&signed) {
            Ok(Callback::Payment(facts)) => {
                facts.outcome_amount.map_or_else(|| "nothing".to_owned(), |said| said.to_string())
            }
            other => other.unwrap_err().code().to_owned(),
        },
    };
    for (sent, signed, read) in [
        ("0.1", "0.1", "0.1"),
        ("0.10000000000000001", "0.1", "0.1"),
        ("0.10000000000000000001", "0.1", "0.1"),
        ("1e-1", "0.1", "0.1"),
        ("100e-3", "0.1", "0.1"),
        ("0.1000000000000001", "0.1", "mismatch"),
        ("0.1", "0.10", "mismatch"),
        ("1.0", "1", "1"),
        ("1", "1.0", "mismatch"),
        ("1e1", "10", "10"),
        ("9007199254740993", "9007199254740992", "imprecise"),
        ("9007199254740992.0", "9007199254740992", "imprecise"),
        ("-0.0", "0", "0"),
        ("1e400", "null", "nothing"),
    ] {
        assert_eq!(amount(&body(sent), &body(signed)), read, "{sent} for {signed}");
    }
}

/// Whoever can add a member to a body that was signed in sorted form gains nothing by a key that
/// the facts would be read from instead.
#[test]
fn nothing_can_be_smuggled_in_beside_what_was_signed() {
    let signed = r#"{"outcome_amount":0.5,"outcome_currency":"btc","payment_id":7,"payment_status":"finished"}"#;
    let secrets = [Secret::new(SECRET).unwrap()];
    let honest: Value = serde_json::from_str(signed).unwrap();
    for (name, value) in honest.as_object().unwrap() {
        let escaped = format!("\\u{:04x}{}", u32::from(name.as_bytes()[0]), &name[1..]);
        for (spelled, code) in
            [(name, "duplicate_key"), (&escaped, "duplicate_key"), (&name.to_uppercase(), "mismatch")]
        {
            for other in [value.clone(), json!("9"), json!(9), json!(null)] {
                for body in [
                    signed.replacen('{', &format!(r#"{{"{spelled}":{other},"#), 1),
                    signed.replacen('}', &format!(r#","{spelled}":{other}}}"#), 1),
                ] {
                    let refused = verify(body.as_bytes(), Some(&sign(signed)), &secrets).unwrap_err();
                    assert_eq!(refused.code(), code, "{body}");
                }
            }
        }
    }
}
