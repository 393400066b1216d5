use std::sync::LazyLock;

use jsonschema::Validator;
use reqwest::Method;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use super::Answer;

/// The description of the API, as it is served.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(::api::openapi().unwrap()).unwrap());

/// Headers that an answer may have only where the description says so.
const TOLD: [&str; 9] = [
    "allow",
    "idempotency-replayed",
    "location",
    "preference-applied",
    "ratelimit",
    "ratelimit-policy",
    "retry-after",
    "www-authenticate",
    "x-request-id",
];

/// The description of the API.
pub(crate) fn document() -> &'static Value {
    &DOCUMENT
}

/// Every operation that is described: method, path and what is said of it.
pub(crate) fn operations() -> Vec<(String, String, &'static Value)> {
    let paths = DOCUMENT["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let operations = item.as_object().unwrap().iter();
        operations.map(move |(method, operation)| (method.to_uppercase(), path.clone(), operation))
    });
    operations.collect()
}

/// What is said of the operation that a request is for, if it is for any.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next().unwrap();
    let fits = |template: &str| {
        let (mut said, mut is) = (template.split('/'), path.split('/'));
        loop {
            match (said.next(), is.next()) {
                (None, None) => return true,
                (Some(said), Some(is)) if said == is || (said == "{id}" && !is.is_empty()) => {}
                (_, _) => return false,
            }
        }
    };
    let found = operations().into_iter().find(|(said, template, _)| said == method.as_str() && fits(template));
    found.map(|(_, _, operation)| operation)
}

/// What is said, wherever it stands.
fn referred(said: &'static Value) -> &'static Value {
    let path = said["$ref"].as_str().and_then(|path| path.strip_prefix('#'));
    path.map_or(said, |path| DOCUMENT.pointer(path).unwrap())
}

/// A validator for a schema of the description.
fn validator(schema: &Value) -> Validator {
    let whole = json!({ "allOf": [schema], "components": DOCUMENT["components"] });
    jsonschema::draft202012::options().should_validate_formats(true).build(&whole).unwrap()
}

/// Whether a value fits a schema of the description; if not, why.
fn misfit(schema: &Value, value: &Value) -> Option<String> {
    validator(schema).iter_errors(value).next().map(|error| format!("{} at {}", error, error.instance_path()))
}

/// An answer keeps what the description promises, and a request is refused exactly where it does
/// not fit the description. Whatever the tests ask is checked against it in this way.
pub(crate) fn check(method: &Method, path: &str, body: Option<&[u8]>, answer: &Answer) {
    let Some(operation) = operation(method, path) else {
        assert!(
            matches!(answer.refusal().as_str(), "404 route_unknown" | "405 method_not_allowed"),
            "{path} {answer:?}"
        );
        return;
    };
    let status = answer.status.to_string();
    let said = referred(&operation["responses"][&status]);
    assert!(said.is_object(), "{method} {path} is not said to answer {status}: {answer:?}");
    if answer.status >= 400 {
        let codes = operation["x-codes"][&status].as_array().unwrap();
        assert!(
            codes.contains(&answer.body["code"]),
            "{method} {path} {status} is not said to have this code: {answer:?}"
        );
    }
    for header in TOLD.into_iter().filter(|header| answer.header(header).is_some()) {
        let described =
            said["headers"].as_object().is_some_and(|all| all.keys().any(|name| name.eq_ignore_ascii_case(header)));
        assert!(described, "{method} {path} {status} is not said to carry {header}");
    }
    let content_type = answer.header("content-type").unwrap().split(';').next().unwrap();
    let content = &said["content"][content_type];
    assert!(content.is_object(), "{method} {path} {status} is not said to be {content_type}");
    let wrong = misfit(&content["schema"], &answer.body);
    assert_eq!(wrong, None, "{method} {path} {status} is not as described: {}", answer.body);

    let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
    let sent = body.and_then(|body| serde_json::from_slice::<Value>(body).ok());
    if let (true, Some(sent)) = (schema.is_object(), sent)
        && answer.status < 400
    {
        assert_eq!(misfit(schema, &sent), None, "{method} {path} took what does not fit: {sent}");
    }
}

/// What a request for a trade that is not there is answered, with this code.
fn refused_with(code: &str) -> Answer {
    let mut headers = HeaderMap::new();
    headers.insert("content-type", "application/problem+json".parse().unwrap());
    let body = json!({
        "type": format!("urn:holdfast:problem:{code}"), "title": "Not found", "status": 404, "detail": "No such trade",
        "code": code, "request_id": "r-1", "retryable": false,
    });
    Answer { status: 404, headers, body }
}

#[test]
fn a_code_that_is_declared_is_let_through() {
    check(&Method::GET, "/v1/trades/7", None, &refused_with("trade_unknown"));
}

#[test]
#[should_panic(expected = "is not said to have this code")]
fn a_code_of_another_endpoint_is_noticed() {
    check(&Method::GET, "/v1/trades/7", None, &refused_with("job_unknown"));
}
