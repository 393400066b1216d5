//! The description of the API, made from the handlers and served.

use jobs::{JobRef, WithdrawalId};
use utoipa::openapi::path::{Operation, PathItem};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::TagBuilder;
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, RefOr, Server};
use utoipa::{IntoResponses, PartialSchema, ToSchema};

use crate::documents::texts::KeyText;
use crate::http::problem::ProblemDocument;
use crate::openapi::answers::{Limited, add_headers, refusal};
use crate::openapi::params::request_id;
use crate::openapi::problems::Problems;

/// The name of the scheme of everything under `/v1`: a bearer key.
const KEY: &str = "key";
/// An SPDX expression.
const LICENSE: &str = env!("CARGO_PKG_LICENSE");
/// What a key may be allowed to do.
const SCOPES: [&str; 4] = ["submit", "read", "operate", "admin"];

const INTRODUCTION: &str = "\
Holdfast moves money for a peer-to-peer exchange. A POST only records a job; a worker carries it out, once, in one \
transaction with everything that it changes.

**Keys.** Everything under `/v1` needs `Authorization: Bearer hf_live_…`. A key belongs to a principal and has scopes: \
`submit` asks for jobs, `read` reads, `operate` implies `read`, `admin` implies all.

**Idempotency.** Every POST under `/v1` needs an `Idempotency-Key`, and so has every job of a batch. A retry with the \
same key and the same body is answered with the same job, for ever.

**Answers.** 202 says that a job is recorded for good. `Prefer: wait=5` waits for what comes of it: 200 settled, 409 or \
422 refused by a rule, 202 not yet.

**Amounts and ids** are strings. Amounts are decimal text, never finer than the asset's scale.

**Problems** are RFC 9457 documents. `code` is stable, and `x-codes` names those that an operation answers with, by \
status; `retryable` says whether the same request may succeed when it is sent again under the same key, and \
`request_id` names it in the logs. A path that does not exist is `route_unknown` (404), a method that it does not take \
`method_not_allowed` (405).

**Limits** are per principal and per process: 429 with `Retry-After`, and `RateLimit` and `RateLimit-Policy` as the \
IETF draft has them. A batch counts as many requests as it has jobs.";

/// What is said before any endpoint.
pub(crate) fn preamble() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Holdfast")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(INTRODUCTION))
        .license(Some(LicenseBuilder::new().name(LICENSE).identifier(Some(LICENSE)).build()))
        .build();
    let key = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some(
            "A key that `holdfast key create` printed. The scopes of an endpoint are those that it needs",
        ))
        .build();
    let components = ComponentsBuilder::new()
        .security_scheme(KEY, SecurityScheme::Http(key))
        .schema(KeyText::name(), KeyText::schema())
        .schema_from::<ProblemDocument>()
        // A schema that only a path names is not found by itself.
        .schema_from::<WithdrawalId>()
        .schema_from::<JobRef>()
        .build();
    let tag = |name: &str, said: &str| TagBuilder::new().name(name).description(Some(said)).build();
    let mut document = OpenApiBuilder::new().info(info).components(Some(components)).build();
    document.servers = Some(vec![Server::new("/")]);
    document.tags = Some(vec![
        tag("users", "People of the exchange, by id only, and what they have"),
        tag("trades", "Trades: the seller's money is held until the seller releases it or the buyer gives up"),
        tag("withdrawals", "Withdrawals: the money is held until it has left, or is refused or called off"),
        tag("fees", "What the exchange itself has earned"),
        tag("jobs", "What was asked, and what came of it"),
        tag("operations", "Pauses, parked jobs and the integrity checks, for operators"),
        tag("callbacks", "What payment providers tell"),
        tag("server", "What a server says of itself; needs no key"),
    ]);
    document
}

/// Adds what every endpoint answers and takes.
pub(crate) fn complete(mut document: OpenApi) -> OpenApi {
    let mut problems = Problems::default();
    for item in document.paths.paths.values_mut() {
        for operation in operations_mut(item) {
            complete_operation(operation);
            problems.refer(operation);
        }
    }
    document.components.get_or_insert_default().responses.extend(problems.responses());
    document
}

fn operations_mut(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().flatten()
}

