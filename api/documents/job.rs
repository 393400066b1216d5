//! A job as clients see it, and read by its id.

use chrono::{DateTime, Utc};
use jobs::{AnyJob, Subject};
use ledger::JobId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::outcome::Outcome;
use crate::documents::parked::ParkedDocument;
use crate::documents::texts::{CodeText, Id, PathText};
use crate::documents::time::Time;

/// A job as a client sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Job)]
pub(crate) struct JobDocument {
    #[schema(value_type = Id)]
    id: String,
    #[schema(pattern = "^[a-z][a-z-]*$")]
    kind: String,
    state: JobState,
    /// Why it was rejected, cancelled or parked: a stable code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CodeText)]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Value)]
    result: Option<Value>,
    #[schema(minimum = 0)]
    attempts: i32,
    received_at: Time,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Time)]
    finished_at: Option<Time>,
    /// When it is to run next.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Time)]
    run_at: Option<Time>,
    /// What it waits for, or why it did not work the last time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = String)]
    last_error: Option<String>,
    /// What an operator should know of a parked job.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = ParkedDocument)]
    parked: Option<ParkedDocument>,
    /// When the stored payload was dropped because of its age; absent while it is kept. The job still
    /// says what came of it, and its key is good for ever. `user_id` may be missing then.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Time)]
    payload_dropped_at: Option<Time>,
    #[serde(flatten)]
    about: About,
    links: Links,
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum JobState {
    Queued,
    Settled,
    Rejected,
    Cancelled,
    Parked,
}

/// The person, trade or withdrawal that a job is about; what it brings into being has its own id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "they are the names in the document")]
pub(crate) struct About {
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    #[schema(value_type = Id)]
    user_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    #[schema(value_type = Id)]
    trade_id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "as_text")]
    #[schema(value_type = Id)]
    withdrawal_id: Option<i64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = JobLinks)]
struct Links {
    #[serde(rename = "self")]
    #[schema(value_type = PathText)]
    job: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PathText)]
    trade: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PathText)]
    withdrawal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = PathText)]
    balances: Option<String>,
}

impl JobState {
    /// The word for it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Settled => "settled",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Parked => "parked",
        }
    }

    /// Where a job stands that has this outcome, if any, or is parked.
    pub(crate) fn of(status: Option<&str>, parked: bool) -> Self {
        let waiting = if parked { Self::Parked } else { Self::Queued };
        status.and_then(Self::of_status).unwrap_or(waiting)
    }

    pub(crate) fn of_status(status: &str) -> Option<Self> {
        match status {
            "settled" => Some(Self::Settled),
            "rejected" => Some(Self::Rejected),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

impl About {
    /// The names of a subject in a document; `None` where nobody knows what a job is about.
    fn of(subject: Option<Subject>) -> Self {
        let about = Self::default();
        match subject {
            Some(Subject::Trade(id)) => Self { trade_id: Some(id.0), ..about },
            Some(Subject::Withdrawal(id)) => Self { withdrawal_id: Some(id.0), ..about },
            Some(Subject::Person(id)) => Self { user_id: Some(id.0), ..about },
            Some(Subject::Payment(_) | Subject::Job(_)) | None => about,
        }
    }
}

impl JobDocument {
    /// The document of a job that was recorded just now.
    pub(crate) fn queued(id: i64, job: &AnyJob, received_at: DateTime<Utc>) -> Self {
        let (kind, about) = (job.info().name, About::of(Some(job.subject(JobId(id)))));
        Self {
            id: id.to_string(),
            kind: kind.to_owned(),
            state: JobState::Queued,
            reason: None,
            result: None,
            attempts: 0,
            received_at: received_at.into(),
            finished_at: None,
            run_at: Some(received_at.into()),
            last_error: None,
            parked: None,
            payload_dropped_at: None,
            about,
            links: links(id, about),
        }
    }

    /// The same job, now that it has ended.
    #[must_use]
    pub(crate) fn ended(self, outcome: Outcome) -> Self {
        Self {
            state: JobState::of_status(&outcome.status).unwrap_or(self.state),
            reason: outcome.reason,
            result: outcome.result,
            attempts: outcome.attempts,
            finished_at: Some(outcome.finished_at.into()),
            run_at: None,
            last_error: None,
            parked: None,
            ..self
        }
    }

    pub(crate) const fn state(&self) -> JobState {
        self.state
    }

    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(crate) fn location(&self) -> &str {
        &self.links.job
    }
}

fn links(id: i64, about: About) -> Links {
    Links {
        job: format!("/v1/jobs/{id}"),
        trade: about.trade_id.map(|trade| format!("/v1/trades/{trade}")),
        withdrawal: about.withdrawal_id.map(|withdrawal| format!("/v1/withdrawals/{withdrawal}")),
        balances: about.user_id.map(|user| format!("/v1/users/{user}/balances")),
    }
}

#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn as_text<S: serde::Serializer>(id: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    match id {
        Some(id) => serializer.collect_str(id),
        None => serializer.serialize_none(),
    }
}

