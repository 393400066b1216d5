use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus::{Encoder, TextEncoder};

use crate::http::auth::Reader;
use crate::http::problem::Problem;
use crate::state::Api;

/// Get metrics
///
/// For Prometheus. What this process counted, and the state of the queue that all processes share.
#[utoipa::path(
    get, path = "/metrics", tag = "server", security(("key" = ["read"])),
    responses((status = 200, description = "In the text format of Prometheus", body = String, content_type = "text/plain")),
)]
pub(crate) async fn get_metrics(_: Reader, State(api): State<Api>) -> Result<Response, Problem> {
    let queue = api.queue_gauges.text(&api.pool).await;
    let own = api.metrics.text(&api.pool, api.waiting_jobs());
    let text = own.and_then(|own| Ok(own + &queue?)).map_err(|error| Problem::internal(&error))?;
    Ok(([(header::CONTENT_TYPE, TextEncoder::new().format_type().to_owned())], text).into_response())
}
