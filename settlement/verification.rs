use std::time::{Duration, Instant};

use jobs::{Kind, Pause, PauseScope, PrincipalId, SubjectType, Verify};
use outbox::{Ask, Ended, Leased, Parked, Postponed, payload_hash};
use serde_json::json;
use sqlx::{PgConnection, PgPool};

use crate::tables::corrupt;
use integrity::{ASSETS_BALANCE, Verification, verify};

/// How long a verification may take before another worker begins it anew.
const LEASE: Duration = Duration::from_mins(10);
/// How often the lease is renewed meanwhile.
const RENEW: Duration = Duration::from_mins(2);
/// When a verification that could not look is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// A verification that was begun this often and never ended is parked.
const ATTEMPTS_MAX: i32 = 20;

/// Asks for the verification of a slot of time: slots are `every` long and counted by `clock()`, so
/// that any number of workers cause one job. Nothing is asked where the slot is `asked` already.
/// Returns the slot.
///
/// # Errors
/// Any error of the database.
pub async fn ask_for_verification(pool: &PgPool, every: Duration, asked: Option<i64>) -> Result<i64, sqlx::Error> {
    let mut db = pool.acquire().await?;
    let length_s = i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1);
    let slot = outbox::clock(&mut db).await?.timestamp().div_euclid(length_s);
    if asked == Some(slot) || is_asked(&mut db).await? {
        return Ok(slot);
    }
    let (submitter, payload) = (PrincipalId::HOLDFAST.0, "{}");
    let ask = Ask {
        submitter,
        kind: Verify::NAME,
        key: format!("every {length_s} s: {slot}"),
        payload_hash: payload_hash(&[&submitter.to_be_bytes(), Verify::NAME.as_bytes(), payload.as_bytes()]),
        payload: payload.to_owned(),
        lane: Verify::LANE.as_str(),
        subject_type: SubjectType::Job.as_str(),
        subject: None,
        run_at: None,
        caused_by: None,
        trace_parent: None,
    };
    outbox::enqueue(&mut db, &[ask]).await?;
    Ok(slot)
}

/// Whether a verification is queued already, or under way: one at a time is enough.
async fn is_asked(db: &mut PgConnection) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar!(r#"select exists (select from outbox where lane = $1) as "asked!""#, Verify::LANE.as_str())
        .fetch_one(db)
        .await
}

/// Leases the verification that is due first, if there is one.
///
/// # Errors
/// Any error of the database.
pub async fn lease_verification(pool: &PgPool) -> Result<Option<Leased>, sqlx::Error> {
    let mut db = pool.acquire().await?;
    let leased = outbox::lease(&mut db, Verify::LANE.as_str(), 1, LEASE, None).await?;
    Ok(leased.first().copied())
}

/// Puts a leased verification back: at once where the worker stops, later where it could not look.
///
/// # Errors
/// Any error of the database; then it is due again when the lease ends.
pub async fn give_back_verification(pool: &PgPool, leased: Leased, stopping: bool) -> Result<(), sqlx::Error> {
    let (after, why) =
        if stopping { (Duration::ZERO, "the worker stopped") } else { (AGAIN, "the checks could not run") };
    let postponed = Postponed { job_id: leased.job_id, attempt: leased.attempt, after, why };
    outbox::postpone(&mut *pool.acquire().await?, &[postponed]).await
}

/// Runs the checks in a snapshot of their own and records what they found, and has those assets paused
/// that do not add up, unless the lease has
/// passed to somebody else meanwhile: then nothing is recorded and the answer is `None`.
///
/// # Errors
/// Any error of the database: nothing is known then, and nothing recorded.
pub async fn settle_verification(pool: &PgPool, leased: Leased) -> Result<Option<Verification>, sqlx::Error> {
    if leased.attempt > ATTEMPTS_MAX {
        let detail = format!("it was begun {ATTEMPTS_MAX} times and never ended");
        let parked = Parked { job_id: leased.job_id, attempt: leased.attempt, reason: "attempts", detail };
        tracing::error!(job_id = leased.job_id, reason = parked.reason, "job parked");
        outbox::park(&mut *pool.acquire().await?, &[parked]).await?;
        return Ok(None);
    }
    let began = Instant::now();
    let found = tokio::select! {
        found = verify(pool) => found?,
        error = keep_leased(pool, leased) => return Err(error),
    };
    let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
    let mut tx = pool.begin().await?;
    let held = outbox::claim_these(&mut tx, &[leased.job_id]).await?;
    let Some(claimed) = held.first().filter(|claimed| claimed.attempt == leased.attempt) else {
        tx.rollback().await?;
        return Ok(None);
    };
    if claimed.kind != Verify::NAME {
        let detail = format!("a {} was queued in the lane {}", claimed.kind, Verify::LANE.as_str());
        let parked = Parked { job_id: leased.job_id, attempt: leased.attempt, reason: "wrong_lane", detail };
        tracing::error!(job_id = leased.job_id, kind = claimed.kind, reason = parked.reason, "job parked");
        outbox::park(&mut tx, &[parked]).await?;
        tx.commit().await?;
        return Ok(None);
    }
    record(&mut tx, leased, &found, took_ms).await?;
    tx.commit().await?;
    Ok(Some(found))
}

