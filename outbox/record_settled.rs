use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::append::JsonText;
use crate::ask::Ask;

/// A job that is recorded when it is settled already, within the transaction that made its effects.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Its number, from [`job_ids`].
    pub job_id: i64,
    /// What is asked. Where and when it would have been queued does not matter.
    pub ask: Ask,
}

/// Numbers for jobs that are not recorded yet. Those that are not used are left out for ever.
///
/// # Errors
/// Any error of the database.
pub async fn job_ids(db: &mut PgConnection, count: usize) -> Result<Vec<i64>, sqlx::Error> {
    let count = i64::try_from(count).unwrap_or(i64::MAX);
    sqlx::query_scalar!(r#"select nextval('job_id') as "id!" from generate_series(1, $1::bigint)"#, count)
        .fetch_all(db)
        .await
}

/// Records requests and jobs, and nothing in the outbox: they are never queued. Their outcomes are recorded with those
/// of the jobs that caused them ([`crate::complete`]). `now` is `clock()` of the transaction.
///
/// # Errors
/// Any error of the database: a violated key if one of them names a job already, and [`sqlx::Error::RowNotFound`] if
/// not all were recorded. The effects must not happen again, and the transaction must be rolled back.
pub async fn record_settled(
    db: &mut PgConnection,
    mut settled: Vec<Settled>,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    if settled.is_empty() {
        return Ok(());
    }
    // In one order, so that two such statements cannot wait for each other. Whoever queues has the order of the
    // database, but nobody records the same key but under the lock of the same trade.
    settled.sort_unstable_by(|one, other| key(&one.ask).cmp(&key(&other.ask)));
    let ids: Vec<i64> = settled.iter().map(|job| job.job_id).collect();
    let submitters: Vec<i64> = settled.iter().map(|job| job.ask.submitter).collect();
    let kinds: Vec<&str> = settled.iter().map(|job| job.ask.kind).collect();
    let keys: Vec<&str> = settled.iter().map(|job| job.ask.key.as_str()).collect();
    let hashes: Vec<&[u8]> = settled.iter().map(|job| job.ask.payload_hash.as_slice()).collect();
    let payloads: Vec<JsonText<'_>> = settled.iter().map(|job| JsonText(&job.ask.payload)).collect();
    let causes: Vec<Option<i64>> = settled.iter().map(|job| job.ask.caused_by).collect();
    let traces: Vec<Option<&str>> = settled.iter().map(|job| job.ask.trace_parent.as_deref()).collect();
    let requested = sqlx::query!(
        "
        insert into request (submitter, kind, key, payload_hash, job_id)
        select * from unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::bigint[])
        ",
        &submitters,
        &kinds as _,
        &keys as _,
        &hashes as _,
        &ids,
    )
    .execute(&mut *db)
    .await?;
    let recorded = sqlx::query!(
        "
        insert into job (id, kind, payload, submitted_by, caused_by, trace_parent, received_at)
        select a.*, $7 from unnest($1::bigint[], $2::text[], $3::jsonb[], $4::bigint[], $5::bigint[], $6::text[]) as a
        ",
        &ids,
        &kinds as _,
        &payloads as _,
        &submitters,
        &causes as _,
        &traces as _,
        now,
    )
    .execute(db)
    .await?;
    let all = u64::try_from(settled.len());
    if all.is_ok_and(|all| (requested.rows_affected(), recorded.rows_affected()) == (all, all)) {
        return Ok(());
    }
    Err(sqlx::Error::RowNotFound)
}

fn key(ask: &Ask) -> (i64, &str, &str) {
    (ask.submitter, ask.kind, &ask.key)
}
