//! The description of the API, for programs and for people.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};

use crate::http::auth::Visitor;
use crate::http::problem::Problem;
use crate::openapi::answers::Limited;
use crate::state::Api;

/// Get the API description
///
/// This API as an `OpenAPI` 3.1 document. Clients can be generated from it.
#[utoipa::path(
    get, path = "/openapi.json", tag = "server",
    responses((status = 200, description = "The document that you are reading", body = Object), Limited),
)]
pub(crate) async fn get_openapi(_: Visitor, State(api): State<Api>) -> Result<Response, Problem> {
    let description = api.description.as_ref().map_err(Problem::internal)?;
    Ok(([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], description.text.as_str())
        .into_response())
}

/// Get the documentation
///
/// The description of this API as a page to read.
#[utoipa::path(
    get, path = "/docs", tag = "server",
    responses((status = 200, description = "The page", body = String, content_type = "text/html"), Limited),
)]
pub(crate) async fn get_docs(_: Visitor, State(api): State<Api>) -> Result<Response, Problem> {
    let description = api.description.as_ref().map_err(Problem::internal)?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
        (header::CONTENT_SECURITY_POLICY, description.policy.clone()),
    ];
    Ok((headers, description.page.as_str()).into_response())
}