fn complete_operation(operation: &mut Operation) {
    operation.parameters.get_or_insert_default().push(request_id().into());
    let mut every = vec![
        refusal(414, "The address is too long", &["uri_too_long"]),
        refusal(431, "The headers are too large, or too many", &["headers_too_large"]),
        refusal(500, "A fault of the server", &["internal"]),
        refusal(
            503,
            "Not available just now; send it again with the same key",
            &["database_unavailable", "overloaded", "stopping", "timeout"],
        ),
    ];
    if needs_key(operation) {
        every.extend([
            refusal(401, "No valid key", &["key_expired", "key_revoked", "unauthenticated"]),
            refusal(403, "The key lacks the scope", &["scope_missing"]),
        ]);
        every.extend(Limited::responses());
    } else {
        operation.security = Some(Vec::new());
    }
    let answers = &mut operation.responses.responses;
    for (status, answer) in every {
        answers.entry(status).or_insert(answer);
    }
    for (status, answer) in answers {
        if let RefOr::T(answer) = answer {
            add_headers(status, answer);
        }
    }
}

/// Whether an endpoint is for those who have a key.
fn needs_key(operation: &Operation) -> bool {
    let keys = SCOPES.map(|scope| SecurityRequirement::new(KEY, [scope]));
    operation.security.iter().flatten().any(|required| keys.contains(required))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use std::collections::BTreeSet;

    use serde_json::{Value, json};

    use crate::routes::openapi;

    fn each<'a>(value: &'a Value, see: &mut impl FnMut(&'a str, &'a Value)) {
        match value {
            Value::Object(members) => members.iter().for_each(|(name, value)| {
                see(name, value);
                each(value, see);
            }),
            Value::Array(items) => items.iter().for_each(|item| each(item, see)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }

    /// What is named is there, and what is there is named.
    #[test]
    fn every_reference_leads_somewhere() {
        let document: Value = serde_json::from_str(openapi().unwrap()).unwrap();
        assert_eq!(document["openapi"], "3.1.0");
        let mut named = BTreeSet::new();
        each(&document, &mut |name, value| {
            if name == "$ref" {
                let path = value.as_str().unwrap();
                assert!(document.pointer(path.strip_prefix('#').unwrap()).is_some(), "{path} is missing");
                named.insert(path.to_owned());
            }
        });
        let there = ["schemas", "responses"].into_iter().flat_map(|part| {
            let parts = document["components"][part].as_object().unwrap().keys();
            parts.map(move |name| format!("#/components/{part}/{name}"))
        });
        assert_eq!(named, there.collect());
    }

    /// What is said once of a status has every code that an operation has beside it.
    #[test]
    fn every_code_is_one_of_its_status() {
        let document: Value = serde_json::from_str(openapi().unwrap()).unwrap();
        let mut seen = 0;
        for item in document["paths"].as_object().unwrap().values() {
            for operation in item.as_object().unwrap().values() {
                for (status, codes) in operation["x-codes"].as_object().unwrap() {
                    let path = operation["responses"][status]["$ref"].as_str().unwrap();
                    let all = document.pointer(path.strip_prefix('#').unwrap()).unwrap()["x-codes"].as_array().unwrap();
                    for code in codes.as_array().unwrap() {
                        assert!(all.contains(code), "{path}: {code}");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 1_000, "{seen}");
    }

    /// An endpoint says what it is for, who may call it, and what it answers.
    #[test]
    fn every_endpoint_says_all() {
        let document: Value = serde_json::from_str(openapi().unwrap()).unwrap();
        let mut ids = BTreeSet::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let has = |member: &str| operation[member].as_str().is_some_and(|text| !text.is_empty());
                assert!(has("summary") && !operation["tags"].as_array().unwrap().is_empty(), "{method} {path}");
                assert!(ids.insert(operation["operationId"].as_str().unwrap()), "{method} {path} has a name twice");
                let key =
                    operation["security"].as_array().is_some_and(|all| all.iter().any(|one| one["key"].is_array()));
                assert!(key || !path.starts_with("/v1/"), "{method} {path}: everything under /v1 needs a key");
                assert_eq!(operation["security"] == json!([]), !key, "{method} {path} does not say who may call it");
                assert_eq!(operation["responses"]["401"].is_object(), key || method == "post");
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    assert!(!answer["description"].as_str().unwrap().is_empty(), "{method} {path} {status}");
                    let codes = operation["x-codes"][status].as_array().map_or(0, Vec::len);
                    let refers =
                        answer["$ref"].as_str().is_some_and(|path| path.starts_with("#/components/responses/"));
                    assert_eq!(
                        (refers, codes > 0),
                        (status.as_str() >= "400", status.as_str() >= "400"),
                        "{path} {status}"
                    );
                    assert!(refers || answer["content"].is_object(), "{method} {path} {status} has no content");
                }
                assert_eq!(operation["requestBody"].is_object(), method == "post", "{method} {path}");
            }
        }
    }
}
