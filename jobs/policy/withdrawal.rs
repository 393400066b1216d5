//! What jobs about withdrawals share.

use ledger::JobId;

use crate::desk::Desk;
use crate::ids::WithdrawalId;
use crate::job::{Job, Verdict};
use crate::policy::missing::missing;
use crate::reason::Reason;
use crate::rows::withdrawal::{Approval, Withdrawal};

/// Finds the withdrawal of a job.
///
/// # Errors
/// The verdict to return: Later while the request may still settle, a rejection otherwise.
pub(crate) fn find(desk: &Desk, job: &Job, id: WithdrawalId) -> Result<Withdrawal, Verdict> {
    if let Some(withdrawal) = desk.withdrawals.get(&id) {
        return Ok(withdrawal.clone());
    }
    let reasons = (Reason::WithdrawalNeverOpened, Reason::WithdrawalUnknown);
    Err(missing(desk, job, id.0, reasons, "the withdrawal's request has not settled yet"))
}

/// The job that an approval is the work of.
pub(crate) fn approve(desk: &mut Desk, job: JobId, approval: Approval) -> bool {
    desk.approvals.append(job, approval)
        && desk.withdrawals.update(&approval.withdrawal, |withdrawal| withdrawal.approvals.push(approval))
}
