//! From a checked job to its answer.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jobs::{AnyJob, Assets, Origin, PrincipalId};
use outbox::{Ask, Recorded};
use serde_json::Value;
use sqlx::PgPool;

use crate::documents::job::{JobDocument, JobState, find};
use crate::http::headers::{IDEMPOTENCY_REPLAYED, PREFERENCE_APPLIED, Wait};
use crate::http::path::Thing;
use crate::http::problem::Problem;
use crate::intake::asked::{How, require_asked_for};
use crate::intake::asset_registry::AssetRegistry;
use crate::intake::outcomes::Outcomes;
use crate::intake::recorder::{Recorder, Written};
use crate::intake::shape::is_storable;
use crate::intake::stop::Stop;

/// What a job passes through between the request that asks for it and the answer.
#[derive(Debug)]
pub(crate) struct Intake {
    pub(crate) pool: PgPool,
    pub(crate) assets: Arc<AssetRegistry>,
    pub(crate) recorder: Recorder,
    pub(crate) outcomes: Outcomes,
    /// True once the process is stopping.
    pub(crate) stop: Stop,
}

/// What is asked, as the outbox takes it.
///
/// # Errors
/// 422: the database could not store it, the kind is not for clients, or one of its rules forbids
/// it.
pub(crate) fn ask(
    submitter: PrincipalId,
    key: String,
    trace_parent: Option<String>,
    job: &AnyJob,
    assets: &Assets,
) -> Result<Ask, Problem> {
    let info = job.info();
    // Whether the caller may operate was asked where the kind was chosen; a batch takes no such kind.
    if info.origin == Origin::Internal {
        return Err(Problem::invalid("kind_internal", format!("{} is not for clients to ask for", info.name)));
    }
    let payload = job.payload().map_err(|error| Problem::internal(&error))?;
    if !is_storable(&payload) {
        return Err(Problem::not_storable());
    }
    job.check(assets)?;
    let payload = canonical(&payload);
    let actor = submitter.0.to_be_bytes();
    Ok(Ask {
        submitter: submitter.0,
        kind: info.name,
        key,
        payload_hash: outbox::payload_hash(&[&actor, info.name.as_bytes(), payload.as_bytes()]),
        payload,
        lane: info.lane.as_str(),
        subject_type: job.info().about.sort.as_str(),
        subject: job.named().map(jobs::Subject::number),
        run_at: None,
        caused_by: None,
        trace_parent,
    })
}

