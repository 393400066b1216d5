//! Why a body is not of the shape that it should have, said so that its sender can mend it.

use std::fmt;

use serde::Deserializer;
use serde::de::{Deserialize, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::http::problem::Problem;

/// Reads a JSON object, or says what is wrong with it: 400 where the text is not JSON, 422 with
/// the field where it is JSON of another shape.
pub(crate) fn read<'a, T>(
    text: &'a str,
    from: impl FnOnce(&'a str) -> Result<T, serde_json::Error>,
) -> Result<T, Problem> {
    // A derived reader would take an array in place of an object.
    if !text.trim_start().starts_with('{') {
        return Err(match serde_json::from_str::<IgnoredAny>(text) {
            Ok(_) => Problem::invalid("payload_invalid", "A JSON object must stand here"),
            Err(error) => malformed(&error),
        });
    }
    from(text).map_err(|error| refusal(text, &error))
}

/// Whether every text of a value can be stored as jsonb, which takes no NUL. Half a surrogate
/// pair never gets this far.
pub(crate) fn is_storable(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => true,
        Value::String(text) => !text.contains('\0'),
        Value::Array(items) => items.iter().all(is_storable),
        Value::Object(members) => members.iter().all(|(key, value)| !key.contains('\0') && is_storable(value)),
    }
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::bad_request("json_malformed", format!("The body is not JSON: {error}"))
}

fn refusal(text: &str, error: &serde_json::Error) -> Problem {
    // The first reader checks the grammar and nothing else, the second one takes whatever can be
    // kept: between them they tell text that is not JSON from JSON that cannot be stored, and
    // that from JSON of another shape.
    if let Err(error) = serde_json::from_str::<IgnoredAny>(text) {
        return malformed(&error);
    }
    match serde_json::from_str::<Value>(text) {
        Ok(_) => misshapen(text, error),
        Err(_) => Problem::not_storable(),
    }
}

fn misshapen(text: &str, error: &serde_json::Error) -> Problem {
    let told = error.to_string();
    let told = match error.classify() {
        Category::Data => told.split(" at line ").next().unwrap_or_default(),
        Category::Syntax | Category::Eof | Category::Io => "not a value that may stand here",
    };
    let invalid = |detail: String| Problem::invalid("payload_invalid", detail);
    for (prefix, sentence) in [
        ("missing field `", "is missing"),
        ("unknown field `", "is not a field of this request"),
        ("duplicate field `", "is given twice"),
    ] {
        if let Some(name) = told.strip_prefix(prefix).and_then(|rest| rest.split('`').next()) {
            return invalid(format!("{name} {sentence}")).field(name);
        }
    }
    match culprit(text, error) {
        Some((name, value)) if is_number(value) && told.contains("string") => invalid(format!(
            "{name} must be a string, not a number: ids and amounts are always strings, so that no digit is lost"
        ))
        .field(name),
        Some((name, _)) => invalid(format!("{name}: {told}")).field(name),
        None => invalid(told.to_owned()),
    }
}

fn is_number(value: &RawValue) -> bool {
    value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// The member of the object at which the reader stopped: the last one whose value begins before
/// or at that place.
fn culprit<'a>(text: &'a str, error: &serde_json::Error) -> Option<(String, &'a RawValue)> {
    let members: Members<'a> = serde_json::from_str(text).ok()?;
    let line = error.line().checked_sub(1)?;
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let stopped = before.checked_add(error.column())?;
    let start = text.as_ptr().addr();
    members.0.into_iter().rfind(|(_, value)| value.get().as_ptr().addr().saturating_sub(start) <= stopped)
}

/// The members of an object as they were written.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use axum::http::HeaderMap;
    use jobs::LockEscrow;
    use serde_json::json;

    use super::{is_storable, read};
    use crate::http::request_id::RequestId;

    const GOOD: &str = r#"{"seller_id":"1","buyer_id":"2","asset":"btc","amount":"0.5","maker":"seller"}"#;

    /// Status, code and field of the refusal.
    fn refused(text: &str) -> (u64, String, Option<String>, String) {
        let problem = read(text, serde_json::from_str::<LockEscrow>).unwrap_err();
        let document = serde_json::to_value(problem.document(&RequestId::of(&HeaderMap::new()))).unwrap();
        (
            document["status"].as_u64().unwrap(),
            document["code"].as_str().unwrap().to_owned(),
            document["field"].as_str().map(str::to_owned),
            document["detail"].as_str().unwrap().to_owned(),
        )
    }

    #[test]
    fn a_good_body_is_read() {
        assert_eq!(read(GOOD, serde_json::from_str::<LockEscrow>).unwrap().amount, "0.5");
    }

    #[test]
    fn every_fault_names_its_field() {
        for (from, to, field) in [
            (r#""0.5""#, "0.5", "amount"),
            (r#""0.5""#, "null", "amount"),
            (r#""0.5""#, "\n [1,\n2]", "amount"),
            (r#""0.5""#, r#"{"a":1}"#, "amount"),
            (r#""1""#, "1", "seller_id"),
            (r#""1""#, r#""01""#, "seller_id"),
            (r#""1""#, r#""x""#, "seller_id"),
            (r#""1""#, "\n\n\n\"99999999999999999999\"", "seller_id"),
            (r#""seller"}"#, r#""somebody"}"#, "maker"),
            (r#""seller"}"#, "true}", "maker"),
            (r#","maker":"seller""#, "", "maker"),
            (r#"{"seller"#, r#"{"extra":1,"seller"#, "extra"),
            (r#"{"seller"#, r#"{"asset":"eth","seller"#, "asset"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            let (status, code, named, _) = refused(&text);
            assert_eq!((status, code.as_str(), named.as_deref()), (422, "payload_invalid", Some(field)), "{text}");
        }
    }

    #[test]
    fn a_number_for_an_amount_is_explained() {
        let (.., detail) = refused(&GOOD.replacen(r#""0.5""#, "0.5", 1));
        assert!(detail.contains("amount must be a string, not a number"), "{detail}");
    }

    #[test]
    fn what_is_not_json_is_400_wherever_the_fault_is() {
        for text in ["", "{", "nonsense", r#"{"seller_id":1,"#, r#"{"a":1} x"#, "{'a':1}", "{\"seller_id\":\"\0\"}"] {
            assert_eq!(refused(text).0, 400, "{text}");
        }
    }

    #[test]
    fn what_is_no_object_is_422() {
        for text in ["[]", "7", "null", r#"["1","2","btc","0.5","seller"]"#] {
            assert_eq!(refused(text).0, 422, "{text}");
        }
    }

    #[test]
    fn half_a_surrogate_pair_is_422() {
        for half in [r"\ud800", r"\udc00x", r"\ud800\ud800", r"\ud83dx"] {
            let (status, code, ..) = refused(&GOOD.replacen("btc", half, 1));
            assert_eq!((status, code.as_str()), (422, "text_not_storable"), "{half}");
        }
    }

    #[test]
    fn nul_is_found_wherever_it_is() {
        assert!(is_storable(&json!({"a": ["b", {"c": 1}]})));
        assert!(!is_storable(&json!({"a": ["b", {"c": "\u{0}"}]})));
        assert!(!is_storable(&json!({"a": {"\u{0}": 1}})));
    }
}
