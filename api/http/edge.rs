use std::any::Any;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument;
use tracing::field::Empty;

use crate::http::problem::Problem;
use crate::http::request_id::{RequestId, X_REQUEST_ID};
use crate::http::traces::RequestSpan;
use crate::telemetry::metrics::Metrics;

/// The longest that a request may take: a slow body, the longest wait and room for the database.
const REQUEST_WITHIN: Duration = Duration::from_secs(45);

/// The longest address of a request, in bytes.
const URI_BYTES_MAX: usize = 8 * 1024;
/// The most header lines of a request.
const HEADERS_MAX: usize = 64;
/// The longest that the header lines of a request may be together, in bytes.
const HEADERS_BYTES_MAX: usize = 16 * 1024;

/// What answers have, whoever asked for what. They are data: nothing in them is to be run, framed
/// or guessed at, and nothing of them kept. `Strict-Transport-Security` is for the proxy that ends
/// TLS: Holdfast does not know by which names it is reached.
const EVERY_ANSWER: [(HeaderName, &str); 4] = [
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
];
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// Puts the edge around routes: every request gets an id, is logged once, counted and traced, and
/// whatever goes wrong, a panic too, leaves as a problem document.
pub(crate) fn guarded(routes: Router, metrics: Metrics) -> Router {
    routes.layer(CatchPanicLayer::custom(panicked)).layer(from_fn_with_state(metrics, edge))
}

async fn edge(State(metrics): State<Metrics>, mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    // The pattern and not the path, which is the client's to choose.
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or("-", MatchedPath::as_str);
    let trace = RequestSpan::begin(&method, route, &id, request.headers_mut());
    let trace_id = trace.trace_id();
    let span = tracing::info_span!("request", request_id = %id, %method, route, principal = Empty, trace_id);
    async {
        let began = Instant::now();
        let response = match too_long(request.uri(), request.headers()) {
            Some(problem) => problem.into_response(),
            None => match timeout(REQUEST_WITHIN, next.run(request)).await {
                Ok(response) => response,
                Err(_elapsed) => {
                    Problem::unavailable("timeout", "The request took too long; try again").into_response()
                }
            },
        };
        let response = finish(response, &id);
        let took = began.elapsed();
        metrics.count_request(route, &method, response.status(), took);
        log(&response, took);
        trace.end(response.status());
        response
    }
    .instrument(span)
    .await
}

/// Refuses what no client of ours sends. The connection has limits of its own, twice as wide, and
/// answers with a bare status and closes where even those are exceeded.
fn too_long(uri: &Uri, headers: &HeaderMap) -> Option<Problem> {
    let uri_bytes = uri.path_and_query().map_or(0, |text| text.as_str().len());
    if uri_bytes > URI_BYTES_MAX {
        let detail = format!("The address may have at most {URI_BYTES_MAX} bytes");
        return Some(Problem::new(StatusCode::URI_TOO_LONG, "uri_too_long", "The address is too long", detail));
    }
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len().saturating_add(value.len())).sum();
    if headers.len() > HEADERS_MAX || bytes > HEADERS_BYTES_MAX {
        let detail = format!("There may be at most {HEADERS_MAX} header lines, of {HEADERS_BYTES_MAX} bytes together");
        let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
        return Some(Problem::new(status, "headers_too_large", "The headers are too large", detail));
    }
    None
}

/// A panic is a fault of ours, and the client hears of it as of any other.
fn panicked(panic: Box<dyn Any + Send>) -> Response {
    let message = match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast::<&'static str>().map_or_else(|_| "no text".to_owned(), |text| (*text).to_owned()),
    };
    Problem::internal(&format!("panic: {message}")).into_response()
}

/// Writes the body of a problem and the headers that every answer has.
fn finish(mut response: Response, id: &RequestId) -> Response {
    let status = response.status();
    if status.is_client_error() || status.is_server_error() {
        let problem = match response.extensions().get::<Problem>() {
            Some(problem) => problem.clone(),
            None => Problem::of_status(status),
        };
        let text = serde_json::to_vec(&problem.document(id)).unwrap_or_default();
        response.headers_mut().remove(header::CONTENT_LENGTH);
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        *response.body_mut() = Body::from(text);
        response.extensions_mut().insert(problem);
    }
    let headers = response.headers_mut();
    headers.insert(X_REQUEST_ID, id.header());
    for (name, value) in EVERY_ANSWER {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A page says itself what it is made of.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(DATA_POLICY));
    response
}

/// One line for each request, and another where it was the server that failed.
fn log(response: &Response, took: Duration) {
    let status = response.status().as_u16();
    let problem = response.extensions().get::<Problem>();
    let code = problem.map(Problem::code);
    let cause = problem.and_then(Problem::log_cause);
    let cause = if response.status().is_server_error() {
        tracing::error!(status, code, cause, "failed");
        None
    } else {
        cause
    };
    // The fraction tells a read of the cache from one of the database.
    let ms = took.saturating_mul(1_000).as_secs_f64();
    tracing::info!(target: "holdfast::http", status, ms, code, cause, "answered");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode};
    use axum::routing::get;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;
    use serde_json::Value;

    use super::guarded;
    use crate::telemetry::metrics::Metrics;

    async fn answer(method: &str, path: &str) -> (StatusCode, Value) {
        let routes = Router::new()
            .route("/panics", get(async || -> StatusCode { panic!("the secret is {}", 7) }))
            .route("/bare", get(async || (StatusCode::BAD_REQUEST, "plain text")))
            .route("/good", get(async || "{}"));
        let request = Request::builder().method(method).uri(path).header("x-request-id", "r-1");
        let response = TowerToHyperService::new(guarded(routes, Metrics::new().unwrap()))
            .call(request.body(Body::empty()).unwrap())
            .await;
        let (head, body) = response.unwrap().into_parts();
        assert_eq!(head.headers["x-request-id"], "r-1");
        assert_eq!(head.headers["x-content-type-options"], "nosniff");
        assert_eq!(head.headers["cache-control"], "no-store");
        assert_eq!(head.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'");
        if !head.status.is_success() {
            assert_eq!(head.headers["content-type"], "application/problem+json");
        }
        (head.status, serde_json::from_slice(&to_bytes(body, usize::MAX).await.unwrap()).unwrap())
    }

    #[tokio::test]
    async fn whatever_goes_wrong_is_a_problem_document() {
        for (method, path, status, code) in [
            ("GET", "/panics", 500, "internal"),
            ("GET", "/bare", 400, "bad_request"),
            ("GET", "/nowhere", 404, "route_unknown"),
            ("POST", "/good", 405, "method_not_allowed"),
        ] {
            let (answered, document) = answer(method, path).await;
            assert_eq!((answered.as_u16(), document["code"].as_str()), (status, Some(code)), "{method} {path}");
            assert_eq!(document["request_id"], "r-1");
            assert!(!document.to_string().contains("secret"), "{document}");
        }
    }

    #[tokio::test]
    async fn a_good_answer_is_left_alone() {
        assert_eq!(answer("GET", "/good").await, (StatusCode::OK, serde_json::json!({})));
    }
}
