//! The states in which the provider says a payment or a payout is.

use serde::Serialize;

/// The state of a payment (a deposit) at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PaymentStatus {
    /// An address was given; nothing was seen on it.
    Waiting,
    /// Nothing came in time. Money may still come later and is then real.
    Expired,
    /// Not documented, but seen: read like `expired`, by a name of its own.
    Cancelled,
    /// Seen on the chain, not final.
    Confirming,
    /// Enough confirmations for the provider; not final for us.
    Confirmed,
    /// On its way from the provider to our balance there.
    Sending,
    /// Something went wrong at the provider; a `finished` may still follow.
    Failed,
    /// Less than was asked for arrived, and that is ours.
    PartiallyPaid,
    /// All that was asked for arrived, and is ours.
    Finished,
    /// Given back to the sender.
    Refunded,
}

impl PaymentStatus {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Waiting,
        Self::Expired,
        Self::Cancelled,
        Self::Confirming,
        Self::Confirmed,
        Self::Sending,
        Self::Failed,
        Self::PartiallyPaid,
        Self::Finished,
        Self::Refunded,
    ];

    /// Reads the provider's word, in any case of letters. `None` for a word that we do not know.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// The provider's word, which is also the stored one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
            Self::Confirming => "confirming",
            Self::Confirmed => "confirmed",
            Self::Sending => "sending",
            Self::Failed => "failed",
            Self::PartiallyPaid => "partially_paid",
            Self::Finished => "finished",
            Self::Refunded => "refunded",
        }
    }

    /// How far along the payment is. A callback of a lower rank than one already seen is late
    /// news.
    ///
    /// The order is waiting, {expired, cancelled}, confirming, confirmed, sending, failed,
    /// {`partially_paid`, finished}, refunded. Expired stands below confirming because money that
    /// comes after the deadline moves a payment on; failed stands below the crediting statuses
    /// because a `finished` credits even when `failed` overtook it; refunded stands above all,
    /// so that it is heard after `finished`.
    pub const fn rank(self) -> u8 {
        match self {
            Self::Waiting => 0,
            Self::Expired | Self::Cancelled => 1,
            Self::Confirming => 2,
            Self::Confirmed => 3,
            Self::Sending => 4,
            Self::Failed => 5,
            Self::PartiallyPaid | Self::Finished => 6,
            Self::Refunded => 7,
        }
    }

    /// Whether `outcome_amount` may be credited: `finished` or `partially_paid`, nothing else.
    pub const fn credits(self) -> bool {
        match self {
            Self::PartiallyPaid | Self::Finished => true,
            Self::Waiting
            | Self::Expired
            | Self::Cancelled
            | Self::Confirming
            | Self::Confirmed
            | Self::Sending
            | Self::Failed
            | Self::Refunded => false,
        }
    }
}

/// The state of one withdrawal of a payout batch at the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PayoutStatus {
    /// Being created; the batch awaits its second factor.
    Creating,
    /// Waits to be processed.
    Waiting,
    /// Being processed.
    Processing,
    /// On its way to the chain.
    Sending,
    /// Failed, but may still be processed later: a matter for a review, not for the user.
    Failed,
    /// Seen, not documented as final.
    Cancelled,
    /// Final: nothing was sent and nothing will be.
    Rejected,
    /// Final: sent.
    Finished,
}

impl PayoutStatus {
    /// Every status.
    pub const ALL: [Self; 8] = [
        Self::Creating,
        Self::Waiting,
        Self::Processing,
        Self::Sending,
        Self::Failed,
        Self::Cancelled,
        Self::Rejected,
        Self::Finished,
    ];

    /// Reads the provider's word, in any case of letters (callbacks write it in capitals).
    /// `None` for a word that we do not know.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str().eq_ignore_ascii_case(word))
    }

    /// The provider's word in lower case, which is also the stored one.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Waiting => "waiting",
            Self::Processing => "processing",
            Self::Sending => "sending",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Rejected => "rejected",
            Self::Finished => "finished",
        }
    }

    /// Whether the provider will never say anything else: `finished` and `rejected` only.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Rejected | Self::Finished => true,
            Self::Creating | Self::Waiting | Self::Processing | Self::Sending | Self::Failed | Self::Cancelled => false,
        }
    }
}
