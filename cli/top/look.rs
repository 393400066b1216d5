use chrono::{DateTime, Utc};
use jobs::Lane;
use sqlx::{PgConnection, PgPool};

/// How many of the jobs that are due next are told apart by their kinds, for each lane: they are
/// looked up one by one, and this is done once a second.
const TOLD_APART: i64 = 5_000;
/// How many outcomes are looked through for those of the last second.
const OUTCOMES_MAX: i64 = 20_000;

/// Everything that is shown, read in one snapshot.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) at: DateTime<Utc>,
    pub(super) schema: i32,
    pub(super) ended: Ended,
    pub(super) verified: Option<Verified>,
    pub(super) lanes: Vec<LaneDepth>,
    pub(super) kinds: Vec<KindDepth>,
    pub(super) parked: Vec<Parked>,
    pub(super) pauses: Vec<Paused>,
    pub(super) workers: Vec<Worker>,
}

/// What ended within the last second.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) settled: i64,
    pub(super) rejected: i64,
    pub(super) cancelled: i64,
}

/// The last verification.
#[derive(Debug)]
pub(super) struct Verified {
    pub(super) age_ms: i64,
    pub(super) clean: bool,
    pub(super) checks: i32,
    pub(super) took_ms: i64,
}

/// What is queued in a lane.
#[derive(Debug)]
pub(super) struct LaneDepth {
    pub(super) lane: String,
    pub(super) due: i64,
    pub(super) later: i64,
    /// How long the first one has been due.
    pub(super) oldest_ms: Option<i64>,
}

/// What is queued of a kind, among the first of its lane.
#[derive(Debug)]
pub(super) struct KindDepth {
    pub(super) kind: String,
    pub(super) lane: String,
    pub(super) due: i64,
    pub(super) later: i64,
    /// Those of `later` that a pause has put off.
    pub(super) put_off: i64,
}

/// What needs a person.
#[derive(Debug)]
pub(super) struct Parked {
    pub(super) kind: String,
    pub(super) reason: String,
    pub(super) jobs: i64,
    pub(super) oldest_ms: i64,
}

/// What is paused.
#[derive(Debug)]
pub(super) struct Paused {
    pub(super) scope: String,
    pub(super) name: String,
    pub(super) age_ms: i64,
    pub(super) by: String,
    pub(super) reason: String,
}

/// A run of a worker that has not ended, or not in good order.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) name: String,
    pub(super) lane: String,
    pub(super) beat_ms: i64,
    pub(super) holding: i32,
    pub(super) unclean: bool,
}

