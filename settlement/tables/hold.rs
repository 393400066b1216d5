use ledger::Changes;
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// Stores the holds that were opened, and closes those that were closed: each must still be open.
pub(crate) async fn store(db: &mut PgConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    if !changes.opened.is_empty() {
        let ids: Vec<i64> = changes.opened.iter().map(|hold| hold.id.0).collect();
        let accounts: Vec<i64> = changes.opened.iter().map(|hold| hold.account.get()).collect();
        let subjects: Vec<i64> = changes.opened.iter().map(|hold| hold.subject.0).collect();
        let amounts: Vec<Numeric> = changes.opened.iter().map(|hold| Numeric(hold.amount.minor())).collect();
        let closed: Vec<Option<i64>> = changes.opened.iter().map(|hold| hold.closed_by.map(|job| job.0)).collect();
        let appended = append!(
            &mut *db,
            ids.len(),
            "hold" ("id, account_id, subject, amount, closed_by")
                from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[], $5::bigint[]"):
            &ids,
            &accounts,
            &subjects,
            &amounts,
            &closed,
        )
        .await?;
        all_hit(appended, ids.len())?;
    }
    if !changes.closed.is_empty() {
        let ids: Vec<i64> = changes.closed.iter().map(|(hold, _)| hold.0).collect();
        let jobs: Vec<i64> = changes.closed.iter().map(|(_, job)| job.0).collect();
        // The entry that closed it must be of the hold's own account and amount.
        let (accounts, amounts): (Vec<i64>, Vec<Numeric>) = closings(changes);
        let result = sqlx::query!(
            "
            update hold h set closed_by = u.job_id
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[]) as u (id, job_id, account_id, amount)
            where h.id = u.id and h.closed_by is null and h.account_id = u.account_id and h.amount = u.amount
            ",
            &ids,
            &jobs,
            &accounts,
            &amounts as _,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), ids.len())?;
    }
    Ok(())
}

/// Account and amount of each closed hold, in the order of `changes.closed`.
fn closings(changes: &Changes) -> (Vec<i64>, Vec<Numeric>) {
    let loaded: rustc_hash::FxHashSet<_> = changes.closed.iter().map(|(hold, _)| *hold).collect();
    changes
        .entries
        .iter()
        .filter_map(|entry| match entry.cause {
            ledger::Cause::HoldClosed(hold) if loaded.contains(&hold) => {
                Some((entry.account.get(), Numeric(entry.d_held.saturating_neg())))
            }
            ledger::Cause::HoldClosed(_) | ledger::Cause::HoldOpened(_) | ledger::Cause::Transfer { .. } => None,
        })
        .unzip()
}
