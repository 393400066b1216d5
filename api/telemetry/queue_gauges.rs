use std::collections::BTreeMap;
use std::time::Duration;

use jobs::{KINDS, Lane, kind_info};
use prometheus::{Gauge, GaugeVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder};
use sqlx::{PgConnection, PgPool};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::telemetry::metrics::register;
use crate::within::within;

/// How long what was read serves everybody who asks.
const FRESH: Duration = Duration::from_secs(1);
/// A monitor must never be what keeps the database busy: it reads along the index and stops where
/// the count stops, instead of sorting a whole backlog first.
const BEGIN: &str = "begin read only; set local statement_timeout = '1s'; \
    set local enable_bitmapscan = off; set local enable_sort = off";
/// When the network is silent.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// How many jobs of a lane are counted, due and scheduled each: a longer queue takes no longer to
/// read. A fifth of a second's worth of reading an index.
const COUNTED_JOBS_MAX: i64 = 500_000;
/// How many of them are counted by kind, which takes a look at each job. Again a fifth of a second.
const COUNTED_BY_KIND_MAX: i64 = 50_000;
/// What stands for a kind that this binary does not know.
const UNKNOWN: &str = "unknown";

/// The state of the queue as all processes see it, read when somebody asks.
#[derive(Debug, Default)]
pub(crate) struct QueueGauges(Mutex<Option<(Instant, String)>>);

/// What is quick to read however long the queue is.
#[derive(Debug)]
struct Outline {
    /// Microseconds since the oldest job that is due fell due, of each lane.
    oldest_due_us: Vec<(String, i64)>,
    parked: Vec<(String, i64)>,
    workers: Vec<(String, i64)>,
    /// Microseconds since the books were last checked, and whether they agreed.
    verified: Option<(i64, bool)>,
}

/// How many jobs there are of a lane, due or not.
type Depth = Vec<(String, bool, i64)>;

/// How many jobs there are of a lane, a kind, and due or not.
type Kinds = Vec<(String, String, bool, i64)>;

