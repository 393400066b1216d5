use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use opentelemetry::{KeyValue, global};
use opentelemetry_http::{HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::time::Instant;

use crate::config::Traces;
use crate::failure::Failure;

/// How long the spans that are left may take to leave when the process ends.
const FLUSHED_WITHIN: Duration = Duration::from_secs(2);
/// How long a collector may take to take a batch of spans.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);
/// The least time between two warnings that the collector does not take what it is sent.
const WARNINGS_APART: Duration = Duration::from_mins(1);
/// How many spans may wait to be sent, unless the environment says otherwise: a few full batches
/// of a worker's. Further ones are dropped, since nobody waits for a collector.
const WAITING_SPANS_MAX: usize = 16_384;

/// The traces of the process, or nothing where they are off.
#[derive(Debug)]
pub(crate) struct Telemetry(Option<SdkTracerProvider>);

/// Starts sending traces if the environment asks for it.
///
/// # Errors
/// What the environment says of the collector does not make sense.
pub(crate) fn start(asked: Option<Traces>, service: &'static str) -> Result<Telemetry, Failure> {
    let Some(Traces { named, bounded }) = asked else {
        return Ok(Telemetry(None));
    };
    let exporter = SpanExporter::builder().with_http().with_http_client(Courier::new()?).build();
    let exporter = exporter.map_err(|error| {
        Failure::cannot_start(anyhow::Error::new(error).context("traces cannot be sent: see OTEL_*"))
    })?;
    let mut queue = BatchConfigBuilder::default();
    if !bounded {
        queue = queue.with_max_queue_size(WAITING_SPANS_MAX);
    }
    let sender = BatchSpanProcessor::builder(exporter).with_batch_config(queue.build()).build();
    let mut resource = Resource::builder().with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if !named {
        resource = resource.with_service_name(service);
    }
    let provider = SdkTracerProvider::builder().with_span_processor(sender).with_resource(resource.build()).build();
    global::set_text_map_propagator(TraceContextPropagator::new());
    global::set_tracer_provider(provider.clone());
    tracing::info!("traces are sent");
    Ok(Telemetry(Some(provider)))
}

impl Telemetry {
    /// Whether traces are sent.
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Sends what is left, for at most two seconds.
    pub(crate) async fn stop(self) {
        let Some(provider) = self.0 else { return };
        // It blocks until the thread that sends is done, and that needs the runtime meanwhile.
        let flushed = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(FLUSHED_WITHIN));
        match tokio::time::timeout(FLUSHED_WITHIN, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::debug!(%error, "the last spans were not all sent"),
            Ok(Err(error)) => tracing::debug!(%error, "sending the last spans failed"),
            Err(_elapsed) => tracing::debug!("the last spans were not sent in time"),
        }
    }
}

/// Takes spans to the collector. The exporter calls from a thread of its own, which has no runtime.
#[derive(Debug)]
struct Courier {
    http: reqwest::Client,
    runtime: Handle,
    warned: Mutex<Option<Instant>>,
}

impl Courier {
    fn new() -> Result<Self, Failure> {
        let http = reqwest::Client::builder().timeout(TAKEN_WITHIN).build().map_err(Failure::cannot_start)?;
        Ok(Self { http, runtime: Handle::current(), warned: Mutex::new(None) })
    }

    /// A collector that is away is not worth more than a line now and then.
    fn warn(&self, why: &str) {
        let mut warned = self.warned.lock().unwrap_or_else(PoisonError::into_inner);
        if warned.is_none_or(|at| at.elapsed() >= WARNINGS_APART) {
            *warned = Some(Instant::now());
            tracing::warn!(why, "the collector of traces does not take them; they are dropped");
        }
    }
}

#[async_trait]
impl HttpClient for Courier {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.runtime.spawn(send(self.http.clone(), request)).await;
        let answer = sent.map_err(HttpError::from).and_then(|answer| answer.map_err(HttpError::from));
        match &answer {
            Ok(answer) if answer.status().is_success() => {}
            Ok(answer) => self.warn(answer.status().as_str()),
            // The address may have a password in it, so it is left out.
            Err(_) => self.warn("no answer"),
        }
        answer
    }
}

async fn send(http: reqwest::Client, request: Request<Bytes>) -> Result<Response<Bytes>, reqwest::Error> {
    let answer = http.execute(request.try_into()?).await?;
    let (status, headers) = (answer.status(), answer.headers().clone());
    let mut taken = Response::new(answer.bytes().await?);
    *taken.status_mut() = status;
    *taken.headers_mut() = headers;
    Ok(taken)
}
