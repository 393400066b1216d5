//! What people owe after a clawback found too little.

use ledger::{Amount, AssetId, Code, JobId};

use crate::desk::Desk;
use crate::ids::UserId;
use crate::job::Verdict;

/// Whether the person owes anything of an asset. The account must have been asked for.
pub(crate) fn owes(desk: &Desk, user: UserId, asset: AssetId) -> bool {
    let debt = desk.book.account_id(&Desk::receivable(user, asset));
    debt.and_then(|debt| desk.book.account(debt)).is_some_and(|account| account.balance.posted < 0)
}

/// Pays what the person owes out of what they just received, as far as it goes. Nobody who owes
/// nothing has the account, so for them this does nothing.
///
/// # Errors
/// The verdict that parks the job.
pub(crate) fn repay(
    desk: &mut Desk,
    job: JobId,
    user: UserId,
    asset: AssetId,
    received: Amount,
) -> Result<(), Verdict> {
    let Some(debt) = desk.book.account_id(&Desk::receivable(user, asset)) else {
        return Ok(());
    };
    let owed = desk.book.account(debt).map_or(0, |account| account.balance.posted.saturating_neg());
    let pays = Amount::from_minor(owed.clamp(0, received.minor()))
        .map_err(|error| Verdict::contradiction(error.to_string()))?;
    if pays.is_zero() {
        return Ok(());
    }
    let wallet = desk.account(Desk::wallet(user, asset))?;
    desk.book.transfer(job, Code::ReceivableRepay, wallet, debt, pays)?;
    Ok(())
}