/// A job and wherever it is, as it is stored.
#[derive(Debug)]
pub(crate) struct JobRow {
    pub(crate) id: i64,
    pub(crate) kind: String,
    pub(crate) received_at: DateTime<Utc>,
    pub(crate) named: Option<String>,
    pub(crate) run_at: Option<DateTime<Utc>>,
    pub(crate) attempt: Option<i32>,
    pub(crate) last_error: Option<String>,
    pub(crate) parked_reason: Option<String>,
    pub(crate) parked_attempt: Option<i32>,
    pub(crate) parked_detail: Option<String>,
    pub(crate) parked_at: Option<DateTime<Utc>>,
    pub(crate) waits_for_second: bool,
    pub(crate) status: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) result: Option<Value>,
    pub(crate) attempts: Option<i32>,
    pub(crate) finished_at: Option<DateTime<Utc>>,
    pub(crate) payload_dropped_at: Option<DateTime<Utc>>,
}

impl From<JobRow> for JobDocument {
    fn from(row: JobRow) -> Self {
        let id = row.id;
        let state = JobState::of(row.status.as_deref(), row.parked_reason.is_some());
        let parked = match (&row.parked_reason, row.parked_detail, row.parked_at) {
            (Some(reason), Some(detail), Some(at)) => {
                Some(ParkedDocument::new(&row.kind, reason, detail, at, row.waits_for_second))
            }
            (None, _, _) | (_, None, _) | (_, _, None) => None,
        };
        let named = row.named.and_then(|text| text.parse().ok());
        // Of a kind that a newer release has brought nothing is known.
        let about = About::of(jobs::kind_info(&row.kind).and_then(|kind| kind.about.subject(JobId(id), named)));
        Self {
            id: id.to_string(),
            kind: row.kind,
            state,
            reason: row.reason.or(row.parked_reason),
            result: row.result,
            attempts: row.attempts.or(row.attempt).or(row.parked_attempt).unwrap_or(0),
            received_at: row.received_at.into(),
            finished_at: row.finished_at.map(Time::from),
            run_at: row.run_at.map(Time::from),
            last_error: row.last_error,
            parked,
            payload_dropped_at: row.payload_dropped_at.map(Time::from),
            about,
            links: links(id, about),
        }
    }
}

/// The document of a job, in one snapshot: it is in the outbox, parked or ended, and never two of
/// these.
pub(crate) async fn find(pool: &PgPool, id: i64) -> Result<Option<JobDocument>, sqlx::Error> {
    let row = sqlx::query_as!(
        JobRow,
        r#"
        select j.id, j.kind, j.received_at,
            coalesce(j.payload ->> 'trade_id', j.payload ->> 'withdrawal_id', j.payload ->> 'user_id') as named,
            b.run_at as "run_at?", b.attempt as "attempt?", b.last_error as "last_error?",
            p.reason as "parked_reason?", p.attempt as "parked_attempt?", p.detail as "parked_detail?",
            p.parked_at as "parked_at?",
            exists (select from parked_decision d where d.job_id = p.job_id and d.parked_at = p.parked_at
                and d.at > (select clock()) - interval '24 hours') as "waits_for_second!",
            x.status as "status?", x.reason as "reason?", x.result as "result?", x.attempts as "attempts?",
            x.finished_at as "finished_at?",
            (select g.detached_at from retention g where g.part = j.id >> 24) as "payload_dropped_at?"
        from job j
        left join outbox b on b.job_id = $1
        left join parked p on p.job_id = $1
        left join outcome x on x.job_id = $1
        where j.id = $1
        "#,
        id,
    )
    .fetch_optional(pool)
    .await?;
    Ok(row.map(JobDocument::from))
}
