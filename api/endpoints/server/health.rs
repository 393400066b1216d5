use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

use crate::documents::status::Status;
use crate::http::problem::Problem;
use crate::openapi::answers::NotReady;
use crate::state::Api;

/// Check liveness
///
/// Whether the process is up.
#[utoipa::path(
    get, path = "/livez", tag = "server",
    responses((status = 200, description = "It is", body = Status, example = json!({ "status": "live" }))),
)]
pub(crate) async fn livez() -> Json<Status> {
    Json(Status { status: "live" })
}

/// Check readiness
///
/// Whether the server can do its work: the database answers, its schema is one that this binary
/// runs against, and the login has the rights of the API and no more.
#[utoipa::path(
    get, path = "/readyz", tag = "server",
    responses((status = 200, description = "It can", body = Status, example = json!({ "status": "ready" })), NotReady),
)]
pub(crate) async fn readyz(State(api): State<Api>) -> Response {
    match api.readiness.why_not(&api.pool).await {
        None => (StatusCode::OK, Json(Status { status: "ready" })).into_response(),
        Some(why) => Problem::unavailable("not_ready", "The server cannot do its work now; its logs say why")
            .cause(&why)
            .into_response(),
    }
}
