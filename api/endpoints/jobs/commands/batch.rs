use std::collections::HashSet;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use jobs::{
    AnyJob, Assets, BadPayload, Kind, LockEscrow, Origin, PrincipalId, Scope, Subject, SubjectType, TradeId, kind_info,
};
use outbox::{Ask, Recorded};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::texts::{Id, KeyText};
use crate::http::auth::Submitter;
use crate::http::body::{BATCH_BYTES_MAX, read_json};
use crate::http::headers::{is_key, malformed_key, trace_parent};
use crate::http::path::Thing;
use crate::http::problem::{Problem, ProblemDocument};
use crate::http::request_id::RequestId;
use crate::intake::recorder::Written;
use crate::intake::shape;
use crate::intake::submit::{ask, failure};
use crate::openapi::answers::Batched;
use crate::openapi::params::AskingMany;
use crate::state::Api;

/// How many jobs one request may ask for.
pub(crate) const JOBS_MAX: usize = 1_000;

/// The body, which [`crate::endpoints::jobs::commands::batch_items`] describes: each job is read
/// by itself, so that a bad one does not fail the others.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Batch<'a> {
    #[serde(borrow)]
    jobs: Vec<&'a RawValue>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item<'a> {
    kind: String,
    key: String,
    #[serde(borrow)]
    payload: &'a RawValue,
}

/// The answers, in the order of the jobs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchAnswer)]
pub(crate) struct BatchDocument {
    jobs: Vec<Answer>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchItemAnswer)]
struct Answer {
    /// As it was sent; null where none could be read.
    #[schema(value_type = Option<KeyText>)]
    key: Option<String>,
    status: Status,
    /// The job that the key names.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Id)]
    job_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ProblemDocument)]
    error: Option<ProblemDocument>,
}

#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = BatchItemStatus)]
enum Status {
    New,
    Replay,
    Conflict,
    Invalid,
}

/// An item that was read: its key if it has one, and the job, or why there is none.
struct Read {
    key: Option<String>,
    job: Result<(AnyJob, Ask), Problem>,
}

/// Create jobs in a batch
///
/// 1 to 1000 jobs, each under its own key, in one commit. Each is answered by itself: one that is
/// not valid does not keep the others from being recorded.
#[utoipa::path(
    post, path = "/v1/jobs:batch", tag = "jobs", security(("key" = ["submit"])),
    params(AskingMany), request_body = Batch<'_>,
    responses(
        (status = 202, description = "The answers, in the order of the jobs", body = BatchDocument, example = json!({
            "jobs": [
                { "key": "ann", "status": "new", "job_id": "1" },
                { "key": "ben", "status": "new", "job_id": "2" },
            ],
        })),
        Batched,
    ),
)]
pub(crate) async fn post_batch(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    Extension(request_id): Extension<RequestId>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<BatchDocument>), Problem> {
    let text = read_json(&headers, body, BATCH_BYTES_MAX, api.body_within.0).await?;
    let batch: Batch<'_> = shape::read(&text, serde_json::from_str)?;
    if !(1..=JOBS_MAX).contains(&batch.jobs.len()) {
        let detail = format!("A batch has 1 to {JOBS_MAX} jobs, this one has {}", batch.jobs.len());
        return Err(Problem::invalid("batch_size", detail).field("jobs"));
    }
    api.access.rates.batch(submitter, batch.jobs.len())?;
    let assets = api.assets.current().await;
    let trace = trace_parent(&headers);
    let mut items: Vec<Read> = batch.jobs.iter().map(|raw| read(raw, submitter, trace.as_ref(), &assets)).collect();
    refuse_unknown_trades(&api, &mut items).await?;

    // Jobs are recorded together and answered apart.
    let mut asks = Vec::with_capacity(items.len());
    let mut answers: Vec<Option<Answer>> = Vec::with_capacity(items.len());
    let mut keys = Vec::with_capacity(items.len());
    for item in items {
        match item.job {
            Ok((_, ask)) => {
                asks.push(ask);
                answers.push(None);
                keys.push(item.key);
            }
            Err(problem) => answers.push(Some(Answer {
                key: item.key,
                status: Status::Invalid,
                job_id: None,
                error: Some(problem.document(&request_id)),
            })),
        }
    }
    let written = if asks.is_empty() { Vec::new() } else { api.intake.recorder.record(asks).await? };
    let mut recorded = Vec::with_capacity(written.len());
    for (key, written) in keys.into_iter().zip(written) {
        recorded.push(answer(key, written, &request_id)?);
    }
    let mut recorded = recorded.into_iter();
    let jobs: Vec<Answer> = answers.into_iter().filter_map(|answer| answer.or_else(|| recorded.next())).collect();
    Ok((StatusCode::ACCEPTED, Json(BatchDocument { jobs })))
}

