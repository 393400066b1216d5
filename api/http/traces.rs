use std::collections::HashMap;

use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use opentelemetry::trace::{SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, global};

use crate::http::headers::{TRACEPARENT, trace_parent};
use crate::http::request_id::RequestId;

/// What monitors ask for all day long is not worth a trace.
const UNTRACED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

/// The span of a request; nothing where traces are off.
#[derive(Debug)]
pub(crate) struct RequestSpan(Option<Context>);

impl RequestSpan {
    /// Begins it, beneath the caller's span if the request names one. From here on the headers name
    /// this span instead, so that whatever the request asks for is recorded as its doing. Where
    /// traces are off, the headers stay as they came.
    pub(crate) fn begin(method: &Method, route: &str, id: &RequestId, headers: &mut HeaderMap) -> Self {
        if UNTRACED.contains(&route) {
            return Self(None);
        }
        let caller: HashMap<String, String> =
            trace_parent(headers).into_iter().map(|parent| ("traceparent".to_owned(), parent)).collect();
        let parent = global::get_text_map_propagator(|form| form.extract_with_context(&Context::new(), &caller));
        let span = SpanBuilder::from_name(format!("{method} {route}")).with_kind(SpanKind::Server).with_attributes([
            KeyValue::new("http.request.method", method.to_string()),
            KeyValue::new("http.route", route.to_owned()),
            KeyValue::new("holdfast.request.id", id.as_str().to_owned()),
        ]);
        let span = global::tracer("holdfast").build_with_context(span, &parent);
        let context = parent.with_span(span);
        let Some(named) = name(&context) else {
            return Self(None);
        };
        headers.insert(TRACEPARENT, named);
        Self(Some(context))
    }

    /// The trace that it belongs to, for the log.
    pub(crate) fn trace_id(&self) -> Option<String> {
        self.0.as_ref().map(|context| context.span().span_context().trace_id().to_string())
    }

    /// Ends it with the answer.
    pub(crate) fn end(self, status: StatusCode) {
        let Some(context) = self.0 else { return };
        let span = context.span();
        span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
        if status.is_server_error() {
            span.set_status(Status::error(status.as_str().to_owned()));
        }
        span.end();
    }
}

/// The span of a context as W3C trace context names it; `None` where there is none.
fn name(context: &Context) -> Option<HeaderValue> {
    let span = context.span();
    let span = span.span_context();
    let (trace, id, flags) = (span.trace_id(), span.span_id(), span.trace_flags().to_u8());
    span.is_valid().then(|| HeaderValue::from_str(&format!("00-{trace}-{id}-{flags:02x}")).ok()).flatten()
}
