use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::{UserId, WithdrawalId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin, Scope};
use crate::machines::withdrawal::{WithdrawalMove, next};
use crate::policy::receivable;
use crate::policy::withdrawal::{approve, find};
use crate::reason::Reason;
use crate::rows::withdrawal::{Approval, Content, Withdrawal};
use crate::subject::About;
use crate::terms::Assets;

/// Longest reason, in bytes.
const REASON_MAX: usize = 400;

/// Somebody decides about a withdrawal. Who approves is the principal that asks, never a name in
/// the payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WithdrawalDecision {
    /// The withdrawal.
    pub withdrawal_id: WithdrawalId,
    /// What is decided.
    pub decision: DecisionName,
    /// With `approve`: the content hash, in hex, of the withdrawal that the approver saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_hash: Option<String>,
    /// With `cancel`: the person, who alone may call it off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// With `reject`: why; shown to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What may be decided. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DecisionName {
    /// An operator approves; above a limit a second one has to.
    Approve,
    /// An operator refuses; the money goes back.
    Reject,
    /// The person calls it off; the money goes back.
    Cancel,
}

impl Kind for WithdrawalDecision {
    const NAME: &'static str = "withdrawal-decision";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::Withdrawal(|job| job.withdrawal_id);

    fn scope(&self) -> Scope {
        match self.decision {
            DecisionName::Approve | DecisionName::Reject => Scope::Operate,
            DecisionName::Cancel => Scope::Submit,
        }
    }

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        let wanted = |field: &'static str, is: bool, should: bool| match (is, should) {
            (true, true) | (false, false) => Ok(()),
            (false, true) => Err(Invalid::new(field, "field_missing", format!("{field} is missing for this decision"))),
            (true, false) => Err(Invalid::new(field, "field_unexpected", format!("this decision has no {field}"))),
        };
        wanted("content_hash", self.content_hash.is_some(), self.decision == DecisionName::Approve)?;
        wanted("user_id", self.user_id.is_some(), self.decision == DecisionName::Cancel)?;
        wanted("reason", self.reason.is_some(), self.decision == DecisionName::Reject)?;
        if self.reason.as_ref().is_some_and(|reason| reason.is_empty() || reason.len() > REASON_MAX) {
            return Err(Invalid::new("reason", "text_form", format!("a reason has 1 to {REASON_MAX} bytes")));
        }
        if self.content_hash.is_some() && self.approved_hash().is_none() {
            return Err(Invalid::new("content_hash", "text_form", "the content hash is 64 hexadecimal digits"));
        }
        Ok(())
    }

    fn rows(&self, want: &mut Want) {
        want.withdrawals.insert(self.withdrawal_id);
    }

    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
        if let Some(withdrawal) = desk.withdrawals.get(&self.withdrawal_id) {
            want.existing.insert(Desk::wallet(withdrawal.user, withdrawal.asset));
            want.existing.insert(Desk::receivable(withdrawal.user, withdrawal.asset));
            // Who approved and may not operate any more does not count.
            want.principals.extend(withdrawal.approvals.iter().map(|approval| approval.approver));
            want.users.insert(withdrawal.user);
        }
        if self.scope() == Scope::Operate {
            want.principals.insert(job.submitted_by);
        }
    }
}

impl Decide for WithdrawalDecision {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let withdrawal = match find(desk, job, self.withdrawal_id) {
            Ok(withdrawal) => withdrawal,
            Err(verdict) => return verdict,
        };
        if let Err(reason) = self.may_decide(desk, job, &withdrawal) {
            // Who may not decide is not told where it stands.
            return reason.into();
        }
        if desk.withdrawals.is_new(&self.withdrawal_id) {
            // The person and the day were not asked for.
            return job.later("the withdrawal was requested in the same batch");
        }
        match self.decision {
            DecisionName::Approve => self.approve(desk, job, &withdrawal),
            DecisionName::Reject => self.give_back(desk, job, &withdrawal, WithdrawalMove::Reject),
            DecisionName::Cancel => self.give_back(desk, job, &withdrawal, WithdrawalMove::Cancel),
        }
    }
}

impl WithdrawalDecision {
    fn approved_hash(&self) -> Option<[u8; 32]> {
        let mut hash = [0; 32];
        hex::decode_to_slice(self.content_hash.as_ref()?, &mut hash).ok()?;
        Some(hash)
    }

    /// Approver ≠ requester ≠ beneficiary: principals are compared, and the person that one is.
    fn may_decide(&self, desk: &Desk, job: &Job, withdrawal: &Withdrawal) -> Result<(), Reason> {
        match self.decision {
            DecisionName::Cancel if self.user_id == Some(withdrawal.user) => Ok(()),
            DecisionName::Cancel => Err(Reason::NotTheBeneficiary),
            DecisionName::Approve | DecisionName::Reject => {
                let by = desk.principals.get(&job.submitted_by).filter(|by| by.operates);
                let by = by.ok_or(Reason::NotAnOperator)?;
                if by.user == Some(withdrawal.user) {
                    return Err(Reason::OwnAccount);
                }
                if self.decision == DecisionName::Approve && job.submitted_by == withdrawal.requested_by {
                    return Err(Reason::SamePrincipal);
                }
                Ok(())
            }
        }
    }

