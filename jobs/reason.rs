/// The rules that refuse. The codes are stored and shown, so they are never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The available balance is smaller than what was asked for.
    InsufficientFunds,
    /// The hold was closed by somebody else.
    HoldClosed,
    /// No such person.
    UserUnknown,
    /// No such referrer.
    ReferrerUnknown,
    /// The person is frozen and may not do this.
    UserFrozen,
    /// Seller and buyer are one person.
    SelfTrade,
    /// No such trade, or none came within the time that a job waits for one.
    TradeUnknown,
    /// The job that would have opened the trade was refused.
    TradeNeverOpened,
    /// Only the buyer may do this.
    NotTheBuyer,
    /// Only the seller may do this.
    NotTheSeller,
    /// The trade is in a state that does not allow this.
    WrongState,
    /// It was received after the deadline.
    DeadlinePassed,
    /// Only Holdfast itself may do this.
    NotHoldfast,
    /// The timer is of an older generation.
    StaleTimer,
    /// A mark-paid was taken back before.
    AlreadyUndone,
    /// The deadline was put off before.
    AlreadyExtended,
    /// The deadline is not put off that far.
    ExtensionTooLong,
    /// The amount is below the least that may be withdrawn.
    AmountTooSmall,
    /// More than the person may withdraw in a day.
    KycLimit,
    /// No such withdrawal, or none came within the time that a job waits for one.
    WithdrawalUnknown,
    /// The job that would have made the withdrawal was refused.
    WithdrawalNeverOpened,
    /// Only the person whose withdrawal it is may do this.
    NotTheBeneficiary,
    /// Only somebody who operates may do this.
    NotAnOperator,
    /// Two different principals are needed.
    SamePrincipal,
    /// Nobody decides on an account of their own.
    OwnAccount,
    /// What was approved is not what is there.
    ContentChanged,
    /// This principal has approved it already.
    AlreadyApproved,
    /// The person owes the exchange something of this asset.
    Owes,
    /// The parked job is keyed by a fact that nothing states again.
    NotCancellable,
    /// A call of the parked job may have happened.
    MayHaveHappened,
    /// The payload was valid when it was recorded and is not any more.
    PayloadInvalid,
    /// No job of this id is parked.
    NotParked,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 32] = [
        Self::InsufficientFunds,
        Self::HoldClosed,
        Self::UserUnknown,
        Self::ReferrerUnknown,
        Self::UserFrozen,
        Self::SelfTrade,
        Self::TradeUnknown,
        Self::TradeNeverOpened,
        Self::NotTheBuyer,
        Self::NotTheSeller,
        Self::WrongState,
        Self::DeadlinePassed,
        Self::NotHoldfast,
        Self::StaleTimer,
        Self::AlreadyUndone,
        Self::AlreadyExtended,
        Self::ExtensionTooLong,
        Self::AmountTooSmall,
        Self::KycLimit,
        Self::WithdrawalUnknown,
        Self::WithdrawalNeverOpened,
        Self::NotTheBeneficiary,
        Self::NotAnOperator,
        Self::SamePrincipal,
        Self::OwnAccount,
        Self::ContentChanged,
        Self::AlreadyApproved,
        Self::Owes,
        Self::NotCancellable,
        Self::MayHaveHappened,
        Self::PayloadInvalid,
        Self::NotParked,
    ];

    /// The stable code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "insufficient_funds",
            Self::HoldClosed => "hold_closed",
            Self::UserUnknown => "user_unknown",
            Self::ReferrerUnknown => "referrer_unknown",
            Self::UserFrozen => "user_frozen",
            Self::SelfTrade => "self_trade",
            Self::TradeUnknown => "trade_unknown",
            Self::TradeNeverOpened => "trade_never_opened",
            Self::NotTheBuyer => "not_the_buyer",
            Self::NotTheSeller => "not_the_seller",
            Self::WrongState => "wrong_state",
            Self::DeadlinePassed => "deadline_passed",
            Self::NotHoldfast => "not_holdfast",
            Self::StaleTimer => "stale_timer",
            Self::AlreadyUndone => "already_undone",
            Self::AlreadyExtended => "already_extended",
            Self::ExtensionTooLong => "extension_too_long",
            Self::AmountTooSmall => "amount_too_small",
            Self::KycLimit => "kyc_limit",
            Self::WithdrawalUnknown => "withdrawal_unknown",
            Self::WithdrawalNeverOpened => "withdrawal_never_opened",
            Self::NotTheBeneficiary => "not_the_beneficiary",
            Self::NotAnOperator => "not_an_operator",
            Self::SamePrincipal => "same_principal",
            Self::OwnAccount => "own_account",
            Self::ContentChanged => "content_changed",
            Self::AlreadyApproved => "already_approved",
            Self::Owes => "owes",
            Self::NotCancellable => "not_cancellable",
            Self::MayHaveHappened => "may_have_happened",
            Self::PayloadInvalid => "payload_invalid",
            Self::NotParked => "not_parked",
        }
    }

    /// One sentence for people.
    pub const fn explain(self) -> &'static str {
        match self {
            Self::InsufficientFunds => "The available balance is smaller than the amount asked for",
            Self::HoldClosed => "The escrowed money has already been released or refunded",
            Self::UserUnknown => "No such user is registered",
            Self::ReferrerUnknown => "No such referrer is registered",
            Self::UserFrozen => "The user is frozen and may not do this",
            Self::SelfTrade => "Seller and buyer are the same user",
            Self::TradeUnknown => "No such trade was opened",
            Self::TradeNeverOpened => "The lock that would have opened this trade was refused",
            Self::NotTheBuyer => "Only the buyer of the trade may do this",
            Self::NotTheSeller => "Only the seller of the trade may do this",
            Self::WrongState => "The trade is in a state that does not allow this",
            Self::DeadlinePassed => "The request was received after the trade's deadline",
            Self::NotHoldfast => "Nobody may ask for this; Holdfast does it by itself",
            Self::StaleTimer => "The deadline of this timer was put off, or the timer was set anew",
            Self::AlreadyUndone => "The buyer has taken a payment of this trade back before, which is possible once",
            Self::AlreadyExtended => "The deadline of this trade was put off before, which is possible once",
            Self::ExtensionTooLong => "The deadline of a trade is not put off that far",
            Self::AmountTooSmall => "The amount is smaller than the least that may be withdrawn",
            Self::KycLimit => "The request exceeds what the user may withdraw in a day",
            Self::WithdrawalUnknown => "No such withdrawal was requested",
            Self::WithdrawalNeverOpened => "The request that would have made this withdrawal was refused",
            Self::NotTheBeneficiary => "Only the user whose withdrawal it is may do this",
            Self::NotAnOperator => "Only a principal with a key that may operate may do this",
            Self::SamePrincipal => "Two different principals are needed for this",
            Self::OwnAccount => "Nobody decides on an account of their own",
            Self::ContentChanged => "What was approved is not what the withdrawal says",
            Self::AlreadyApproved => "This principal has approved this withdrawal already",
            Self::Owes => "The user owes the exchange something of this asset; credits repay it first",
            Self::NotCancellable => {
                "The job was caused by a settled job, a deadline or a payment, and nothing would cause it again: retry it"
            }
            Self::MayHaveHappened => {
                "A call of the job may have happened, so it cannot end as if nothing had: retry it, which asks what became of it"
            }
            Self::PayloadInvalid => "The request is not valid",
            Self::NotParked => "The job is not parked: it is queued, or it has ended",
        }
    }

    /// Whether the refusal is about the state of things (409) rather than the request (422).
    pub const fn is_about_state(self) -> bool {
        match self {
            Self::InsufficientFunds
            | Self::HoldClosed
            | Self::UserFrozen
            | Self::TradeNeverOpened
            | Self::NotTheBuyer
            | Self::NotTheSeller
            | Self::WrongState
            | Self::DeadlinePassed
            | Self::NotHoldfast
            | Self::StaleTimer
            | Self::AlreadyUndone
            | Self::AlreadyExtended
            | Self::KycLimit
            | Self::WithdrawalNeverOpened
            | Self::NotTheBeneficiary
            | Self::NotAnOperator
            | Self::SamePrincipal
            | Self::OwnAccount
            | Self::ContentChanged
            | Self::AlreadyApproved
            | Self::NotParked
            | Self::Owes
            | Self::NotCancellable
            | Self::MayHaveHappened => true,
            Self::UserUnknown
            | Self::ReferrerUnknown
            | Self::SelfTrade
            | Self::TradeUnknown
            | Self::ExtensionTooLong
            | Self::AmountTooSmall
            | Self::WithdrawalUnknown
            | Self::PayloadInvalid => false,
        }
    }

    /// Whether the refusal is about who asks, and so would stand whatever else happens.
    pub const fn is_about_party(self) -> bool {
        matches!(
            self,
            Self::NotTheBuyer | Self::NotTheSeller | Self::NotHoldfast | Self::NotTheBeneficiary | Self::NotAnOperator
        )
    }

    /// The reason with this code.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }
}
