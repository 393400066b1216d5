use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use prost::Message;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A collector of traces that keeps what it is sent.
pub(super) struct Collector {
    pub(super) endpoint: String,
    kept: Kept,
    _serving: JoinSet<()>,
}

type Kept = Arc<Mutex<Vec<Span>>>;

/// A span as it arrived; ids in hexadecimal.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) service: String,
    pub(super) name: String,
    pub(super) trace: String,
    pub(super) id: String,
    pub(super) parent: String,
    pub(super) took_ns: u64,
    attributes: Vec<KeyValue>,
}

impl Span {
    /// An attribute as text; empty where there is none.
    pub(super) fn attribute(&self, key: &str) -> String {
        text(&self.attributes, key)
    }
}

impl Collector {
    pub(super) async fn start() -> Self {
        let kept = Kept::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/traces", post(keep)).with_state(Arc::clone(&kept));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { endpoint, kept, _serving: serving }
    }

    /// What has come so far.
    pub(super) fn spans(&self) -> Vec<Span> {
        self.kept.lock().unwrap().clone()
    }
}

async fn keep(State(kept): State<Kept>, headers: HeaderMap, body: Bytes) -> StatusCode {
    assert_eq!(headers["content-type"], "application/x-protobuf");
    let sent = ExportTraceServiceRequest::decode(body).unwrap();
    for of_resource in sent.resource_spans {
        let service = text(&of_resource.resource.unwrap().attributes, "service.name");
        let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
        kept.lock().unwrap().extend(spans.map(|span| Span {
            service: service.clone(),
            name: span.name,
            trace: hex::encode(span.trace_id),
            id: hex::encode(span.span_id),
            parent: hex::encode(span.parent_span_id),
            took_ns: span.end_time_unix_nano - span.start_time_unix_nano,
            attributes: span.attributes,
        }));
    }
    StatusCode::OK
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == key);
    match found.and_then(|attribute| attribute.value.clone()) {
        Some(AnyValue { value: Some(Value::StringValue(text)) }) => text,
        Some(AnyValue { value: Some(Value::IntValue(number)) }) => number.to_string(),
        _ => String::new(),
    }
}
