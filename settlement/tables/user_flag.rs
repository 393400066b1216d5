use jobs::{Desk, Flagged};
use ledger::JobId;
use sqlx::PgConnection;

use crate::tables::{Appended, When, all_hit};

/// What operators set on people.
pub(crate) struct Table;

impl Appended for Table {
    type Key = JobId;
    type Row = Flagged;
    const WHEN: When = When::Shared;

    async fn append(db: &mut PgConnection, desk: &Desk, set: &[(&JobId, &Flagged)]) -> Result<(), sqlx::Error> {
        let jobs: Vec<i64> = set.iter().map(|(id, _)| id.0).collect();
        let users: Vec<i64> = set.iter().map(|(_, flag)| flag.user.0).collect();
        let principals: Vec<i64> = set.iter().map(|(_, flag)| flag.by.0).collect();
        let frozen: Vec<bool> = set.iter().map(|(_, flag)| flag.then.frozen).collect();
        let tiers: Vec<&str> = set.iter().map(|(_, flag)| flag.then.tier.as_str()).collect();
        let kyc: Vec<i16> = set.iter().map(|(_, flag)| flag.then.kyc).collect();
        let reasons: Vec<&str> = set.iter().map(|(_, flag)| flag.reason.as_str()).collect();
        let result = sqlx::query!(
            "
            insert into user_flag (job_id, user_id, principal_id, frozen, tier, kyc, reason, set_at)
            select job_id, user_id, principal_id, frozen, tier, kyc, reason, $8
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[], $5::text[], $6::smallint[], $7::text[])
                as f (job_id, user_id, principal_id, frozen, tier, kyc, reason)
            ",
            &jobs,
            &users,
            &principals,
            &frozen,
            &tiers as _,
            &kyc,
            &reasons as _,
            desk.now,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), jobs.len())
    }
}
