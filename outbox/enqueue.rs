use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::ask::Ask;

/// What became of an [`Ask`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// The key was free; the job is queued.
    New(i64),
    /// The same was asked before under this key; the job is that one.
    Replay(i64),
    /// Something else was asked before under this key; nothing was recorded.
    Conflict(i64),
}

impl Recorded {
    /// The job that the key names.
    pub const fn job_id(self) -> i64 {
        match self {
            Self::New(id) | Self::Replay(id) | Self::Conflict(id) => id,
        }
    }
}

/// Records one job or a thousand: request, job and outbox row in one statement. The answers are
/// in the order of the asks.
///
/// Rows are inserted in the order of their keys, so that two such statements cannot wait for each
/// other. A key that a rival commits while this one waits is answered as the replay or conflict
/// that it is, by a second statement that sees the rival's row.
///
/// # Errors
/// Any error of the database. Nothing is recorded then.
pub async fn enqueue(db: &mut PgConnection, asks: &[Ask]) -> Result<Vec<Recorded>, sqlx::Error> {
    Ok(record(db, asks).await?.0)
}

/// As [`enqueue`], and says when the new ones were received, if there are any. Where no transaction is
/// open on the connection, the statement is one, and is committed when this returns: one round trip.
///
/// # Errors
/// Any error of the database. Within a transaction nothing is recorded then; without one the answer
/// may be what is missing, and the keys tell when they are asked for again.
pub async fn record(
    db: &mut PgConnection,
    asks: &[Ask],
) -> Result<(Vec<Recorded>, Option<DateTime<Utc>>), sqlx::Error> {
    if asks.is_empty() {
        return Ok((Vec::new(), None));
    }
    let submitters: Vec<i64> = asks.iter().map(|ask| ask.submitter).collect();
    let kinds: Vec<&str> = asks.iter().map(|ask| ask.kind).collect();
    let keys: Vec<&str> = asks.iter().map(|ask| ask.key.as_str()).collect();
    let hashes: Vec<&[u8]> = asks.iter().map(|ask| ask.payload_hash.as_slice()).collect();
    let payloads: Vec<&str> = asks.iter().map(|ask| ask.payload.as_str()).collect();
    let lanes: Vec<&str> = asks.iter().map(|ask| ask.lane).collect();
    let subjects: Vec<Option<i64>> = asks.iter().map(|ask| ask.subject).collect();
    let sorts: Vec<&str> = asks.iter().map(|ask| ask.subject_type).collect();
    let causes: Vec<Option<i64>> = asks.iter().map(|ask| ask.caused_by).collect();
    let traces: Vec<Option<&str>> = asks.iter().map(|ask| ask.trace_parent.as_deref()).collect();
    let times: Vec<Option<DateTime<Utc>>> = asks.iter().map(|ask| ask.run_at).collect();
    let fresh = sqlx::query!(
        r#"
        with moment as materialized (
            select clock() as now
        ), asked as materialized (
            select nextval('job_id') as job_id, a.*
            from unnest($1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[],
                $7::bigint[], $8::bigint[], $9::text[], $10::timestamptz[], $11::text[])
                with ordinality as a (submitter, kind, key, hash, payload, lane, subject, caused_by, trace, run_at,
                    subject_type, place)
        ), fresh as (
            insert into request (submitter, kind, key, payload_hash, job_id)
            select submitter, kind, key, hash, job_id from asked order by submitter, kind, key, place
            on conflict do nothing
            returning job_id
        ), recorded as (
            insert into job (id, kind, payload, submitted_by, caused_by, trace_parent, received_at)
            select job_id, kind, payload::jsonb, submitter, caused_by, trace, (select now from moment)
            from asked join fresh using (job_id) order by job_id
        ), queued as (
            insert into outbox (job_id, lane, slot, subject, run_at, subject_type)
            select job_id, lane, coalesce(subject, job_id) & 63, coalesce(subject, job_id),
                coalesce(run_at, (select now from moment)), subject_type
            from asked join fresh using (job_id) order by job_id
        )
        select place as "place!", job_id as "job_id!", (select now from moment) as "received_at!"
        from asked join fresh using (job_id)
        "#,
        &submitters,
        &kinds as _,
        &keys as _,
        &hashes as _,
        &payloads as _,
        &lanes as _,
        &subjects as _,
        &causes as _,
        &traces as _,
        &times as _,
        &sorts as _,
    )
    // To the end of the answer, which a commit comes before: rows alone promise nothing.
    .fetch_all(&mut *db)
    .await?;

    let received_at = fresh.first().map(|row| row.received_at);
    let new: HashMap<i64, i64> = fresh.into_iter().map(|row| (row.place, row.job_id)).collect();
    let known = if new.len() == asks.len() { Vec::new() } else { look_up(db, &submitters, &kinds, &keys).await? };
    let known: HashMap<i64, (i64, Vec<u8>)> = known.into_iter().collect();
    let recorded: Result<Vec<Recorded>, sqlx::Error> = (1_i64..)
        .zip(asks)
        .map(|(place, ask)| match (new.get(&place), known.get(&place)) {
            (Some(&job), _) => Ok(Recorded::New(job)),
            (None, Some((job, hash))) if hash.as_slice() == ask.payload_hash => Ok(Recorded::Replay(*job)),
            (None, Some((job, _))) => Ok(Recorded::Conflict(*job)),
            // The rival that made us step back is committed, so its row is there.
            (None, None) => Err(sqlx::Error::RowNotFound),
        })
        .collect();
    Ok((recorded?, received_at))
}

/// The jobs that the keys name, with their hashes, by place.
async fn look_up(
    db: &mut PgConnection,
    submitters: &[i64],
    kinds: &[&str],
    keys: &[&str],
) -> Result<Vec<(i64, (i64, Vec<u8>))>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"
        select a.place as "place!", r.job_id, r.payload_hash
        from unnest($1::bigint[], $2::text[], $3::text[]) with ordinality as a (submitter, kind, key, place)
        join request r on r.submitter = a.submitter and r.kind = a.kind and r.key = a.key
        "#,
        submitters,
        kinds as _,
        keys as _,
    )
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (row.place, (row.job_id, row.payload_hash))).collect())
}