/// Reads all of it.
///
/// # Errors
/// Any error of the database.
pub(super) async fn look(pool: &PgPool) -> Result<Look, sqlx::Error> {
    let mut tx = outbox::begin_as(pool, "begin isolation level repeatable read read only").await?;
    let seen = sqlx::query!(r#"select clock() as "at!", version from schema"#).fetch_one(&mut *tx).await?;
    let look = Look {
        at: seen.at,
        schema: seen.version,
        ended: ended(&mut tx).await?,
        verified: verified(&mut tx).await?,
        lanes: lanes(&mut tx).await?,
        kinds: kinds(&mut tx).await?,
        parked: parked(&mut tx).await?,
        pauses: pauses(&mut tx).await?,
        workers: workers(&mut tx).await?,
    };
    tx.rollback().await?;
    Ok(look)
}

/// Outcomes are not indexed by time. Those of the last second are among the newest jobs, or where
/// there is a backlog, among those that stand just before the first that is queued.
async fn ended(db: &mut PgConnection) -> Result<Ended, sqlx::Error> {
    sqlx::query_as!(
        Ended,
        r#"
        select count(*) filter (where status = 'settled') as "settled!",
            count(*) filter (where status = 'rejected') as "rejected!",
            count(*) filter (where status = 'cancelled') as "cancelled!"
        from (
            (select job_id, status, finished_at from outcome order by job_id desc limit $1)
            union
            (select job_id, status, finished_at from outcome
                where job_id < (select min(job_id) from outbox where lane = 'ledger') order by job_id desc limit $1)
        ) o
        where finished_at > (select clock()) - interval '1 second'
        "#,
        OUTCOMES_MAX,
    )
    .fetch_one(db)
    .await
}

async fn verified(db: &mut PgConnection) -> Result<Option<Verified>, sqlx::Error> {
    sqlx::query_as!(
        Verified,
        r#"
        select (extract(epoch from (select clock()) - at) * 1000)::bigint as "age_ms!", clean, checks, took_ms
        from verification order by at desc limit 1
        "#
    )
    .fetch_optional(db)
    .await
}

async fn lanes(db: &mut PgConnection) -> Result<Vec<LaneDepth>, sqlx::Error> {
    let lanes = Lane::ALL.map(Lane::as_str);
    sqlx::query_as!(
        LaneDepth,
        r#"
        select l.lane as "lane!", coalesce(q.due, 0) as "due!", coalesce(q.later, 0) as "later!",
            (extract(epoch from (select clock()) - q.first) * 1000)::bigint as oldest_ms
        from unnest($1::text[]) with ordinality as l (lane, place)
        left join (
            select lane, count(*) filter (where run_at <= (select clock())) as due,
                count(*) filter (where run_at > (select clock())) as later,
                min(run_at) filter (where run_at <= (select clock())) as first
            from outbox group by lane
        ) q on q.lane = l.lane
        order by l.place
        "#,
        &lanes as _,
    )
    .fetch_all(db)
    .await
}

async fn kinds(db: &mut PgConnection) -> Result<Vec<KindDepth>, sqlx::Error> {
    let lanes = Lane::ALL.map(Lane::as_str);
    sqlx::query_as!(
        KindDepth,
        r#"
        select coalesce(j.kind, '(no job)') as "kind!", q.lane as "lane!",
            count(*) filter (where q.run_at <= (select clock())) as "due!",
            count(*) filter (where q.run_at > (select clock())) as "later!",
            count(*) filter (where q.run_at > (select clock()) and q.last_error like 'paused: %') as "put_off!"
        from unnest($1::text[]) as l (lane)
        cross join lateral (
            select job_id, lane, run_at, last_error from outbox where lane = l.lane order by run_at, job_id limit $2
        ) q
        left join job j on j.id = q.job_id
        group by 1, 2
        order by count(*) desc, 1
        "#,
        &lanes as _,
        TOLD_APART,
    )
    .fetch_all(db)
    .await
}

async fn parked(db: &mut PgConnection) -> Result<Vec<Parked>, sqlx::Error> {
    sqlx::query_as!(
        Parked,
        r#"
        select coalesce(j.kind, '(no job)') as "kind!", p.reason, count(*) as "jobs!",
            (extract(epoch from (select clock()) - min(p.parked_at)) * 1000)::bigint as "oldest_ms!"
        from (select * from parked order by job_id desc limit $1) p
        left join job j on j.id = p.job_id
        group by 1, 2
        order by 3 desc, 1, 2
        "#,
        TOLD_APART,
    )
    .fetch_all(db)
    .await
}

async fn pauses(db: &mut PgConnection) -> Result<Vec<Paused>, sqlx::Error> {
    sqlx::query_as!(
        Paused,
        r#"
        select u.scope, u.name, (extract(epoch from (select clock()) - u.since) * 1000)::bigint as "age_ms!",
            p.name as "by", u.reason
        from pause u join principal p on p.id = u.principal_id
        order by u.scope, u.name
        "#
    )
    .fetch_all(db)
    .await
}

async fn workers(db: &mut PgConnection) -> Result<Vec<Worker>, sqlx::Error> {
    sqlx::query_as!(
        Worker,
        r#"
        select name, lane, (extract(epoch from (select clock()) - beat_at) * 1000)::bigint as "beat_ms!",
            cardinality(holding) as "holding!", end_kind is not null as "unclean!"
        from worker_run where end_kind is null or end_kind = 'unclean'
        order by lane, name, id
        "#
    )
    .fetch_all(db)
    .await
}
