use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::{AnyJob, DepositCredit, InboxId, PrincipalId};
use outbox::{Ask, Trouble};
use providers::nowpayments::{Callback, Refusal, Signed, verify};
use sqlx::{PgConnection, PgPool};

use crate::answers::CallbackRefused;
use crate::app::Api;
use crate::body::{BODY_BYTES_MAX, read};
use crate::headers::trace_parent;
use crate::health::Status;
use crate::params::Signature;
use crate::problem::Problem;
use crate::within::within;

const SIGNATURE: HeaderName = HeaderName::from_static("x-nowpayments-sig");

/// The provider waits three seconds for an answer and then tries again, a finite number of times.
const BODY_WITHIN: Duration = Duration::from_secs(1);
const STORED_WITHIN: Duration = Duration::from_millis(1_800);
const BEGIN: &str =
    "begin; set local statement_timeout = '1500ms'; set local idle_in_transaction_session_timeout = '5s'";

/// How many callbacks were refused since the process started.
#[derive(Debug, Default)]
pub(crate) struct Refused(AtomicU64);

/// A callback of the payment provider, known by its signature
///
/// An authentic one is stored and answered 200 whatever we think of what it says; its job is in
/// the same commit. Anything else is answered with an error and leaves no trace but a log line.
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
    let stored = within(STORED_WITHIN, store(&api.pool, &body, &signature, credit.as_ref())).await;
    match stored {
        Ok(Stored { inbox_id, nudge }) => {
            if let Some(lane) = nudge {
                api.nudges.after_commit(lane);
            }
            tracing::info!(inbox_id, form = signed.form().as_str(), "a callback is stored");
            Ok((StatusCode::OK, Json(Status { status: "stored" })).into_response())
        }
        Err(error) => Err(error.into()),
    }
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
    let before = api.webhooks_refused.0.fetch_add(1, Ordering::Relaxed);
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

/// The job that a callback causes, before the callback has a number.
struct Credit {
    fact_key: String,
    trace_parent: Option<String>,
}

struct Stored {
    inbox_id: i64,
    /// The lane of the job, if there is a new one.
    nudge: Option<&'static str>,
}

/// Stores a callback and the job that its fact causes, in one commit. If the job cannot be recorded,
/// the callback is stored alone with its fact, where `verify` finds it, and the answer is an error,
/// so that the provider repeats: an authentic body is never lost.
async fn store(pool: &PgPool, body: &[u8], signature: &str, credit: Option<&Credit>) -> Result<Stored, sqlx::Error> {
    match store_once(pool, body, signature, credit).await {
        Err(error) if credit.is_some() && outbox::trouble(&error) == Trouble::Data => {
            tracing::error!(%error, "a callback's job cannot be recorded; the callback is stored without it");
            store_body(&mut *pool.acquire().await?, body, signature, credit).await?;
            Err(error)
        }
        other => other,
    }
}

async fn store_once(
    pool: &PgPool,
    body: &[u8],
    signature: &str,
    credit: Option<&Credit>,
) -> Result<Stored, sqlx::Error> {
    let mut tx = pool.begin_with(BEGIN).await?;
    let inbox_id = store_body(&mut tx, body, signature, credit).await?;
    let mut nudge = None;
    if let Some(credit) = credit {
        let ask = credit.ask(inbox_id)?;
        let recorded = outbox::enqueue(&mut tx, std::slice::from_ref(&ask)).await?;
        nudge = recorded.iter().any(|each| matches!(each, outbox::Recorded::New(_))).then_some(ask.lane);
    }
    tx.commit().await?;
    Ok(Stored { inbox_id, nudge })
}

async fn store_body(
    db: &mut PgConnection,
    body: &[u8],
    signature: &str,
    credit: Option<&Credit>,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "insert into ipn_inbox (provider, body, signature, fact_key) values ('nowpayments', $1, $2, $3) returning id",
        body,
        signature,
        credit.map(|credit| credit.fact_key.as_str()),
    )
    .fetch_one(db)
    .await
}

impl Credit {
    /// The job of a fact. Its hash covers the fact and not the inbox row, so the same fact told again
    /// is a replay.
    fn ask(&self, inbox_id: i64) -> Result<Ask, sqlx::Error> {
        let job = AnyJob::DepositCredit(DepositCredit { inbox_id: InboxId(inbox_id) });
        let info = job.info();
        let payload = job.payload().map_err(|error| sqlx::Error::Encode(error.into()))?;
        let submitter = PrincipalId::NOWPAYMENTS.0;
        let hash = outbox::payload_hash(&[&submitter.to_be_bytes(), info.name.as_bytes(), self.fact_key.as_bytes()]);
        Ok(Ask {
            submitter,
            kind: info.name,
            key: self.fact_key.clone(),
            payload_hash: hash,
            payload: payload.to_string(),
            lane: info.lane.as_str(),
            subject: job.subject(),
            run_at: None,
            caused_by: None,
            trace_parent: self.trace_parent.clone(),
        })
    }
}
