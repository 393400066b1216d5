use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use integrity::{ASSETS_BALANCE, Verification, verify};
use jobs::{FailedCheck, Findings, Kind, PrincipalId, Reply, SubjectType, Verify};
use outbox::{Ask, payload_hash};
use sqlx::{PgConnection, PgPool};

use crate::outside::{Caller, PlannedCall};

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

/// Makes the calls of [`Verify`]: it runs the integrity checks in a snapshot of their own.
#[derive(Clone, Debug)]
pub struct Checks(pub PgPool);

impl Caller for Checks {
    fn call<'a>(&'a self, planned: &'a PlannedCall) -> BoxFuture<'a, Reply<String>> {
        async move {
            let job_id = planned.leased().job_id;
            let began = Instant::now();
            let found = match verify(&self.0).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::warn!(%error, job_id, "the integrity checks could not run; trying again");
                    return Reply::Unknown(error.to_string());
                }
            };
            if found.is_clean() {
                tracing::info!(job_id, checks = found.checks.len(), "verified: clean");
            }
            for check in found.failed() {
                tracing::error!(job_id, check = check.name, rows = check.count, "verification failed: {check}");
            }
            let took_ms = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
            match serde_json::to_string(&findings(&found, took_ms)) {
                Ok(answer) => Reply::Answered(answer),
                Err(error) => Reply::Unknown(error.to_string()),
            }
        }
        .boxed()
    }
}

fn findings(found: &Verification, took_ms: i64) -> Findings {
    let failed = found.failed().map(|check| FailedCheck {
        name: check.name.to_owned(),
        proves: check.proves.to_owned(),
        count: check.count,
        rows: check.rows.clone(),
    });
    let unbalanced = found.failed().filter(|check| check.name == ASSETS_BALANCE).flat_map(|check| &check.rows);
    Findings {
        at: found.at,
        checks: i32::try_from(found.checks.len()).unwrap_or(i32::MAX),
        failed: failed.collect(),
        unbalanced: unbalanced.filter_map(|row| row.split_once(':')).map(|(asset, _)| asset.to_owned()).collect(),
        took_ms,
    }
}
