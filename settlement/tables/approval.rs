use chrono::{DateTime, Utc};
use jobs::{Approval, Desk, PrincipalId, WithdrawalId};
use ledger::JobId;
use rustc_hash::FxHashMap;
use sqlx::PgConnection;

use crate::tables::{Appended, all_hit};

/// Approvals of withdrawals.
pub(crate) struct Table;

/// Reads the approvals of withdrawals, under the locks of these.
pub(crate) async fn of(db: &mut PgConnection, ids: &[i64]) -> Result<FxHashMap<i64, Vec<Approval>>, sqlx::Error> {
    let rows = sqlx::query!(
        "select withdrawal_id, approver, valid_until from approval where withdrawal_id = any ($1) order by job_id",
        ids,
    )
    .fetch_all(db)
    .await?;
    let mut approvals: FxHashMap<i64, Vec<Approval>> = FxHashMap::default();
    for row in rows {
        approvals.entry(row.withdrawal_id).or_default().push(Approval {
            withdrawal: WithdrawalId(row.withdrawal_id),
            approver: PrincipalId(row.approver),
            valid_until: row.valid_until,
        });
    }
    Ok(approvals)
}

impl Appended for Table {
    type Key = JobId;
    type Row = Approval;

    async fn append(db: &mut PgConnection, desk: &Desk, rows: &[(&JobId, &Approval)]) -> Result<(), sqlx::Error> {
        let jobs: Vec<i64> = rows.iter().map(|(id, _)| id.0).collect();
        let withdrawals: Vec<i64> = rows.iter().map(|(_, row)| row.withdrawal.0).collect();
        let approvers: Vec<i64> = rows.iter().map(|(_, row)| row.approver.0).collect();
        let until: Vec<DateTime<Utc>> = rows.iter().map(|(_, row)| row.valid_until).collect();
        // What is approved is taken from the row itself; the foreign key holds them together.
        let result = sqlx::query!(
            "
            insert into approval (job_id, withdrawal_id, approver, requester, beneficiary, content_hash, approved_at, valid_until)
            select a.job_id, w.id, a.approver, w.requested_by, w.user_id, w.content_hash, $5, a.valid_until
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[])
                as a (job_id, withdrawal_id, approver, valid_until)
            join withdrawal w on w.id = a.withdrawal_id
            ",
            &jobs,
            &withdrawals,
            &approvers,
            &until,
            desk.now,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), jobs.len())
    }
}
