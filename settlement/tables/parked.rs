use jobs::{Decision, Desk, FirstDecision, JobRef, ParkedJob, PrincipalId, Want};
use sqlx::PgConnection;

use crate::tables::Loaded;

/// Jobs that need a person.
pub(crate) struct Table;

impl Loaded for Table {
    type Key = JobRef;
    type Row = ParkedJob;

    /// Locks parked jobs in the order of their ids; then reads them with the newest decision about
    /// each that waits for a second one, in a statement that sees whatever those committed who held
    /// the locks before.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = want.parked.iter().map(|id| id.0).collect();
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
                d.principal_id as "principal_id?", d.at as "at?",
                exists (
                    select from call c left join call_end e on e.job_id = c.job_id and e.attempt = c.attempt
                    where c.job_id = p.job_id and e.reply is distinct from 'refused'
                ) as "may_have_called!"
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
                may_have_called: row.may_have_called,
                first,
                fate: None,
            };
            desk.parked.load(JobRef(row.job_id), parked);
        }
        Ok(())
    }

    /// Carries out what was decided about them.
    async fn update(db: &mut PgConnection, _: &Desk, changed: &[(&JobRef, &ParkedJob)]) -> Result<(), sqlx::Error> {
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
}
