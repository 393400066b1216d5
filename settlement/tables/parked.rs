use chrono::{DateTime, Utc};
use jobs::{Decision, DecisionMade, Desk, FirstDecision, JobRef, ParkedJob, PrincipalId};
use sqlx::PgConnection;

use crate::tables::all_hit;

/// Locks parked jobs in the order of their ids; then reads them with the newest decision about
/// each that waits for a second one, in a statement that sees whatever those committed who held
/// the locks before.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    ids: impl Iterator<Item = &JobRef>,
) -> Result<(), sqlx::Error> {
    let ids: Vec<i64> = ids.map(|id| id.0).collect();
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(());
    };
    let locked =
        sqlx::query_scalar!("select job_id from parked where job_id = any ($1) order by job_id for update", &ids,)
            .fetch_all(&mut *db)
            .await?;
    if locked.is_empty() {
        return Ok(());
    }
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    let rows = sqlx::query!(
        r#"
        select p.job_id, p.attempt, p.parked_at, j.kind, j.submitted_by, d.decision_job as "decision_job?",
            d.principal_id as "principal_id?", d.at as "at?"
        from parked p
        join job j on j.id = p.job_id and j.id between $2 and $3
        left join lateral (
            select decision_job, principal_id, at from parked_decision
            where job_id = p.job_id and parked_at = p.parked_at and not carried_out
            order by at desc, decision_job desc limit 1
        ) d on true
        where p.job_id = any ($1)
        "#,
        &locked,
        first,
        last,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let first = match (row.decision_job, row.principal_id, row.at) {
            (Some(job), Some(by), Some(at)) => {
                Some(FirstDecision { decision_job: JobRef(job), by: PrincipalId(by), at })
            }
            (None, _, _) | (_, None, _) | (_, _, None) => None,
        };
        let parked = ParkedJob {
            submitted_by: PrincipalId(row.submitted_by),
            kind: row.kind,
            attempt: row.attempt,
            parked_at: row.parked_at,
            first,
            fate: None,
        };
        desk.operating.parked.load(JobRef(row.job_id), parked);
    }
    Ok(())
}

/// Records the decisions and carries out those that stand.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let decisions = desk.operating.decisions.changed().inserted;
    if decisions.is_empty() {
        return Ok(());
    }
    history(db, &decisions, desk).await?;
    let changed = desk.operating.parked.changed().updated;
    let fated = |wanted: Decision| -> Vec<(i64, i32)> {
        let fated = changed.iter().filter(|(_, parked)| parked.fate.is_some_and(|(fate, _)| fate == wanted));
        fated.map(|(id, parked)| (id.0, parked.attempt)).collect()
    };
    outbox::unpark(db, &fated(Decision::Retry)).await?;
    let cancelled: Vec<outbox::Cancelled> = changed
        .iter()
        .filter_map(|(id, parked)| match parked.fate {
            Some((Decision::Cancel, by)) => {
                let result = format!(r#"{{"decided_by":"{by}"}}"#);
                Some(outbox::Cancelled { job_id: id.0, attempt: parked.attempt, result })
            }
            Some((Decision::Retry, _)) | None => None,
        })
        .collect();
    outbox::cancel_parked(db, &cancelled).await
}

async fn history(
    db: &mut PgConnection,
    decisions: &[(&JobRef, &DecisionMade)],
    desk: &Desk,
) -> Result<(), sqlx::Error> {
    let decision_jobs: Vec<i64> = decisions.iter().map(|(id, _)| id.0).collect();
    let jobs: Vec<i64> = decisions.iter().map(|(_, made)| made.job_id.0).collect();
    let parked_at: Vec<DateTime<Utc>> = decisions.iter().map(|(_, made)| made.parked_at).collect();
    let words: Vec<&str> = decisions.iter().map(|(_, made)| made.decision.as_str()).collect();
    let principals: Vec<i64> = decisions.iter().map(|(_, made)| made.by.0).collect();
    let reasons: Vec<&str> = decisions.iter().map(|(_, made)| made.reason.as_str()).collect();
    let needs_two: Vec<bool> = decisions.iter().map(|(_, made)| made.needs_two).collect();
    let carried_out: Vec<bool> = decisions.iter().map(|(_, made)| made.carried_out).collect();
    let firsts: Vec<Option<i64>> =
        decisions.iter().map(|(_, made)| made.first.map(|first| first.decision_job.0)).collect();
    let first_principals: Vec<Option<i64>> =
        decisions.iter().map(|(_, made)| made.first.map(|first| first.by.0)).collect();
    let result = sqlx::query!(
        "
        insert into parked_decision (decision_job, job_id, parked_at, decision, principal_id, reason, needs_two,
            carried_out, first_decision, first_principal, at)
        select d.*, $11 from unnest($1::bigint[], $2::bigint[], $3::timestamptz[], $4::text[], $5::bigint[],
            $6::text[], $7::boolean[], $8::boolean[], $9::bigint[], $10::bigint[])
            as d (decision_job, job_id, parked_at, decision, principal_id, reason, needs_two, carried_out,
                first_decision, first_principal)
        ",
        &decision_jobs,
        &jobs,
        &parked_at,
        &words as _,
        &principals,
        &reasons as _,
        &needs_two,
        &carried_out,
        &firsts as _,
        &first_principals as _,
        desk.now,
    )
    .execute(db)
    .await?;
    all_hit(result.rows_affected(), decision_jobs.len())
}
