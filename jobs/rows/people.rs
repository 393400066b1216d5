use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::{PrincipalId, UserId};

/// A person of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who brought them; never changes.
    pub referrer: Option<Referrer>,
    /// Referral tier.
    pub tier: Tier,
    /// A frozen person may neither lock nor withdraw.
    pub frozen: bool,
    /// How well they are known, from 0 to 3; limits of withdrawals rise with it.
    pub kyc: i16,
    /// When they registered.
    pub registered_at: DateTime<Utc>,
}

/// Who brought somebody, as they stand now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Referrer {
    /// Who it is.
    pub id: UserId,
    /// Their tier, which decides their rate.
    pub tier: Tier,
}

/// Referral tier. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// What everybody starts with.
    #[default]
    Standard,
    /// A golden referrer.
    Golden,
}

impl Tier {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Standard => "standard",
            Self::Golden => "golden",
        }
    }

    /// The tier that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Standard, Self::Golden].into_iter().find(|tier| tier.as_str() == text)
    }
}

/// Who submits, as far as a decision on other people's money depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Principal {
    /// The person that they are, if they are one of the exchange's people.
    pub user: Option<UserId>,
    /// Whether they have a key that may operate, neither expired nor revoked.
    pub operates: bool,
}

/// What an operator set on a person, as it stood afterwards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flagged {
    /// On whom.
    pub user: UserId,
    /// Who set it.
    pub by: PrincipalId,
    /// The person from then on.
    pub then: User,
    /// Why.
    pub reason: String,
}
