use chrono::{DateTime, Utc};
use sqlx::PgPool;

/// The oldest schema whose binaries know that payloads may be gone.
pub const RETENTION_SCHEMA: i32 = 11;

/// The fewest months that anybody may keep; the database has the same figure.
pub const RETENTION_MONTHS_MIN: i32 = 3;

/// What a retention would do and has done: every partition of job, the oldest first.
#[derive(Clone, Debug)]
pub struct RetentionPlan {
    /// The beginning of the months that are kept, by `clock()`, in UTC: what was received or ended
    /// since then stays.
    pub cutoff: DateTime<Utc>,
    /// Each partition, and what becomes of its payloads.
    pub partitions: Vec<PayloadPartition>,
    /// The oldest schema number whose binaries may still run.
    pub oldest_binary: i32,
}

/// A partition of job.
#[derive(Clone, Debug)]
pub struct PayloadPartition {
    /// Its number: the ids of its jobs divided by 2^24.
    pub number: i64,
    /// Its name.
    pub name: String,
    /// How many jobs it has; counted where they are due or are gone, else the server's estimate.
    pub jobs: i64,
    /// Its size now, indexes included.
    pub bytes: i64,
    /// When its first and last job by id were received; `None` where it has none.
    pub received: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// What becomes of its payloads.
    pub fate: PayloadFate,
    /// A table that an earlier run has filled or emptied and not put away lies beside it.
    pub leftover: Option<Leftover>,
}

/// What becomes of the payloads of a partition, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PayloadFate {
    /// Old enough, and everything in it has ended.
    Due,
    /// Gone, since when and by whom.
    Dropped {
        /// When they left the table job.
        at: DateTime<Utc>,
        /// Who did it, as they said.
        by: String,
        /// Its size before.
        bytes_before: i64,
    },
    /// Jobs are recorded in it now.
    Current,
    /// It is for jobs to come.
    ToCome,
    /// It has no jobs, which can only be so where ids were skipped.
    Empty,
    /// A job in it was received or ended then, which is not before the months that are kept.
    Young(DateTime<Utc>),
    /// So many of its jobs have no outcome or are queued or parked; the first of them.
    Unfinished(i64, i64),
}

/// What an interrupted run left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leftover {
    /// The copy of what is kept is made, and not in its place.
    Copied,
    /// The copy is in its place; the table with the payloads is not dropped.
    Spent,
}

/// A partition as it is listed.
#[derive(Debug)]
struct Listed {
    part: i64,
    name: String,
    bytes: i64,
    about: i64,
    current: i64,
    copied: bool,
    spent: bool,
    done_by: Option<String>,
    detached_at: Option<DateTime<Utc>>,
    jobs: Option<i64>,
    received_from: Option<DateTime<Utc>>,
    received_to: Option<DateTime<Utc>>,
    bytes_before: Option<i64>,
}

/// Looks which payloads are due when so many whole months are kept besides the current one. Reads
/// only. Partitions that are due, or would be if everything in them had ended, are read whole.
///
/// # Errors
/// Any error of the database.
pub async fn retention_plan(db: &PgPool, months: i32) -> Result<RetentionPlan, sqlx::Error> {
    let now = sqlx::query!(
        r#"
        select (date_trunc('month', clock() at time zone 'UTC') - make_interval(months => $1)) at time zone 'UTC'
            as "cutoff!", oldest_binary from schema
        "#,
        months,
    )
    .fetch_one(db)
    .await?;
    let mut partitions = Vec::new();
    for listed in list(db).await? {
        partitions.push(look(db, listed, now.cutoff).await?);
    }
    Ok(RetentionPlan { cutoff: now.cutoff, partitions, oldest_binary: now.oldest_binary })
}

async fn list(db: &PgPool) -> Result<Vec<Listed>, sqlx::Error> {
    sqlx::query_as!(
        Listed,
        r#"
        select p.part as "part!", p.name as "name!", pg_total_relation_size(p.oid) as "bytes!",
            greatest(p.reltuples, 0)::bigint as "about!", s.current as "current!",
            to_regclass(p.name || '_kept') is not null as "copied!",
            to_regclass(p.name || '_spent') is not null as "spent!",
            g.done_by as "done_by?", g.detached_at as "detached_at?", g.jobs as "jobs?",
            g.received_from as "received_from?", g.received_to as "received_to?", g.bytes_before as "bytes_before?"
        from (
            select c.oid, c.relname::text as name, right(c.relname, 6)::bigint as part, c.reltuples
            from pg_inherits i join pg_class c on c.oid = i.inhrelid
            where i.inhparent = to_regclass('job')
        ) p
        cross join (
            select greatest((select max(id) from job), (
                select last_value from pg_sequences where schemaname = current_schema() and sequencename = 'job_id'
            ), 0) >> 24 as current
        ) s
        left join retention g on g.part = p.part
        order by p.part
        "#
    )
    .fetch_all(db)
    .await
}

