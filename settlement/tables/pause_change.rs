use jobs::{Desk, PauseChange};
use sqlx::PgConnection;

use crate::tables::{Appended, all_hit};

/// Everything that was ever paused and resumed.
pub(crate) struct Table;

impl Appended for Table {
    type Key = i64;
    type Row = PauseChange;

    async fn append(db: &mut PgConnection, desk: &Desk, changes: &[(&i64, &PauseChange)]) -> Result<(), sqlx::Error> {
        let jobs: Vec<i64> = changes.iter().map(|(job, _)| **job).collect();
        let scopes: Vec<&str> = changes.iter().map(|(_, change)| change.key.scope.as_str()).collect();
        let names: Vec<&str> = changes.iter().map(|(_, change)| change.key.name.as_str()).collect();
        let paused: Vec<bool> = changes.iter().map(|(_, change)| change.paused).collect();
        let reasons: Vec<&str> = changes.iter().map(|(_, change)| change.reason.as_str()).collect();
        let principals: Vec<i64> = changes.iter().map(|(_, change)| change.by.0).collect();
        let result = sqlx::query!(
            "
            insert into pause_change (job_id, scope, name, paused, reason, principal_id, at)
            select c.*, $7 from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bigint[])
                as c (job_id, scope, name, paused, reason, principal_id)
            ",
            &jobs,
            &scopes as _,
            &names as _,
            &paused,
            &reasons as _,
            &principals,
            desk.now,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), jobs.len())
    }
}
