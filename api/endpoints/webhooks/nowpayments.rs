use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::PrincipalId;
use providers::nowpayments::{Callback, Refusal, Signed, verify};
use tokio::time::timeout;

use crate::documents::status::Status;
use crate::http::body::{BODY_BYTES_MAX, read};
use crate::http::headers::trace_parent;
use crate::http::problem::Problem;
use crate::intake::inbox::{Credit, Heard, Stored};
use crate::openapi::answers::CallbackRefused;
use crate::openapi::params::Signature;
use crate::state::Api;

const SIGNATURE: HeaderName = HeaderName::from_static("x-nowpayments-sig");

/// The provider waits three seconds for an answer and then tries again, a finite number of times.
const BODY_WITHIN: Duration = Duration::from_secs(1);
const STORED_WITHIN: Duration = Duration::from_millis(1_800);

/// Receive a payment callback
///
/// The payment provider is known by its signature. An authentic callback is stored and answered 200
/// whatever we think of what it says; its job is in the same commit. Anything else is answered with
/// an error and leaves no trace but a log line.
#[utoipa::path(
    post, path = "/webhooks/nowpayments", tag = "callbacks", params(Signature),
    request_body(content = serde_json::Value, content_type = "application/json", description = "As it was signed"),
    responses(
        (status = 200, description = "Stored for good", body = Status, example = json!({ "status": "stored" })),
        CallbackRefused,
    ),
)]
pub(crate) async fn post_nowpayments(
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    if api.ipn_secrets.is_empty() {
        return Err(Problem::unavailable(
            "webhooks_not_configured",
            "No secret to verify callbacks with is configured, so none is taken",
        ));
    }
    let body = read(&headers, body, BODY_BYTES_MAX, BODY_WITHIN).await?;
    let (signed, signature) = match authentic(&api, &headers, &body) {
        Ok(authentic) => authentic,
        Err(refusal) => return Ok(refused(&api, refusal)),
    };
    tracing::Span::current().record("principal", PrincipalId::NOWPAYMENTS.0);
    let credit = fact_key(&signed).map(|fact_key| Credit { fact_key, trace_parent: trace_parent(&headers) });
    let Stored { inbox_id, .. } = store(&api, Heard { body: body.into(), signature, credit }).await?;
    tracing::info!(inbox_id, form = signed.form().as_str(), "a callback is stored");
    Ok((StatusCode::OK, Json(Status { status: "stored" })).into_response())
}

/// Stores a callback together with those that come at the same time. Whoever is not answered in
/// time may find it stored nevertheless: it is the same fact when it is told again.
async fn store(api: &Api, heard: Heard) -> Result<Stored, Problem> {
    let Ok(stored) = timeout(STORED_WITHIN, api.inbox.record(vec![heard])).await else {
        return Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into()).into());
    };
    stored?.pop().ok_or_else(|| Problem::internal("a callback that was stored has no answer"))?
}

/// The text that was signed, and the signature as it came.
fn authentic(api: &Api, headers: &HeaderMap, body: &Bytes) -> Result<(Signed, String), Refusal> {
    let mut given = headers.get_all(SIGNATURE).iter();
    let signature = match (given.next(), given.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.to_str().map_err(|_| Refusal::SignatureNotHex)?),
        // Two readers could choose two of them.
        (Some(_), Some(_)) => return Err(Refusal::SignatureNotHex),
    };
    let signed = verify(body, signature, &api.ipn_secrets)?;
    Ok((signed, signature.unwrap_or_default().to_owned()))
}

/// 401 where nothing shows that the provider sent it, 400 and 413 where the request itself is
/// malformed; never a 2xx, whatever the body says.
fn refused(api: &Api, refusal: Refusal) -> Response {
    api.metrics.count_webhook_refused(refusal.code());
    let before = api.webhooks_refused.fetch_add(1, Ordering::Relaxed);
    tracing::warn!(refusal = refusal.code(), refused = before.saturating_add(1), "a callback is refused");
    let status = match refusal {
        Refusal::MissingSignature | Refusal::Mismatch => StatusCode::UNAUTHORIZED,
        Refusal::BodyTooLong { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::NoSecret => StatusCode::SERVICE_UNAVAILABLE,
        Refusal::SignatureLength { .. }
        | Refusal::SignatureNotHex
        | Refusal::NotUtf8 { .. }
        | Refusal::NotJson { .. }
        | Refusal::DuplicateKey { .. }
        | Refusal::TooDeep { .. } => StatusCode::BAD_REQUEST,
    };
    let problem = Problem::new(status, refusal.code(), "The callback is refused", refusal.to_string());
    let problem = match status {
        StatusCode::UNAUTHORIZED => {
            problem.header(header::WWW_AUTHENTICATE, HeaderValue::from_static("x-nowpayments-sig"))
        }
        _ => problem,
    };
    problem.into_response()
}

/// The fact that a callback states, if it states one that a job acts on.
fn fact_key(signed: &Signed) -> Option<String> {
    match Callback::read(signed) {
        Ok(Callback::Payment(facts)) => Some(facts.fact_key()),
        Ok(Callback::Payout(_) | Callback::Other) => {
            tracing::warn!("a callback is of no kind that is acted on; it is kept");
            None
        }
        Err(error) => {
            // Its job ends with a person, who then knows of it; a fact's key never begins like this.
            tracing::warn!(code = error.code(), %error, "a callback's facts cannot be read; it goes to a person");
            let hash = outbox::payload_hash(&[signed.text().as_bytes()]);
            Some(format!("unreadable:{}", hex::encode(hash)))
        }
    }
}
