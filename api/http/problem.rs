use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse;
use chrono::{DateTime, Utc};
use jobs::{Invalid, Reason};
use outbox::Trouble;
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::job::JobDocument;
use crate::documents::texts::CodeText;
use crate::http::request_id::RequestId;

/// An error as the client sees it: an RFC 9457 problem document.
///
/// A handler returns it without knowing the request's id; [`crate::http::edge`] writes the body.
/// `code` is stable, `title` and `detail` are for people and may change.
#[derive(Clone, Debug)]
pub(crate) struct Problem(Box<Parts>);

#[derive(Clone, Debug)]
struct Parts {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    field: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    job: Option<JobDocument>,
    /// For the log, never for the client.
    cause: Option<String>,
}

/// The document. `retryable` says whether the same request, sent again unchanged and under the
/// same key, may succeed.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument {
    #[serde(rename = "type")]
    #[schema(pattern = "^urn:holdfast:problem:[a-z0-9_]+$")]
    kind: String,
    title: &'static str,
    #[schema(minimum = 400, maximum = 599)]
    status: u16,
    detail: String,
    #[schema(value_type = CodeText)]
    code: &'static str,
    #[schema(pattern = "^[A-Za-z0-9._-]{1,64}$")]
    request_id: String,
    retryable: bool,
    /// The field that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    field: Option<String>,
    /// The job that was waited for and refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = JobDocument)]
    job: Option<JobDocument>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self(Box::new(Parts {
            status,
            code,
            title,
            detail: detail.into(),
            field: None,
            headers: Vec::new(),
            job: None,
            cause: None,
        }))
    }

    /// 400: the request cannot be read.
    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, "The request cannot be read", detail)
    }

    /// 404.
    pub(crate) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, "Not found", detail)
    }

    /// 410: it never came to be, and what was asked is dropped.
    pub(crate) fn payload_dropped(job: i64, at: DateTime<Utc>) -> Self {
        let at = at.format("%Y-%m-%d");
        let detail = format!("It was refused, and what was asked was dropped on {at}; what is left is /v1/jobs/{job}");
        Self::new(StatusCode::GONE, "payload_dropped", "What was asked is dropped", detail)
    }

    /// 422: the request can be read, but a rule forbids what it says.
    pub(crate) fn invalid(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, "The request is not valid", detail)
    }

    /// 422: the key was used for something else.
    pub(crate) fn conflict() -> Self {
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "idempotency_conflict",
            "The key was used for another request",
            "Another request was made under this key before; use a new key for a new request",
        )
    }

    /// 422: text that the database cannot store.
    pub(crate) fn not_storable() -> Self {
        Self::invalid(
            "text_not_storable",
            "The body has something that cannot be stored: a NUL character, half a surrogate pair, \
             a number out of range or too deep a nesting",
        )
    }

    /// 503: try again shortly; the same key makes that safe.
    pub(crate) fn unavailable(code: &'static str, detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, code, "Not available just now", detail)
            .header(header::RETRY_AFTER, HeaderValue::from(1))
    }

    /// 500: a fault of ours.
    pub(crate) fn internal(cause: &(impl ToString + ?Sized)) -> Self {
        let problem = Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "A fault of the server",
            "Something went wrong on our side; the request id names it in the logs",
        );
        problem.cause(cause)
    }

    /// A job that was waited for was refused by a rule.
    pub(crate) fn rejected(job: JobDocument) -> Self {
        let reason = job.reason().and_then(Reason::parse);
        let status = match reason {
            Some(reason) if !reason.is_about_state() => StatusCode::UNPROCESSABLE_ENTITY,
            Some(_) | None => StatusCode::CONFLICT,
        };
        let (code, detail) = reason.map_or(("rejected", "The job was refused"), |why| (why.code(), why.explain()));
        let mut problem = Self::new(status, code, "A rule refuses this", detail);
        problem.0.job = Some(job);
        problem
    }

    /// Names the field that is at fault.
    #[must_use]
    pub(crate) fn field(mut self, field: impl Into<String>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Adds a header to the answer.
    #[must_use]
    pub(crate) fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.push((name, value));
        self
    }

    /// Keeps what the log, and nobody else, should know.
    #[must_use]
    pub(crate) fn cause(mut self, cause: &(impl ToString + ?Sized)) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// For the log.
    pub(crate) fn log_cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        self.0.code
    }

    /// The document for a request.
    pub(crate) fn document(&self, request_id: &RequestId) -> ProblemDocument {
        let parts = &*self.0;
        ProblemDocument {
            kind: format!("urn:holdfast:problem:{}", parts.code),
            title: parts.title,
            status: parts.status.as_u16(),
            detail: parts.detail.clone(),
            code: parts.code,
            request_id: request_id.as_str().to_owned(),
            retryable: parts.status.is_server_error()
                || matches!(parts.status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS),
            field: parts.field.clone(),
            job: parts.job.clone(),
        }
    }

    /// What an answer with this status means when it comes from the framework and not from us.
    pub(crate) fn of_status(status: StatusCode) -> Self {
        match status {
            StatusCode::NOT_FOUND => Self::not_found("route_unknown", "No such path"),
            StatusCode::METHOD_NOT_ALLOWED => {
                Self::new(status, "method_not_allowed", "Not this method", "The path does not take this method")
            }
            _ if status.is_client_error() => {
                Self::new(status, "bad_request", "The request cannot be read", "The request cannot be read")
            }
            _ => Self::internal(&format!("the framework answered {status}")),
        }
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::invalid(invalid.code, invalid.message).field(invalid.field)
    }
}

/// A read that failed: 503 where the database may answer the next time, 500 where what it
/// answered makes no sense to us.
impl From<sqlx::Error> for Problem {
    fn from(error: sqlx::Error) -> Self {
        Self::from(&error)
    }
}

impl From<&sqlx::Error> for Problem {
    fn from(error: &sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. })
            || outbox::trouble(error) == Trouble::Data
        {
            return Self::internal(error);
        }
        Self::unavailable("database_unavailable", "The database does not answer; try again shortly").cause(error)
    }
}

/// The head of the answer; the edge, which knows the request's id, writes the body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = self.0.status;
        response.headers_mut().extend(self.0.headers.iter().cloned());
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

    use axum::http::{HeaderMap, StatusCode};
    use serde_json::json;

    use super::Problem;
    use crate::http::request_id::{RequestId, X_REQUEST_ID};

    #[test]
    fn the_document_has_every_member_and_hides_the_cause() {
        let mut headers = HeaderMap::new();
        headers.insert(X_REQUEST_ID, "r-1".parse().unwrap());
        let problem = Problem::invalid("amount_zero", "the amount is zero").field("amount").cause("secret");
        assert_eq!(
            serde_json::to_value(problem.document(&RequestId::of(&headers))).unwrap(),
            json!({
                "type": "urn:holdfast:problem:amount_zero", "title": "The request is not valid", "status": 422,
                "detail": "the amount is zero", "code": "amount_zero", "request_id": "r-1", "retryable": false,
                "field": "amount",
            })
        );
    }

    #[test]
    fn only_what_may_pass_by_itself_is_retryable() {
        let id = RequestId::of(&HeaderMap::new());
        let retryable = |problem: Problem| serde_json::to_value(problem.document(&id)).unwrap()["retryable"] == true;
        assert!(retryable(Problem::unavailable("overloaded", "")));
        assert!(retryable(Problem::internal("")));
        assert!(!retryable(Problem::conflict()));
        assert!(!retryable(Problem::of_status(StatusCode::NOT_FOUND)));
    }
}
