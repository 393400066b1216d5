use crate::account::{AccountId, AccountKey};
use crate::amount::Amount;
use crate::changes::{HoldId, JobId};

/// Why the book did nothing. After any of these it is exactly as it was before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BookError {
    /// A refusal: the account may not fall below zero.
    #[error("{available} minor units are available where {wanted} are wanted")]
    Insufficient {
        /// What the account could spend, in minor units.
        available: i128,
        /// What was asked of it.
        wanted: Amount,
    },
    /// A refusal: another job, or an earlier step of this one, closed the hold.
    #[error("the hold was closed by job {by}")]
    HoldClosed {
        /// Who closed it.
        by: JobId,
    },
    /// A bug: the account was not loaded.
    #[error("account {account} is not in the book")]
    UnknownAccount {
        /// Which one.
        account: AccountId,
    },
    /// A bug: the hold was not loaded.
    #[error("hold {hold} is not in the book")]
    UnknownHold {
        /// Which one.
        hold: HoldId,
    },
    /// A bug: an account would pay itself.
    #[error("account {account} would pay itself")]
    SameAccount {
        /// Which one.
        account: AccountId,
    },
    /// A bug: a transfer or hold of nothing. Callers leave those out.
    #[error("the amount is zero")]
    ZeroAmount,
    /// A bug: the two accounts count different assets.
    #[error("accounts {debit} and {credit} are in different assets")]
    AssetMismatch {
        /// Who would have paid.
        debit: AccountId,
        /// Who would have received.
        credit: AccountId,
    },
    /// A balance, a version or the number of a job's legs would leave the range that is stored.
    #[error("a balance, version or leg of account {account} would leave its range")]
    Overflow {
        /// Whose.
        account: AccountId,
    },
    /// A bug: the job has opened a hold before.
    #[error("hold {hold} exists already")]
    HoldExists {
        /// Which one.
        hold: HoldId,
    },
    /// The stored facts contradict each other: the hold is larger than all that its account holds.
    #[error("hold {hold} is of {amount} minor units, and its account holds {held}")]
    HoldExceedsHeld {
        /// Which one.
        hold: HoldId,
        /// How much it sets aside.
        amount: Amount,
        /// How much its account says is set aside in all, in minor units.
        held: i128,
    },
}

impl BookError {
    /// Whether a rule said no, which a job answers by being rejected. Anything else is a bug or a
    /// contradiction in what was loaded, and needs a person.
    pub const fn is_refusal(&self) -> bool {
        match self {
            Self::Insufficient { .. } | Self::HoldClosed { .. } => true,
            Self::UnknownAccount { .. }
            | Self::UnknownHold { .. }
            | Self::SameAccount { .. }
            | Self::ZeroAmount
            | Self::AssetMismatch { .. }
            | Self::Overflow { .. }
            | Self::HoldExists { .. }
            | Self::HoldExceedsHeld { .. } => false,
        }
    }
}

/// Why something that was loaded is not taken into the book. Each is a bug in what loads or a
/// contradiction in what is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The account is in the book already; loading it again could undo what the batch did to it.
    #[error("account {account} is loaded twice")]
    AccountTwice {
        /// Which one.
        account: AccountId,
    },
    /// Another account of the book has the same key.
    #[error("accounts {first} and {second} have one key, {key:?}")]
    KeyTwice {
        /// The one that is in the book.
        first: AccountId,
        /// The one that was to be loaded.
        second: AccountId,
        /// The key of both.
        key: AccountKey,
    },
    /// The sign of the id and the purpose disagree on whether the account has a floor.
    #[error("the id of account {account} does not fit its purpose")]
    FloorMismatch {
        /// Which one.
        account: AccountId,
    },
    /// The balance breaks a rule that every stored balance keeps: not below its floor, nothing
    /// negative held, within its range, and zero before the first entry.
    #[error("account {account} has an impossible balance or version")]
    Unsound {
        /// Which one.
        account: AccountId,
    },
    /// The hold is in the book already.
    #[error("hold {hold} is loaded twice")]
    HoldTwice {
        /// Which one.
        hold: HoldId,
    },
    /// The hold sets nothing aside.
    #[error("hold {hold} is of nothing")]
    HoldOfNothing {
        /// Which one.
        hold: HoldId,
    },
}
