use crate::subject::SubjectRule;

/// What is known of a kind without a job of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// The stored name.
    pub name: &'static str,
    /// Which workers do it.
    pub lane: Lane,
    /// Who may ask for it.
    pub origin: Origin,
    /// See [`Kind::MOVES_MONEY`].
    pub moves_money: bool,
    /// See [`Kind::ABOUT`].
    pub about: SubjectRule,
    /// See [`Kind::IN_ORDER`].
    pub in_order: bool,
}

/// A class of workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Touches our database only.
    Ledger,
    /// Calls payment providers.
    Provider,
    /// Sends notices.
    Notify,
    /// What operators ask for: it waits behind nothing else and cannot be paused.
    Operate,
    /// The integrity checks, one at a time.
    Verify,
}

impl Lane {
    /// Every lane.
    pub const ALL: [Self; 5] = [Self::Ledger, Self::Provider, Self::Notify, Self::Operate, Self::Verify];

    /// Whether its jobs call the outside, each by itself, rather than being decided in batches.
    pub const fn calls(self) -> bool {
        match self {
            Self::Ledger | Self::Operate => false,
            Self::Provider | Self::Notify | Self::Verify => true,
        }
    }

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ledger => "ledger",
            Self::Provider => "provider",
            Self::Notify => "notify",
            Self::Operate => "operate",
            Self::Verify => "verify",
        }
    }

    /// The lane that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == text)
    }
}

/// Who may cause a job of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Submitters, under a key of theirs.
    Client,
    /// Operators, under a key of theirs that may operate.
    Operator,
    /// Holdfast itself, keyed by the fact that causes it.
    Internal,
}

/// What an API key may be allowed to do that matters for asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Ask on behalf of the exchange's people.
    Submit,
    /// Decide on other people's money.
    Operate,
}
