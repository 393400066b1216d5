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
    /// JSON text, where there is something to say.
    pub result: Option<String>,
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

/// Records requests, jobs and outcomes in one statement, and nothing in the outbox: they are never queued.
/// `now` is `clock()` of the transaction.
///
/// # Errors
/// Any error of the database, and [`sqlx::Error::RowNotFound`] if one of the keys names a job already: its effects
/// must not happen again, and the transaction must be rolled back.
pub async fn record_settled(db: &mut PgConnection, settled: &[Settled], now: DateTime<Utc>) -> Result<(), sqlx::Error> {
    if settled.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = settled.iter().map(|job| job.job_id).collect();
    let submitters: Vec<i64> = settled.iter().map(|job| job.ask.submitter).collect();
    let kinds: Vec<&str> = settled.iter().map(|job| job.ask.kind).collect();
    let keys: Vec<&str> = settled.iter().map(|job| job.ask.key.as_str()).collect();
    let hashes: Vec<&[u8]> = settled.iter().map(|job| job.ask.payload_hash.as_slice()).collect();
    let payloads: Vec<JsonText<'_>> = settled.iter().map(|job| JsonText(&job.ask.payload)).collect();
    let causes: Vec<Option<i64>> = settled.iter().map(|job| job.ask.caused_by).collect();
    let traces: Vec<Option<&str>> = settled.iter().map(|job| job.ask.trace_parent.as_deref()).collect();
    let results: Vec<Option<JsonText<'_>>> = settled.iter().map(|job| job.result.as_deref().map(JsonText)).collect();
    let recorded = sqlx::query!(
        "
        with asked as materialized (
            select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bytea[], $6::jsonb[],
                $7::bigint[], $8::text[], $9::jsonb[])
                as a (job_id, submitter, kind, key, hash, payload, caused_by, trace, result)
        ), fresh as (
            insert into request (submitter, kind, key, payload_hash, job_id)
            select submitter, kind, key, hash, job_id from asked order by submitter, kind, key
            on conflict do nothing
            returning job_id
        ), recorded as (
            insert into job (id, kind, payload, submitted_by, caused_by, trace_parent, received_at)
            select job_id, kind, payload, submitter, caused_by, trace, $10 from asked order by job_id
        )
        insert into outcome (job_id, status, result, attempts, finished_at)
        select job_id, 'settled', result, 1, $10 from asked join fresh using (job_id) order by job_id
        ",
        &ids,
        &submitters,
        &kinds as _,
        &keys as _,
        &hashes as _,
        &payloads as _,
        &causes as _,
        &traces as _,
        &results as _,
        now,
    )
    .execute(db)
    .await?;
    if usize::try_from(recorded.rows_affected()) != Ok(settled.len()) {
        return Err(sqlx::Error::RowNotFound);
    }
    Ok(())
}
