use jobs::{Commission, Desk};
use ledger::JobId;
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::{Appended, all_hit, stored_rate};

/// What was paid to referrers.
pub(crate) struct Table;

impl Appended for Table {
    type Key = JobId;
    type Row = Commission;

    async fn append(db: &mut PgConnection, _: &Desk, paid: &[(&JobId, &Commission)]) -> Result<(), sqlx::Error> {
        let jobs: Vec<i64> = paid.iter().map(|(id, _)| id.0).collect();
        let trades: Vec<i64> = paid.iter().map(|(_, commission)| commission.trade.0).collect();
        let referrers: Vec<i64> = paid.iter().map(|(_, commission)| commission.referrer.0).collect();
        let levels: Vec<i16> = paid.iter().map(|(_, commission)| commission.level).collect();
        let bases: Vec<Numeric> = paid.iter().map(|(_, commission)| Numeric(commission.base.minor())).collect();
        let rates: Vec<i16> = paid.iter().map(|(_, commission)| stored_rate(commission.rate)).collect();
        let amounts: Vec<Numeric> = paid.iter().map(|(_, commission)| Numeric(commission.amount.minor())).collect();
        let appended = append!(
            db,
            paid.len(),
            "commission" ("job_id, trade_id, referrer_id, level, base, bps, amount")
                from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::smallint[], $5::numeric[], $6::smallint[], \
                    $7::numeric[]"):
            &jobs,
            &trades,
            &referrers,
            &levels,
            &bases,
            &rates,
            &amounts,
        )
        .await?;
        all_hit(appended, paid.len())
    }
}