/// Renews the lease for as long as the checks run, so that nobody begins them anew meanwhile. Returns
/// only if it cannot.
async fn keep_leased(pool: &PgPool, leased: Leased) -> sqlx::Error {
    loop {
        tokio::time::sleep(RENEW).await;
        let renewed = sqlx::query!(
            "update outbox set run_at = (select clock()) + $3::bigint * interval '1 second' where job_id = $1 and attempt = $2",
            leased.job_id,
            leased.attempt,
            i64::try_from(LEASE.as_secs()).unwrap_or(i64::MAX),
        )
        .execute(pool)
        .await;
        if let Err(error) = renewed {
            return error;
        }
    }
}

async fn record(db: &mut PgConnection, leased: Leased, found: &Verification, took_ms: i64) -> Result<(), sqlx::Error> {
    let failed: Vec<_> = found.failed().collect();
    let names: Vec<&str> = failed.iter().map(|check| check.name).collect();
    let clean = failed.is_empty();
    let checks = i32::try_from(found.checks.len()).unwrap_or(i32::MAX);
    let result = json!({ "clean": clean, "checks": checks, "failed": names }).to_string();
    let failed = serde_json::to_value(&failed).map_err(|error| corrupt(error.to_string()))?;
    sqlx::query!(
        "insert into verification (job_id, at, clean, checks, failed, took_ms) values ($1, $2, $3, $4, $5, $6)",
        leased.job_id,
        found.at,
        clean,
        checks,
        failed,
        took_ms,
    )
    .execute(&mut *db)
    .await?;
    let ended = Ended {
        job_id: leased.job_id,
        status: "settled",
        reason: None,
        result: Some(result),
        attempts: leased.attempt,
    };
    let now = outbox::clock(&mut *db).await?;
    outbox::complete(&mut *db, &[ended], &[], now).await?;
    let pauses = pauses_for(leased, found).map_err(|error| corrupt(error.to_string()))?;
    outbox::enqueue(db, &pauses).await.map(|_| ())
}

/// What a failed verification asks for: that every asset stands still of which a check says by
/// name that its books do not add up. Most checks name an account or a job, and leave it to the
/// operators what to pause.
fn pauses_for(leased: Leased, found: &Verification) -> Result<Vec<Ask>, serde_json::Error> {
    let unbalanced = found.failed().filter(|check| check.name == ASSETS_BALANCE);
    let assets = unbalanced.flat_map(|check| &check.rows).filter_map(|row| row.split_once(':'));
    assets
        .map(|(asset, _)| {
            let reason = format!("verify job {} found that its balances do not sum to zero", leased.job_id);
            let pause = Pause { scope: PauseScope::Asset, name: asset.to_owned(), paused: true, reason };
            let (submitter, payload) = (PrincipalId::HOLDFAST.0, serde_json::to_string(&pause)?);
            Ok(Ask {
                submitter,
                kind: Pause::NAME,
                key: format!("verify {}: {asset}", leased.job_id),
                payload_hash: payload_hash(&[&submitter.to_be_bytes(), Pause::NAME.as_bytes(), payload.as_bytes()]),
                payload,
                lane: Pause::LANE.as_str(),
                subject_type: SubjectType::Job.as_str(),
                subject: None,
                run_at: None,
                caused_by: Some(leased.job_id),
                trace_parent: None,
            })
        })
        .collect()
}
