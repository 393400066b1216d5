//! What stands at the beginning: for whoever knows no more of this server than its address.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::auth::Visitor;
use crate::http::problem::Problem;
use crate::openapi::answers::Limited;

/// The page that a browser is sent to.
const PAGE: &str = "/docs";

const SERVER: ServerDocument = ServerDocument {
    name: "holdfast",
    version: env!("CARGO_PKG_VERSION"),
    documentation: PAGE,
    openapi: "/openapi.json",
};

/// What a server is, and where more is said of it.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct ServerDocument {
    /// The name of the program.
    #[schema(example = "holdfast")]
    name: &'static str,
    /// The version of the program.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// The path of the documentation, a page to read.
    #[schema(example = "/docs")]
    documentation: &'static str,
    /// The path of the description for programs.
    #[schema(example = "/openapi.json")]
    openapi: &'static str,
}

/// Get server information
///
/// What it is, and where its documentation is. A browser is sent on to the documentation:
/// whoever accepts `text/html` and does not name `application/json`.
#[utoipa::path(
    get, path = "/", tag = "server",
    responses(
        (status = 200, description = "What it is", body = ServerDocument),
        (
            status = 303, description = "The same, and where a browser finds the page", body = ServerDocument,
            headers(("Location" = String, description = "The page, /docs")),
        ),
        Limited,
    ),
)]
pub(crate) async fn get_root(_: Visitor, headers: HeaderMap) -> Result<Response, Problem> {
    let vary = (header::VARY, HeaderValue::from_name(header::ACCEPT));
    if accepts_a_page(&headers) {
        let location = (header::LOCATION, HeaderValue::from_static(PAGE));
        return Ok((StatusCode::SEE_OTHER, [vary, location], Json(SERVER)).into_response());
    }
    Ok(([vary], Json(SERVER)).into_response())
}

/// Whether a page is wanted rather than data.
fn accepts_a_page(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let kinds = lines.flat_map(|line| line.split(',')).filter_map(|range| range.split(';').next()).map(str::trim);
    let kinds: Vec<&str> = kinds.collect();
    let names = |wanted: &str| kinds.iter().any(|kind| kind.eq_ignore_ascii_case(wanted));
    names("text/html") && !names("application/json")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use axum::http::{HeaderMap, HeaderValue, header};

    use super::accepts_a_page;

    #[test]
    fn a_page_is_for_browsers() {
        let accepts = |lines: &[&str]| {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(header::ACCEPT, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            accepts_a_page(&headers)
        };
        for page in [
            ["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"].as_slice(),
            &["Text/HTML ; level=1"],
            &["*/*;q=0.1", "text/html"],
        ] {
            assert!(accepts(page), "{page:?}");
        }
        for data in [
            [].as_slice(),
            &["*/*"],
            &["application/json"],
            &["application/json, text/html;q=0.5"],
            &["text/*"],
            &["ä"],
        ] {
            assert!(!accepts(data), "{data:?}");
        }
    }
}
