use std::collections::HashMap;
use std::time::SystemTime;

use opentelemetry::trace::{Span, SpanBuilder, SpanKind, Status};
use opentelemetry::{Context, KeyValue, global};
use settlement::{Committed, Done, End};

/// Makes a span of each job that belongs to a trace: from the claim to the commit, beneath what
/// asked for it. Handing it over costs a place in a queue; when that is full the span is dropped.
pub(crate) fn trace(committed: &Committed) {
    let mut done_in_traces =
        committed.jobs.iter().filter_map(|done| Some((done, done.trace_parent.as_ref()?))).peekable();
    if done_in_traces.peek().is_none() {
        return;
    }
    let tracer = global::tracer("holdfast");
    let began = SystemTime::from(committed.claimed_at);
    let ended = began.checked_add(committed.took).unwrap_or(began);
    for (done, parent) in done_in_traces {
        let carrier = HashMap::from([("traceparent".to_owned(), parent.clone())]);
        let parent = global::get_text_map_propagator(|form| form.extract_with_context(&Context::new(), &carrier));
        let mut span = span_of(done, began).start_with_context(&tracer, &parent);
        if let End::Parked(reason) = done.end {
            span.set_status(Status::error(reason));
        }
        span.end_with_timestamp(ended);
    }
}

fn span_of(done: &Done, began: SystemTime) -> SpanBuilder {
    let (outcome, reason) = done.end.as_strs();
    let mut attributes = vec![
        // An id is text everywhere outside, so that nobody counts with it.
        KeyValue::new("holdfast.job.id", done.job_id.to_string()),
        KeyValue::new("holdfast.job.kind", done.kind),
        KeyValue::new("holdfast.job.attempt", i64::from(done.attempt)),
        KeyValue::new("holdfast.job.outcome", outcome),
    ];
    attributes.extend(reason.map(|reason| KeyValue::new("holdfast.job.reason", reason)));
    SpanBuilder::from_name(done.kind).with_kind(SpanKind::Consumer).with_start_time(began).with_attributes(attributes)
}
