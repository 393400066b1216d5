use ledger::Transfer;
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// Appends transfers.
pub(crate) async fn store(db: &mut PgConnection, transfers: &[Transfer]) -> Result<(), sqlx::Error> {
    if transfers.is_empty() {
        return Ok(());
    }
    let jobs: Vec<i64> = transfers.iter().map(|transfer| transfer.job.0).collect();
    let legs: Vec<i16> = transfers.iter().map(|transfer| transfer.leg).collect();
    let codes: Vec<&str> = transfers.iter().map(|transfer| transfer.code.as_str()).collect();
    let debits: Vec<i64> = transfers.iter().map(|transfer| transfer.debit.get()).collect();
    let credits: Vec<i64> = transfers.iter().map(|transfer| transfer.credit.get()).collect();
    let amounts: Vec<Numeric> = transfers.iter().map(|transfer| Numeric(transfer.amount.minor())).collect();
    let appended = append!(
        db,
        transfers.len(),
        "transfer" ("job_id, leg, code, debit, credit, amount")
            from ("$1::bigint[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[], $6::numeric[]"):
        &jobs,
        &legs,
        &codes,
        &debits,
        &credits,
        &amounts,
    )
    .await?;
    all_hit(appended, transfers.len())
}