async fn look(db: &PgPool, listed: Listed, cutoff: DateTime<Utc>) -> Result<PayloadPartition, sqlx::Error> {
    let leftover = match (listed.spent, listed.copied) {
        (true, _) => Some(Leftover::Spent),
        (false, true) => Some(Leftover::Copied),
        (false, false) => None,
    };
    let mut found = PayloadPartition {
        number: listed.part,
        name: listed.name,
        jobs: listed.jobs.unwrap_or(listed.about),
        bytes: listed.bytes,
        received: listed.received_from.zip(listed.received_to),
        fate: PayloadFate::Due,
        leftover,
    };
    if let (Some(at), Some(by), Some(bytes_before)) = (listed.detached_at, listed.done_by, listed.bytes_before) {
        found.fate = PayloadFate::Dropped { at, by, bytes_before };
        return Ok(found);
    }
    let (low, high) = range(listed.part);
    found.received = ends(db, low, high).await?;
    found.fate = match found.received {
        _ if listed.part > listed.current => PayloadFate::ToCome,
        _ if listed.part == listed.current => PayloadFate::Current,
        None => PayloadFate::Empty,
        Some((_, last)) if last >= cutoff => PayloadFate::Young(last),
        Some(_) => {
            let (jobs, fate) = read(db, low, high, cutoff).await?;
            found.jobs = jobs;
            fate
        }
    };
    Ok(found)
}

/// The ids of a partition, both inclusive.
const fn range(part: i64) -> (i64, i64) {
    (part << 24, (part << 24) | 0xFF_FFFF)
}

/// When the first and the last job by id were received.
async fn ends(db: &PgPool, low: i64, high: i64) -> Result<Option<(DateTime<Utc>, DateTime<Utc>)>, sqlx::Error> {
    let ends = sqlx::query!(
        r#"
        select (select received_at from job where id between $1 and $2 order by id limit 1) as first,
            (select received_at from job where id between $1 and $2 order by id desc limit 1) as last
        "#,
        low,
        high,
    )
    .fetch_one(db)
    .await?;
    Ok(ends.first.zip(ends.last))
}

/// Reads every job of a partition: how many there are, and what becomes of their payloads.
async fn read(db: &PgPool, low: i64, high: i64, cutoff: DateTime<Utc>) -> Result<(i64, PayloadFate), sqlx::Error> {
    let all = sqlx::query!(
        r#"
        select count(*) as "jobs!", greatest(max(j.received_at), max(o.finished_at)) as "newest!",
            count(*) filter (where o.job_id is null or q.job_id is not null or p.job_id is not null) as "unfinished!",
            min(j.id) filter (where o.job_id is null or q.job_id is not null or p.job_id is not null) as first
        from job j
        left join outcome o on o.job_id = j.id and o.job_id between $1 and $2
        left join outbox q on q.job_id = j.id and q.job_id between $1 and $2
        left join parked p on p.job_id = j.id and p.job_id between $1 and $2
        where j.id between $1 and $2
        "#,
        low,
        high,
    )
    .fetch_one(db)
    .await?;
    let fate = match all.first {
        Some(first) => PayloadFate::Unfinished(all.unfinished, first),
        None if all.newest >= cutoff => PayloadFate::Young(all.newest),
        None => PayloadFate::Due,
    };
    Ok((all.jobs, fate))
}

/// Copies what is kept of a partition into a table beside it, and closes its range to new jobs. It
/// takes as long as reading the partition does, and nothing that is in use changes. How many jobs.
///
/// # Errors
/// The database refuses (23514) what must stay, whatever the plan said; or somebody else holds the
/// partition (55P03). Nothing is changed then.
pub async fn copy_kept(db: &PgPool, part: i64, months: i32) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select retention_copy($1, $2) as "jobs!""#, part, months).fetch_one(db).await
}

/// Compares the copy with the partition, row by row, and puts it in its place.
///
/// # Errors
/// As [`copy_kept`]; 55P03 where a long transaction reads jobs, or settling does not pause for a
/// moment within a second. The copy stays for the next time.
pub async fn swap_in(db: &PgPool, part: i64, months: i32, done_by: &str) -> Result<(), sqlx::Error> {
    sqlx::query!("select retention_swap($1, $2, $3)", part, months, done_by).fetch_one(db).await.map(|_| ())
}

/// Drops the table whose place a copy has taken; false where there is none any more.
///
/// # Errors
/// As [`copy_kept`].
pub async fn drop_spent(db: &PgPool, part: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select retention_drop($1) as "was_there!""#, part).fetch_one(db).await
}
