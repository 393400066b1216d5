use chrono::{DateTime, Utc};
use jobs::{DecisionMade, Desk, JobRef};
use sqlx::PgConnection;

use crate::tables::{Appended, all_hit};

/// What operators decided about parked jobs.
pub(crate) struct Table;

impl Appended for Table {
    type Key = JobRef;
    type Row = DecisionMade;

    async fn append(
        db: &mut PgConnection,
        desk: &Desk,
        decisions: &[(&JobRef, &DecisionMade)],
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
}
