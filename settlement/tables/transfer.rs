use ledger::Transfer;
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// The columns of transfers.
pub(crate) struct Columns {
    pub(crate) jobs: Vec<i64>,
    pub(crate) legs: Vec<i16>,
    pub(crate) codes: Vec<&'static str>,
    pub(crate) debits: Vec<i64>,
    pub(crate) credits: Vec<i64>,
    pub(crate) amounts: Vec<Numeric>,
}

impl Columns {
    pub(crate) fn of(transfers: &[Transfer]) -> Self {
        Self {
            jobs: transfers.iter().map(|transfer| transfer.job.0).collect(),
            legs: transfers.iter().map(|transfer| transfer.leg).collect(),
            codes: transfers.iter().map(|transfer| transfer.code.as_str()).collect(),
            debits: transfers.iter().map(|transfer| transfer.debit.get()).collect(),
            credits: transfers.iter().map(|transfer| transfer.credit.get()).collect(),
            amounts: transfers.iter().map(|transfer| Numeric(transfer.amount.minor())).collect(),
        }
    }
}

/// Appends transfers.
pub(crate) async fn store(db: &mut PgConnection, transfers: &[Transfer]) -> Result<(), sqlx::Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(transfers);
    let appended = append!(
        db,
        transfers.len(),
        "transfer" ("job_id, leg, code, debit, credit, amount")
            from ("$1::bigint[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[], $6::numeric[]"):
        &columns.jobs,
        &columns.legs,
        &columns.codes,
        &columns.debits,
        &columns.credits,
        &columns.amounts,
    )
    .await?;
    all_hit(appended, transfers.len())
}
