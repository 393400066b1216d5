//! The deposit: what a provider's word about a payment means for us.

/// What the provider's status means, whatever the provider calls it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// Waiting for money.
    Waiting,
    /// Money was seen; the higher the rank, the further.
    Coming {
        /// 0 to 2: confirming, confirmed, on its way to us.
        rank: u8,
    },
    /// Too late or never paid; may still be paid.
    Expired,
    /// The provider could not carry it out; may still be paid.
    Failed,
    /// Paid for good, in whole or in part.
    Paid,
    /// Paid and taken back.
    Refunded,
}

impl Stage {
    /// Later stages have higher ranks; a status of lower rank than the last one is old news. Money
    /// that comes after the deadline moves an expired payment on.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Expired => 1,
            Self::Coming { rank } => rank.saturating_add(2),
            Self::Failed => 20,
            Self::Paid => 21,
            Self::Refunded => 22,
        }
    }
}

/// Where a deposit stands with us. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DepositState {
    /// Told of, not yet creditable.
    Seen,
    /// Expired at the provider.
    Expired,
    /// Failed at the provider.
    Failed,
    /// Taken back before it was credited.
    Refunded,
    /// In the wallet.
    Credited,
    /// Taken back from the wallet, whole.
    Reversed,
    /// Taken back, but the wallet did not have all of it.
    Loss,
    /// A person must look.
    Review,
    /// An operator refused it.
    Rejected,
}

impl DepositState {
    /// Every state.
    pub const ALL: [Self; 9] = [
        Self::Seen,
        Self::Expired,
        Self::Failed,
        Self::Refunded,
        Self::Credited,
        Self::Reversed,
        Self::Loss,
        Self::Review,
        Self::Rejected,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seen => "seen",
            Self::Expired => "expired",
            Self::Failed => "failed",
            Self::Refunded => "refunded",
            Self::Credited => "credited",
            Self::Reversed => "reversed",
            Self::Loss => "loss",
            Self::Review => "review",
            Self::Rejected => "rejected",
        }
    }

    /// The state that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a person must look at a deposit. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Review {
    /// Paid, but the provider names no outcome.
    OutcomeMissing,
    /// The order id names nobody we know.
    UserUnknown,
    /// The outcome is in a currency that is not in the registry.
    AssetUnknown,
    /// The outcome is not an amount that an account can hold.
    AmountUnreadable,
    /// Larger than the asset's bound for a single credit.
    AboveCreditMax,
    /// Credited already, and now told of with another amount.
    AmountChanged,
}

impl Review {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::OutcomeMissing,
        Self::UserUnknown,
        Self::AssetUnknown,
        Self::AmountUnreadable,
        Self::AboveCreditMax,
        Self::AmountChanged,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OutcomeMissing => "outcome_missing",
            Self::UserUnknown => "user_unknown",
            Self::AssetUnknown => "asset_unknown",
            Self::AmountUnreadable => "amount_unreadable",
            Self::AboveCreditMax => "above_credit_max",
            Self::AmountChanged => "amount_changed",
        }
    }

    /// The reason that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|review| review.as_str() == text)
    }
}

/// What a fact asks us to do with a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DepositMove {
    /// Old news.
    Nothing,
    /// Remember the state.
    Note(DepositState),
    /// Credit it.
    Credit,
    /// It is credited: see whether the amount is still the same.
    Compare,
    /// Take the credit back.
    ClawBack,
}

/// What a fact means for a deposit: `state` is `None` for a payment never heard of, `credited`
/// tells whether a wallet received it, `known` is the stage of highest rank so far.
///
/// A paid fact credits from every uncredited state but refunded and rejected, also when `failed`
/// or `expired` overtook it.
pub const fn next(state: Option<DepositState>, credited: bool, known: Stage, told: Stage) -> DepositMove {
    match state {
        Some(DepositState::Refunded | DepositState::Rejected | DepositState::Reversed | DepositState::Loss) => {
            return DepositMove::Nothing;
        }
        None
        | Some(
            DepositState::Seen
            | DepositState::Expired
            | DepositState::Failed
            | DepositState::Credited
            | DepositState::Review,
        ) => {}
    }
    match (told, credited) {
        (Stage::Paid, true) => DepositMove::Compare,
        (Stage::Paid, false) => DepositMove::Credit,
        (Stage::Refunded, true) => DepositMove::ClawBack,
        (Stage::Refunded, false) => DepositMove::Note(DepositState::Refunded),
        (Stage::Waiting | Stage::Coming { .. } | Stage::Expired | Stage::Failed, true) => DepositMove::Nothing,
        (Stage::Waiting | Stage::Coming { .. } | Stage::Expired | Stage::Failed, false) => {
            let news = state.is_none() || told.rank() > known.rank();
            match (news, told) {
                (false, _) => DepositMove::Nothing,
                // What lies with a person stays there until the money has come or gone.
                (true, _) if matches!(state, Some(DepositState::Review)) => DepositMove::Nothing,
                (true, Stage::Expired) => DepositMove::Note(DepositState::Expired),
                (true, Stage::Failed) => DepositMove::Note(DepositState::Failed),
                (true, Stage::Waiting | Stage::Coming { .. } | Stage::Paid | Stage::Refunded) => {
                    DepositMove::Note(DepositState::Seen)
                }
            }
        }
    }
}
