//! Jobs: one, or the list of them for operators.

use axum::Json;
use axum::extract::State;
use jobs::{JobRef, kind_info};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::job::{JobDocument, JobRow, JobState, find};
use crate::documents::texts::Id;
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Page};
use crate::http::path::{InPath, Thing};
use crate::http::problem::Problem;
use crate::http::query::InQuery;
use crate::openapi::answers::{JobUnknown, JobsQueryRefused};
use crate::state::Api;

/// Get a job
///
/// What was asked, and what came of it. Every key that may read sees every job: one database
/// serves one exchange.
#[utoipa::path(
    get, path = "/v1/jobs/{id}", tag = "jobs", security(("key" = ["read"])),
    params(("id" = Id, Path, description = "The job")),
    responses((status = 200, description = "As it stands", body = JobDocument), JobUnknown),
)]
pub(crate) async fn get_job(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<JobRef>,
) -> Result<Json<JobDocument>, Problem> {
    find(&api.pool, id.0).await?.map(Json).ok_or_else(JobRef::unknown)
}

/// What a client asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only jobs in this state.
    #[param(nullable = false)]
    state: Option<JobState>,
    /// Only jobs of this kind.
    #[param(nullable = false)]
    kind: Option<String>,
    /// Only jobs about this trade or job, and the job of this id itself.
    #[param(value_type = Option<Id>, nullable = false)]
    subject: Option<String>,
    /// How many at most; 50 unless said otherwise.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// One page, newest first. A page may have fewer jobs than the limit, even none, and yet not be
/// the last: `next_cursor` is null on that one only.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Jobs)]
pub(crate) struct JobsDocument {
    jobs: Vec<JobDocument>,
    next_cursor: Option<String>,
}

/// List jobs
///
/// Newest first. A page may have fewer jobs than the limit, even none, and yet not be the last:
/// `next_cursor` is null on that one only.
#[utoipa::path(
    get, path = "/v1/jobs", tag = "operations", security(("key" = ["read"])), params(Wanted),
    responses((status = 200, description = "One page", body = JobsDocument,
        example = json!({ "jobs": [], "next_cursor": null })), JobsQueryRefused),
)]
pub(crate) async fn get_jobs(
    _: Reader,
    State(api): State<Api>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<JobsDocument>, Problem> {
    if wanted.kind.as_deref().is_some_and(|kind| kind_info(kind).is_none()) {
        return Err(Problem::invalid("kind_unknown", "No such kind of job").field("kind"));
    }
    let subject = wanted.subject.as_deref().map(str::parse::<JobRef>).transpose();
    let subject =
        subject.map_err(|_| Problem::bad_request("query_invalid", "subject is not an id").field("subject"))?;
    let list = Jobs { state: wanted.state, kind: wanted.kind.as_deref(), subject: subject.map(|id| id.0) };
    let page = Page::of(list, wanted.limit, wanted.cursor.as_deref())?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    Ok(Json(JobsDocument { jobs: rows.into_iter().map(JobDocument::from).collect(), next_cursor }))
}

#[derive(Clone, Copy, Debug)]
struct Jobs<'a> {
    state: Option<JobState>,
    kind: Option<&'a str>,
    subject: Option<i64>,
}

impl List for Jobs<'_> {
    type Row = JobRow;
    type Place = i64;

    /// Without the filters: an operator may change them and go on from where they are.
    fn name(&self) -> ListName {
        ListName::of("jobs")
    }

    async fn read(
        &self,
        pool: &PgPool,
        from: Option<i64>,
        limit: Limit,
    ) -> Result<(Vec<JobRow>, Option<i64>), Problem> {
        let max = limit.looked_at_max(self.state.is_some() || self.kind.is_some() || self.subject.is_some());
        let state = self.state.map_or("", JobState::as_str);
        let ids = places(pool, state, from.unwrap_or(i64::MAX), max).await?;
        let rows = rows(pool, &ids, state, self, limit.rows_max()).await?;
        Ok(limit.cut_of_looked_at(rows, |row| row.id, &ids, max))
    }
}

/// The newest jobs that are in the place where jobs of this state are, newest first.
async fn places(pool: &PgPool, state: &str, before: i64, max: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select p.id as "id!" from (
            (select job_id as id from parked where $1 = 'parked' and job_id < $2 order by job_id desc limit $3)
            union all
            (select job_id from outbox where $1 = 'queued' and job_id < $2 order by job_id desc limit $3)
            union all
            (select job_id from outcome where $1 in ('settled', 'rejected', 'cancelled') and job_id < $2
                order by job_id desc limit $3)
            union all
            (select id from job where $1 = '' and id < $2 order by id desc limit $3)
        ) p
        order by p.id desc
        "#,
        state,
        before,
        max,
    )
    .fetch_all(pool)
    .await
}

async fn rows(
    pool: &PgPool,
    places: &[i64],
    state: &str,
    wanted: &Jobs<'_>,
    max: i64,
) -> Result<Vec<JobRow>, sqlx::Error> {
    let (Some(last), Some(first)) = (places.first(), places.last()) else {
        return Ok(Vec::new());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    sqlx::query_as!(
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
        left join outbox b on b.job_id = j.id
        left join parked p on p.job_id = j.id
        left join outcome x on x.job_id = j.id and x.job_id between $2 and $3
        where j.id = any ($1) and j.id between $2 and $3
            and ($4 = '' or $4 = coalesce(x.status, case when p.job_id is not null then 'parked' else 'queued' end))
            and ($5::text is null or j.kind = $5)
            and ($6::bigint is null or j.id = $6 or (b.subject = $6 and b.subject_type is distinct from 'payment')
                or (p.subject = $6 and p.subject_type is distinct from 'payment')
                or $6::text in (j.payload ->> 'trade_id', j.payload ->> 'withdrawal_id', j.payload ->> 'job_id'))
        order by j.id desc
        limit $7
        "#,
        places,
        first,
        last,
        state,
        wanted.kind,
        wanted.subject,
        max,
    )
    .fetch_all(pool)
    .await
}
