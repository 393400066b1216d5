use std::any::Any;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tokio::time::{Instant, timeout};
use tracing::Instrument;

use crate::problem::Problem;
use crate::request_id::{RequestId, X_REQUEST_ID};

/// The longest that a request may take: a slow body, the longest wait and room for the database.
const REQUEST_WITHIN: Duration = Duration::from_secs(45);

/// What every request passes first and last: it gets an id, is logged once, and whatever goes
/// wrong leaves as a problem document.
pub(crate) async fn edge(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let method = request.method().clone();
    // The pattern and not the path, which is the client's to choose.
    let path = request.extensions().get::<MatchedPath>().map_or("-", MatchedPath::as_str);
    let span = tracing::info_span!("request", request_id = %id, %method, path);
    async move {
        let began = Instant::now();
        let response = match timeout(REQUEST_WITHIN, next.run(request)).await {
            Ok(response) => response,
            Err(_elapsed) => Problem::unavailable("timeout", "The request took too long; try again").into_response(),
        };
        let response = finish(response, &id);
        log(&response, began);
        response
    }
    .instrument(span)
    .await
}

/// A panic is a fault of ours, and the client hears of it as of any other.
pub(crate) fn panicked(panic: Box<dyn Any + Send>) -> Response {
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
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn log(response: &Response, began: Instant) {
    let status = response.status().as_u16();
    let latency_us = u64::try_from(began.elapsed().as_micros()).unwrap_or(u64::MAX);
    let problem = response.extensions().get::<Problem>();
    let code = problem.map(Problem::code);
    let cause = problem.and_then(Problem::log_cause);
    if response.status().is_server_error() {
        tracing::error!(status, latency_us, code, cause, "answered");
    } else {
        tracing::info!(status, latency_us, code, cause, "answered");
    }
}