fn read(raw: &RawValue, submitter: PrincipalId, trace: Option<&String>, assets: &Assets) -> Read {
    let item: Item<'_> = match shape::read(raw.get(), serde_json::from_str) {
        Ok(item) => item,
        Err(problem) => return Read { key: None, job: Err(problem) },
    };
    if !is_key(&item.key) {
        return Read { key: None, job: Err(malformed_key().field("key")) };
    }
    let job = job(&item).and_then(|job| {
        let ask = ask(submitter, item.key.clone(), trace.cloned(), &job, assets)?;
        Ok((job, ask))
    });
    Read { key: Some(item.key), job }
}

fn job(item: &Item<'_>) -> Result<AnyJob, Problem> {
    match kind_info(&item.kind) {
        Some(info) if info.origin == Origin::Client => {}
        // Which internal kinds there are is nobody's business.
        Some(_) | None => return Err(Problem::invalid("kind_unknown", "No such kind of job").field("kind")),
    }
    let job = shape::read(item.payload.get(), |text| match AnyJob::read(&item.kind, text) {
        Ok(job) => Ok(job),
        Err(BadPayload::Shape(error)) => Err(error),
        Err(BadPayload::UnknownKind(kind)) => Err(serde::de::Error::custom(format!("no kind {kind:?}"))),
    })?;
    match job.scope() {
        Scope::Submit => Ok(job),
        // A key that may submit must not decide by way of a batch.
        Scope::Operate => Err(Problem::invalid("kind_single", "Decisions are made one at a time").field("kind")),
    }
}

/// What the single requests are answered with 404.
async fn refuse_unknown_trades(api: &Api, items: &mut [Read]) -> Result<(), Problem> {
    let is_trade = |subject: &Subject| subject.sort() == SubjectType::Trade;
    let named =
        |item: &Read| item.job.as_ref().ok().and_then(|(job, _)| job.named()).filter(is_trade).map(Subject::number);
    let mut ids: Vec<i64> = items.iter().filter_map(named).collect();
    if ids.is_empty() {
        return Ok(());
    }
    ids.sort_unstable();
    ids.dedup();
    let known = known_trades(&api.pool, &ids).await?;
    let known: HashSet<i64> = known.into_iter().collect();
    for item in items {
        if named(item).is_some_and(|id| !known.contains(&id)) {
            item.job = Err(TradeId::unknown().field("trade_id"));
        }
    }
    Ok(())
}

/// Those of the ids that name a trade, be it open, over or still to be opened: the ids of
/// lock-escrow jobs.
async fn known_trades(pool: &PgPool, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(Vec::new());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    sqlx::query_scalar!(
        "select id from job where id = any ($1) and id between $3 and $4 and kind = $2",
        ids,
        LockEscrow::NAME,
        first,
        last,
    )
    .fetch_all(pool)
    .await
}

/// # Errors
/// 503 when it is not known whether the job is recorded: the whole batch is to be sent again.
fn answer(key: Option<String>, written: Written, request_id: &RequestId) -> Result<Answer, Problem> {
    let (status, job_id, error) = match written {
        Written::Recorded(recorded, _) => {
            let (status, error) = match recorded {
                Recorded::New(_) => (Status::New, None),
                Recorded::Replay(_) => (Status::Replay, None),
                Recorded::Conflict(_) => (Status::Conflict, Some(Problem::conflict().field("key"))),
            };
            (status, Some(recorded.job_id().to_string()), error)
        }
        Written::Unavailable(_) => return Err(failure(written)),
        Written::NotStorable | Written::Broken(_) => (Status::Invalid, None, Some(failure(written))),
    };
    Ok(Answer { key, status, job_id, error: error.map(|problem| problem.document(request_id)) })
}
