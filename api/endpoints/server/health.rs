use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use outbox::{Role, SCHEMA_VERSION, StartError, refuse_unsafe_server};
use serde::Serialize;
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;

use crate::app::Api;
use crate::http::problem::Problem;
use crate::openapi::answers::NotReady;

/// How long an answer of `/readyz` serves everybody who asks: nobody needs a key to ask.
const FRESH: Duration = Duration::from_millis(500);
/// How long the database may take to be called ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The last answer of `/readyz`.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Option<String>)>>);

/// A word that says all.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub(crate) struct Status {
    pub(crate) status: &'static str,
}

/// Whether the process is up
#[utoipa::path(
    get, path = "/livez", tag = "server",
    responses((status = 200, description = "It is", body = Status, example = json!({ "status": "live" }))),
)]
pub(crate) async fn livez() -> Json<Status> {
    Json(Status { status: "live" })
}

/// Whether the server can do its work
///
/// The database answers, its schema is one that this binary runs against, and the login has the
/// rights of the API and no more.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses((status = 200, description = "It can", body = Status, example = json!({ "status": "ready" })), NotReady),
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    let mut last = api.readiness.0.lock().await;
    let why_not = match &*last {
        Some((at, why_not)) if at.elapsed() < FRESH => why_not.clone(),
        Some(_) | None => {
            let why_not = timeout(READY_WITHIN, why_not_ready(&api.pool)).await;
            let why_not = why_not.unwrap_or_else(|_| Some("the database took too long".to_owned()));
            *last = Some((Instant::now(), why_not.clone()));
            why_not
        }
    };
    drop(last);
    match why_not {
        None => (StatusCode::OK, Json(Status { status: "ready" })).into_response(),
        Some(why) => Problem::unavailable("not_ready", "The server cannot do its work now; its logs say why")
            .cause(&why)
            .into_response(),
    }
}

async fn why_not_ready(pool: &PgPool) -> Option<String> {
    let window = sqlx::query!("select version, oldest_binary from schema").fetch_one(pool).await;
    match window {
        Ok(window) if window.version < SCHEMA_VERSION => return Some(format!("the schema is at {}", window.version)),
        Ok(window) if window.oldest_binary > SCHEMA_VERSION => {
            return Some(format!("the schema needs a binary for {}", window.oldest_binary));
        }
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    match refuse_unsafe_server(pool, Role::Api).await {
        // A process refuses to start on a shifted clock; one that runs while a test shifts it is
        // as able as before.
        Ok(()) | Err(StartError::ShiftedClock(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}