impl QueueGauges {
    /// The gauges as text; what could not be read is missing, and a gauge says so.
    ///
    /// # Errors
    /// A metric cannot be written: a fault of ours.
    pub(crate) async fn text(&self, pool: &PgPool) -> Result<String, prometheus::Error> {
        let mut last = self.0.lock().await;
        if let Some((at, text)) = &*last
            && at.elapsed() < FRESH
        {
            return Ok(text.clone());
        }
        let outline = read("outline", pool, async |db| outline(db).await).await;
        let depth = read("depth", pool, async |db| depth(db).await).await;
        let kinds = read("kinds", pool, async |db| kinds(db).await).await;
        let text = write(outline.as_ref(), depth.as_ref(), kinds.as_ref())?;
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

async fn read<T>(
    what: &'static str,
    pool: &PgPool,
    ask: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
) -> Option<T> {
    let asked = async {
        let mut tx = outbox::begin_as(pool, BEGIN).await?;
        let answer = ask(&mut tx).await?;
        tx.commit().await?;
        Ok(answer)
    };
    match within(READ_WITHIN, asked).await {
        Ok(answer) => Some(answer),
        Err(error) => {
            tracing::warn!(%error, what, "the queue could not be read for the metrics");
            None
        }
    }
}

async fn outline(db: &mut PgConnection) -> Result<Outline, sqlx::Error> {
    let lanes = Lane::ALL.map(Lane::as_str);
    let oldest = sqlx::query!(
        r#"
        select l.lane as "lane!", coalesce((
            select (extract(epoch from (select clock()) - run_at) * 1000000)::bigint from outbox
            where lane = l.lane and run_at <= (select clock()) order by lane, run_at, job_id + 0 limit 1
        ), 0) as "us!"
        from unnest($1::text[]) as l (lane)
        "#,
        &lanes as _,
    )
    .fetch_all(&mut *db)
    .await?;
    let parked = sqlx::query!(r#"select reason, count(*) as "jobs!" from parked group by reason"#);
    let parked = parked.fetch_all(&mut *db).await?;
    let workers = sqlx::query!(
        r#"
        select l.lane as "lane!", count(w.id) as "workers!"
        from unnest($1::text[]) as l (lane) left join worker_run w
            on w.lane = l.lane and w.end_kind is null and w.beat_at > (select clock()) - interval '5 seconds'
        group by l.lane
        "#,
        &lanes as _,
    )
    .fetch_all(&mut *db)
    .await?;
    Ok(Outline {
        oldest_due_us: oldest.into_iter().map(|row| (row.lane, row.us)).collect(),
        parked: parked.into_iter().map(|row| (row.reason, row.jobs)).collect(),
        workers: workers.into_iter().map(|row| (row.lane, row.workers)).collect(),
        verified: verified(db).await?,
    })
}

/// The last check of the books, where the schema records them.
async fn verified(db: &mut PgConnection) -> Result<Option<(i64, bool)>, sqlx::Error> {
    let recorded = sqlx::query_scalar!(r#"select to_regclass('verification') is not null as "recorded!""#);
    if !recorded.fetch_one(&mut *db).await? {
        return Ok(None);
    }
    // Unchecked by the build, because a schema without the table is one that this binary runs with.
    sqlx::query_as(
        "select (extract(epoch from (select clock()) - at) * 1000000)::bigint, clean from verification \
         order by at desc limit 1",
    )
    .fetch_optional(db)
    .await
}

async fn depth(db: &mut PgConnection) -> Result<Depth, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select l.lane as "lane!",
            (select count(*) from (
                select from outbox where lane = l.lane and run_at <= (select clock())
                order by lane, run_at, job_id + 0 limit $2) d) as "due!",
            (select count(*) from (
                select from outbox where lane = l.lane and run_at > (select clock())
                order by lane, run_at, job_id + 0 limit $2) s) as "scheduled!"
        from unnest($1::text[]) as l (lane)
        "#,
        &Lane::ALL.map(Lane::as_str) as _,
        COUNTED_JOBS_MAX,
    )
    .fetch_all(db)
    .await?;
    let counts = rows.into_iter().flat_map(|row| [(row.lane.clone(), true, row.due), (row.lane, false, row.scheduled)]);
    Ok(counts.collect())
}

async fn kinds(db: &mut PgConnection) -> Result<Kinds, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select o.lane as "lane!", j.kind as "kind?", o.due as "due!", count(*) as "jobs!"
        from (
            select d.lane, d.job_id, true as due from unnest($1::text[]) as l (lane) cross join lateral (
                select lane, job_id from outbox where lane = l.lane and run_at <= (select clock())
                order by lane, run_at, job_id + 0 limit $2
            ) d
            union all
            select s.lane, s.job_id, false from unnest($1::text[]) as l (lane) cross join lateral (
                select lane, job_id from outbox where lane = l.lane and run_at > (select clock())
                order by lane, run_at, job_id + 0 limit $2
            ) s
        ) o
        left join job j on j.id = o.job_id
        group by o.lane, j.kind, o.due
        "#,
        &Lane::ALL.map(Lane::as_str) as _,
        COUNTED_BY_KIND_MAX,
    )
    .fetch_all(db)
    .await?;
    let known =
        |kind: Option<String>| kind.filter(|kind| kind_info(kind).is_some()).unwrap_or_else(|| UNKNOWN.to_owned());
    Ok(rows.into_iter().map(|row| (row.lane, known(row.kind), row.due, row.jobs)).collect())
}

