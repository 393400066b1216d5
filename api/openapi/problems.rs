//! Problems as the description states them: a response for each status, which endpoints refer to, and beside the
//! endpoint the codes that it answers with. Said in full at each endpoint they are most of a document, and a client
//! that is generated from it has a class for each of them.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::StatusCode;
use serde_json::{Value, json};
use utoipa::ToSchema;
use utoipa::openapi::extensions::Extensions;
use utoipa::openapi::path::Operation;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::{Content, Ref, RefOr};

use crate::http::problem::ProblemDocument;
use crate::openapi::answers::{CODES, add_headers};

/// The problems of an API, by status, each with its codes.
#[derive(Debug, Default)]
pub(crate) struct Problems(BTreeMap<String, BTreeSet<String>>);

impl Problems {
    /// Takes the problems out of what an operation answers and puts references in their place.
    pub(crate) fn refer(&mut self, operation: &mut Operation) {
        let mut codes = serde_json::Map::new();
        for (status, answer) in &mut operation.responses.responses {
            let RefOr::T(said) = answer else { continue };
            let Some(own) = said.extensions.as_mut().and_then(|extensions| extensions.remove(CODES)) else {
                continue;
            };
            let names = own.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            self.0.entry(status.clone()).or_default().extend(names);
            codes.insert(status.clone(), own);
            let mut reference = Ref::from_response_name(name(status));
            reference.description.clone_from(&said.description);
            *answer = reference.into();
        }
        operation.extensions.get_or_insert_default().insert(CODES.to_owned(), Value::Object(codes));
    }

    /// What was referred to.
    pub(crate) fn responses(self) -> impl Iterator<Item = (String, RefOr<Response>)> {
        self.0.into_iter().map(|(status, codes)| (name(&status), response(&status, &codes).into()))
    }
}

/// A name out of the reason phrase: `NotFound`.
fn name(status: &str) -> String {
    reason(status).chars().filter(char::is_ascii_alphanumeric).collect()
}

fn reason(status: &str) -> &'static str {
    let status = status.parse().ok().and_then(|status| StatusCode::from_u16(status).ok());
    status.and_then(|status| status.canonical_reason()).unwrap_or("Problem")
}

fn response(status: &str, codes: &BTreeSet<String>) -> Response {
    let problem = Content::new(Some(Ref::from_schema_name(ProblemDocument::name())));
    let mut response = ResponseBuilder::new()
        .description(reason(status))
        .content("application/problem+json", problem)
        .extensions(Some(Extensions::from_iter([(CODES, json!(codes))])))
        .build();
    add_headers(status, &mut response);
    response
}
