use chrono::{DateTime, Utc};

use crate::ids::UserId;

/// A person of the exchange.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Who brought them; never changes.
    pub referrer: Option<UserId>,
    /// Referral tier.
    pub tier: Tier,
    /// A frozen person may neither lock nor withdraw.
    pub frozen: bool,
    /// When they registered.
    pub registered_at: DateTime<Utc>,
}

/// Referral tier. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
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