    fn approve(&self, desk: &mut Desk, job: &Job, withdrawal: &Withdrawal) -> Verdict {
        let expired = withdrawal.approved.is_some_and(|(_, until)| until <= desk.now);
        let counts = |approval: &Approval| approval.valid_until > desk.now && desk.operates(approval.approver);
        let valid: Vec<Approval> = withdrawal.approvals.iter().copied().filter(counts).collect();
        let needed = usize::from(withdrawal.approvals_needed);
        let last = valid.len().saturating_add(1) >= needed;
        let Some(state) = next(withdrawal.state, WithdrawalMove::Approve { last, expired }) else {
            return withdrawal.refusal(Reason::WrongState).into();
        };
        if valid.iter().any(|approval| approval.approver == job.submitted_by) {
            return withdrawal.refusal(Reason::AlreadyApproved).into();
        }
        if desk.users.get(&withdrawal.user).is_none_or(|user| user.frozen) {
            return withdrawal.refusal(Reason::UserFrozen).into();
        }
        if receivable::owes(desk, withdrawal.user, withdrawal.asset) {
            return withdrawal.refusal(Reason::Owes).into();
        }
        let Some(asset) = desk.assets.by_id(withdrawal.asset).map(|terms| terms.asset.code.clone()) else {
            return Verdict::contradiction(format!("asset {:?} is not registered", withdrawal.asset));
        };
        let content = Content {
            id: self.withdrawal_id,
            user: withdrawal.user,
            asset: &asset,
            to: &withdrawal.to,
            amount: withdrawal.amount,
            fee: withdrawal.fee,
            network_fee_max: withdrawal.network_fee_max,
        };
        if content.hash() != withdrawal.content_hash {
            return Verdict::contradiction("the withdrawal is not what its hash says");
        }
        if self.approved_hash() != Some(withdrawal.content_hash) {
            return withdrawal.refusal(Reason::ContentChanged).into();
        }
        let Some(valid_until) = desk.now.checked_add_signed(desk.rules.approval_valid) else {
            return Verdict::contradiction("an approval would never expire");
        };
        let approval = Approval { withdrawal: self.withdrawal_id, approver: job.submitted_by, valid_until };
        let first_end: DateTime<Utc> =
            valid.iter().map(|approval| approval.valid_until).min().map_or(valid_until, |first| first.min(valid_until));
        let now = desk.now;
        let stored = approve(desk, job.id, approval)
            && desk.withdrawals.update(&self.withdrawal_id, |withdrawal| {
                withdrawal.state = state;
                withdrawal.approved = last.then_some((now, first_end));
            });
        debug_assert!(stored, "the withdrawal was just found and a job approves once");
        Verdict::SETTLED
    }

    /// Closes the hold, and gives the day's limit back.
    fn give_back(&self, desk: &mut Desk, job: &Job, withdrawal: &Withdrawal, event: WithdrawalMove) -> Verdict {
        let Some(state) = next(withdrawal.state, event) else {
            return withdrawal.refusal(Reason::WrongState).into();
        };
        let Some(day) = desk.days.get(&withdrawal.day_key()).copied() else {
            return Verdict::contradiction("the day of the withdrawal was not loaded");
        };
        let whole = withdrawal.amount.checked_add(withdrawal.fee);
        match desk.book.close_hold(job.id, withdrawal.hold) {
            Ok(held) if Some(held) == whole => {}
            Ok(held) => {
                return Verdict::contradiction(format!("the hold has {held} where amount and fee are {whole:?}"));
            }
            Err(error) => return error.into(),
        }
        // What they owe was not to be had while it was held.
        let back = whole.unwrap_or(withdrawal.amount);
        if let Err(verdict) = receivable::repay(desk, job.id, withdrawal.user, withdrawal.asset, back) {
            return verdict;
        }
        let Some(used) = day.used.checked_sub(withdrawal.amount) else {
            return Verdict::contradiction("the day's limit has less used than this withdrawal");
        };
        let now = desk.now;
        let stored = desk.days.update(&withdrawal.day_key(), |day| day.used = used)
            && desk.withdrawals.update(&self.withdrawal_id, |withdrawal| {
                withdrawal.state = state;
                withdrawal.closed_at = Some(now);
                withdrawal.close_reason.clone_from(&self.reason);
            });
        debug_assert!(stored, "both were just found");
        Verdict::SETTLED
    }
}