fn write(outline: Option<&Outline>, depth: Option<&Depth>, kinds: Option<&Kinds>) -> Result<String, prometheus::Error> {
    // A registry of its own, so that a series whose reason has gone is not there the next time.
    let registry = Registry::new();
    let read = Opts::new("holdfast_queue_read_ok", "1 if that part of the queue's state could be read, else 0");
    let read = register(&registry, IntGaugeVec::new(read, &["part"])?)?;
    read.with_label_values(&["outline"]).set(outline.is_some().into());
    read.with_label_values(&["depth"]).set(depth.is_some().into());
    read.with_label_values(&["kinds"]).set(kinds.is_some().into());
    if let Some(outline) = outline {
        write_outline(&registry, outline)?;
    }
    if let Some(depth) = depth {
        write_depth(&registry, depth)?;
    }
    if let Some(kinds) = kinds {
        write_kinds(&registry, kinds)?;
    }
    TextEncoder::new().encode_to_string(&registry.gather())
}

fn write_outline(registry: &Registry, outline: &Outline) -> Result<(), prometheus::Error> {
    let seconds = |us: i64| Duration::from_micros(u64::try_from(us).unwrap_or(0)).as_secs_f64();
    let oldest = "How long the oldest job that is due has been due; 0 where none is";
    let oldest = GaugeVec::new(Opts::new("holdfast_queue_oldest_due_age_seconds", oldest), &["lane"])?;
    let oldest = register(registry, oldest)?;
    for (lane, us) in &outline.oldest_due_us {
        oldest.with_label_values(&[lane]).set(seconds(*us));
    }
    let parked = Opts::new("holdfast_queue_parked_jobs", "Jobs that wait for a person");
    let parked = register(registry, IntGaugeVec::new(parked, &["reason"])?)?;
    for (reason, jobs) in &outline.parked {
        parked.with_label_values(&[reason]).set(*jobs);
    }
    let workers = Opts::new("holdfast_workers_alive", "Workers whose heart beat within the last five seconds");
    let workers = register(registry, IntGaugeVec::new(workers, &["lane"])?)?;
    for (lane, alive) in &outline.workers {
        workers.with_label_values(&[lane]).set(*alive);
    }
    if let Some((us, clean)) = outline.verified {
        let age = Gauge::new("holdfast_verify_age_seconds", "How long ago the books were last checked")?;
        register(registry, age)?.set(seconds(us));
        let clean_gauge = IntGauge::new("holdfast_verify_clean", "1 if the books agreed when last checked, else 0")?;
        register(registry, clean_gauge)?.set(clean.into());
    }
    Ok(())
}

fn write_depth(registry: &Registry, depth: &Depth) -> Result<(), prometheus::Error> {
    let help = format!("Jobs in the queue; of a lane at most {COUNTED_JOBS_MAX} are counted, due and scheduled each");
    let gauge = register(registry, IntGaugeVec::new(Opts::new("holdfast_queue_jobs", help), &["lane", "state"])?)?;
    for (lane, due, jobs) in depth {
        gauge.with_label_values(&[lane, state(*due)]).set(*jobs);
    }
    Ok(())
}

const fn state(due: bool) -> &'static str {
    if due { "due" } else { "scheduled" }
}

fn write_kinds(registry: &Registry, kinds: &Kinds) -> Result<(), prometheus::Error> {
    let help = format!(
        "Jobs in the queue by kind; of a lane only the first {COUNTED_BY_KIND_MAX} are counted, due and scheduled each"
    );
    let gauge = IntGaugeVec::new(Opts::new("holdfast_queue_kind_jobs", help), &["lane", "kind", "state"])?;
    let gauge = register(registry, gauge)?;
    // A kind that nobody waits for is at zero rather than missing.
    let none = KINDS.iter().flat_map(|kind| [true, false].map(|due| ((kind.lane.as_str(), kind.name, due), 0)));
    let mut counts: BTreeMap<(&str, &str, bool), i64> = none.collect();
    for (lane, kind, due, jobs) in kinds {
        let count = counts.entry((lane, kind, *due)).or_default();
        *count = count.saturating_add(*jobs);
    }
    for ((lane, kind, due), jobs) in counts {
        gauge.with_label_values(&[lane, kind, state(due)]).set(jobs);
    }
    Ok(())
}
