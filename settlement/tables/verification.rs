use chrono::{DateTime, Utc};
use jobs::{Desk, Findings};
use ledger::JobId;
use serde_json::Value;
use sqlx::PgConnection;

use crate::tables::{Appended, all_hit, corrupt};

/// What the integrity checks found.
pub(crate) struct Table;

impl Appended for Table {
    type Key = JobId;
    type Row = Findings;

    async fn append(db: &mut PgConnection, _: &Desk, found: &[(&JobId, &Findings)]) -> Result<(), sqlx::Error> {
        let jobs: Vec<i64> = found.iter().map(|(id, _)| id.0).collect();
        let at: Vec<DateTime<Utc>> = found.iter().map(|(_, found)| found.at).collect();
        let clean: Vec<bool> = found.iter().map(|(_, found)| found.failed.is_empty()).collect();
        let checks: Vec<i32> = found.iter().map(|(_, found)| found.checks).collect();
        let took_ms: Vec<i64> = found.iter().map(|(_, found)| found.took_ms).collect();
        let failed: Result<Vec<Value>, _> =
            found.iter().map(|(_, found)| serde_json::to_value(&found.failed)).collect();
        let failed = failed.map_err(|error| corrupt(error.to_string()))?;
        let result = sqlx::query!(
            "
        insert into verification (job_id, at, clean, checks, failed, took_ms)
        select * from unnest($1::bigint[], $2::timestamptz[], $3::boolean[], $4::integer[], $5::jsonb[], $6::bigint[])
        ",
            &jobs,
            &at,
            &clean,
            &checks,
            &failed,
            &took_ms,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), jobs.len())
    }
}
