use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::http::headers::is_json;
use crate::http::problem::Problem;

/// The largest body of a request that asks for one job, and of a callback, in bytes.
pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;
/// The largest body of a batch, in bytes.
pub(crate) const BATCH_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Reads a body that is bounded in size and in time.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    within: Duration,
) -> Result<Bytes, Problem> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(content_length);
    if announced.is_some_and(|bytes| bytes > bytes_max) {
        return Err(too_large(bytes_max));
    }
    match timeout(within, Limited::new(body, bytes_max).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large(bytes_max)),
        Ok(Err(error)) => Err(Problem::bad_request("body_incomplete", "The body did not arrive whole").cause(&error)),
        Err(_elapsed) => Err(Problem::new(
            StatusCode::REQUEST_TIMEOUT,
            "body_timeout",
            "The body took too long",
            "The body did not arrive in time",
        )),
    }
}

/// As [`read`], of a body that must be JSON text.
pub(crate) async fn read_json(
    headers: &HeaderMap,
    body: Body,
    bytes_max: usize,
    within: Duration,
) -> Result<String, Problem> {
    if !is_json(headers) {
        return Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type_unsupported",
            "Not this content type",
            "The body must be JSON, and Content-Type must say application/json",
        ));
    }
    let bytes = read(headers, body, bytes_max, within).await?;
    String::from_utf8(bytes.into()).map_err(|error| {
        Problem::bad_request("json_malformed", format!("The body is not JSON: {}", error.utf8_error()))
    })
}

fn content_length(value: &HeaderValue) -> Option<usize> {
    value.to_str().ok()?.parse().ok()
}

fn too_large(bytes_max: usize) -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        "body_too_large",
        "The body is too large",
        format!("The body may have at most {bytes_max} bytes"),
    )
}
