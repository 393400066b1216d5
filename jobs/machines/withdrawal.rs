//! The withdrawal, up to its approval.

/// Where a withdrawal stands. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithdrawalState {
    /// Its money is held; nobody, or too few, have approved.
    AwaitingApproval,
    /// Enough have approved; it waits for its payout.
    Approved,
    /// An operator refused it; its money is back.
    Rejected,
    /// The person called it off; its money is back.
    Cancelled,
}

impl WithdrawalState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::AwaitingApproval, Self::Approved, Self::Rejected, Self::Cancelled];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingApproval => "awaiting_approval",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
        }
    }

    /// The state that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What somebody decides about a withdrawal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WithdrawalMove {
    /// One of the approvals that it needs.
    Approve {
        /// Whether it is the last one that it needs.
        last: bool,
        /// Whether the approvals that it had have expired, so that approving begins anew.
        expired: bool,
    },
    /// An operator refuses it.
    Reject,
    /// The person calls it off.
    Cancel,
}

/// Where a move leads; `None` where the state does not allow it. Until the payout's intent is
/// committed an approved withdrawal may still be refused or called off.
pub const fn next(state: WithdrawalState, event: WithdrawalMove) -> Option<WithdrawalState> {
    use WithdrawalState::{Approved, AwaitingApproval, Cancelled, Rejected};
    match (event, state) {
        (WithdrawalMove::Approve { last: true, .. }, AwaitingApproval)
        | (WithdrawalMove::Approve { last: true, expired: true }, Approved) => Some(Approved),
        (WithdrawalMove::Approve { last: false, .. }, AwaitingApproval)
        | (WithdrawalMove::Approve { last: false, expired: true }, Approved) => Some(AwaitingApproval),
        (WithdrawalMove::Reject, AwaitingApproval | Approved) => Some(Rejected),
        (WithdrawalMove::Cancel, AwaitingApproval | Approved) => Some(Cancelled),
        (WithdrawalMove::Approve { expired: false, .. }, Approved)
        | (WithdrawalMove::Approve { .. } | WithdrawalMove::Reject | WithdrawalMove::Cancel, Rejected | Cancelled) => {
            None
        }
    }
}
