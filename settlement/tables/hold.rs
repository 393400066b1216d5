use ledger::Changes;
use outbox::append;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;

/// The columns of holds that were opened.
pub(crate) struct Opened {
    pub(crate) ids: Vec<i64>,
    pub(crate) accounts: Vec<i64>,
    pub(crate) subjects: Vec<i64>,
    pub(crate) amounts: Vec<Numeric>,
    pub(crate) closed: Vec<Option<i64>>,
}

impl Opened {
    pub(crate) fn of(changes: &Changes) -> Self {
        let opened = &changes.opened;
        Self {
            ids: opened.iter().map(|hold| hold.id.0).collect(),
            accounts: opened.iter().map(|hold| hold.account.get()).collect(),
            subjects: opened.iter().map(|hold| hold.subject.0).collect(),
            amounts: opened.iter().map(|hold| Numeric(hold.amount.minor())).collect(),
            closed: opened.iter().map(|hold| hold.closed_by.map(|job| job.0)).collect(),
        }
    }
}

/// The columns by which holds that were closed are found, and the jobs that closed them. The entry that closed one must
/// be of the hold's own account and amount.
pub(crate) struct Closed {
    pub(crate) ids: Vec<i64>,
    pub(crate) jobs: Vec<i64>,
    pub(crate) accounts: Vec<i64>,
    pub(crate) amounts: Vec<Numeric>,
}

impl Closed {
    pub(crate) fn of(changes: &Changes) -> Self {
        let (accounts, amounts) = closings(changes);
        Self {
            ids: changes.closed.iter().map(|(hold, _)| hold.0).collect(),
            jobs: changes.closed.iter().map(|(_, job)| job.0).collect(),
            accounts,
            amounts,
        }
    }
}

/// Stores the holds that were opened, and closes those that were closed: each must still be open.
pub(crate) async fn store(db: &mut PgConnection, changes: &Changes) -> Result<(), sqlx::Error> {
    if !changes.opened.is_empty() {
        let opened = Opened::of(changes);
        let appended = append!(
            &mut *db,
            opened.ids.len(),
            "hold" ("id, account_id, subject, amount, closed_by")
                from ("$1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[], $5::bigint[]"):
            &opened.ids,
            &opened.accounts,
            &opened.subjects,
            &opened.amounts,
            &opened.closed,
        )
        .await?;
        all_hit(appended, opened.ids.len())?;
    }
    if !changes.closed.is_empty() {
        let closed = Closed::of(changes);
        let result = sqlx::query!(
            "
            update hold h set closed_by = u.job_id
            from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::numeric[]) as u (id, job_id, account_id, amount)
            where h.id = u.id and h.closed_by is null and h.account_id = u.account_id and h.amount = u.amount
            ",
            &closed.ids,
            &closed.jobs,
            &closed.accounts,
            &closed.amounts as _,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), closed.ids.len())?;
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