/// The one text of a value: no spaces, members in the order of their names. Hashes of it are
/// kept for ever, so the order must not depend on how the JSON library was compiled.
fn canonical(value: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(members) => {
                let mut members: Vec<_> = members.iter().collect();
                members.sort_unstable_by_key(|(name, _)| *name);
                Value::Object(members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    sorted(value).to_string()
}

/// Records one job and answers: 202, or what came of it if the client prefers to wait.
pub(crate) async fn submit(
    intake: &Intake,
    submitter: PrincipalId,
    How { key, trace_parent, wait }: How,
    job: AnyJob,
) -> Result<Response, Problem> {
    let assets = intake.assets.current().await;
    let ask = ask(submitter, key, trace_parent, &job, &assets)?;
    let written = intake.recorder.record(vec![ask]).await?;
    let (recorded, at) = match written.into_iter().next() {
        Some(Written::Recorded(recorded, at)) => (recorded, at),
        Some(failed) => return Err(failure(failed)),
        None => return Err(Problem::internal("a recorded job has no answer")),
    };
    let (document, replayed) = match recorded {
        Recorded::Conflict(_) => return Err(Problem::conflict()),
        Recorded::New(id) => {
            let at = at.ok_or_else(|| Problem::internal("a new job was received at no time"))?;
            (JobDocument::queued(id, &job, at), false)
        }
        Recorded::Replay(id) => {
            let found = find(&intake.pool, id).await?;
            (found.ok_or_else(|| Problem::internal(&format!("job {id} has a request and no row")))?, true)
        }
    };
    let document = match wait {
        Some(wait) if document.state() == JobState::Queued => awaited(intake, recorded.job_id(), document, wait).await,
        Some(_) | None => document,
    };
    Ok(answer(document, replayed, wait))
}

/// As [`submit`], of a job about something that must be there or be asked for.
pub(crate) async fn submit_about(
    intake: &Intake,
    submitter: PrincipalId,
    how: How,
    thing: impl Thing,
    job: AnyJob,
) -> Result<Response, Problem> {
    require_asked_for(&intake.pool, &thing).await?;
    submit(intake, submitter, how, job).await
}

/// The job when it has ended, or as it stands when the wait is over: a job may be parked or
/// postponed meanwhile.
async fn awaited(intake: &Intake, id: i64, document: JobDocument, wait: Wait) -> JobDocument {
    if wait.seconds == 0 {
        return document;
    }
    if let Some(outcome) = intake.outcomes.wait(id, wait.duration(), intake.stop.clone()).await {
        return document.ended(outcome);
    }
    match find(&intake.pool, id).await {
        Ok(found) => found.unwrap_or(document),
        Err(error) => {
            tracing::warn!(%error, "a job could not be read again; it is told of as it was recorded");
            document
        }
    }
}

/// What the recorder could not record, as a problem.
pub(crate) fn failure(written: Written) -> Problem {
    match written {
        Written::NotStorable => Problem::not_storable(),
        Written::Unavailable(cause) => Problem::unavailable(
            "database_unavailable",
            "It may or may not be recorded; send it again with the same key",
        )
        .cause(&cause),
        Written::Broken(cause) => Problem::internal(&cause),
        Written::Recorded(..) => Problem::internal("a recorded job was taken for a failure"),
    }
}

fn answer(document: JobDocument, replayed: bool, wait: Option<Wait>) -> Response {
    let location = HeaderValue::from_str(document.location()).ok();
    // Only who waits is told by the status; to everybody else it is recorded, and that is a 202.
    let mut response = match (wait, document.state()) {
        (None, _) | (Some(_), JobState::Queued | JobState::Parked) => {
            (StatusCode::ACCEPTED, Json(document)).into_response()
        }
        (Some(_), JobState::Settled) => (StatusCode::OK, Json(document)).into_response(),
        (Some(_), JobState::Rejected | JobState::Cancelled) => Problem::rejected(document).into_response(),
    };
    let headers = response.headers_mut();
    if let Some(location) = location {
        headers.insert(header::LOCATION, location);
    }
    if replayed {
        headers.insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
    if let Some(applied) = wait.and_then(|wait| HeaderValue::from_str(&format!("wait={}", wait.seconds)).ok()) {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    response
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use jobs::{AnyJob, Assets, PrincipalId};
    use serde_json::json;

    use super::{ask, canonical};

    #[test]
    fn the_canonical_text_is_sorted_and_bare() {
        assert_eq!(
            canonical(&json!({"b": {"z": 1, "a": [{"y": "ä", "x": null}]}, "a": "\""})),
            r#"{"a":"\"","b":{"a":[{"x":null,"y":"ä"}],"z":1}}"#
        );
    }

    #[test]
    fn spelling_does_not_change_the_hash_but_actor_kind_and_trade_do() {
        let hash = |submitter, kind, text| {
            let job = AnyJob::read(kind, text).unwrap();
            ask(PrincipalId(submitter), "k".to_owned(), None, &job, &Assets::default()).unwrap().payload_hash
        };
        let one = hash(100, "release", r#"{"trade_id":"7","user_id":"3"}"#);
        assert_eq!(one, hash(100, "release", r#"{ "user_id": "\u0033", "trade_id": "7" }"#));
        assert_ne!(one, hash(101, "release", r#"{"trade_id":"7","user_id":"3"}"#));
        assert_ne!(one, hash(100, "refund", r#"{"trade_id":"7","user_id":"3"}"#));
        assert_ne!(one, hash(100, "release", r#"{"trade_id":"8","user_id":"3"}"#));
        assert_ne!(one, hash(100, "release", r#"{"trade_id":"7","user_id":"4"}"#));
    }

    #[test]
    fn clients_cannot_ask_for_internal_kinds() {
        let job = AnyJob::read("deposit-credit", r#"{"inbox_id":"7"}"#).unwrap();
        let refused = ask(PrincipalId(100), "k".to_owned(), None, &job, &Assets::default()).unwrap_err();
        assert_eq!(refused.code(), "kind_internal");
    }
}
