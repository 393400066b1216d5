use ledger::JobId;

use crate::ids::{InboxId, JobRef, TradeId, UserId, WithdrawalId};

/// What a job is about. Jobs about one subject wait for each other in the order in which they were received, and are put
/// off together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Subject {
    /// A trade.
    Trade(TradeId),
    /// A withdrawal.
    Withdrawal(WithdrawalId),
    /// A person.
    Person(UserId),
    /// A payment, by the callback that tells of it.
    Payment(InboxId),
    /// The job itself.
    Job(JobRef),
}

/// The sort of a [`Subject`]: numbers alone do not tell, since a client may name that of a person as a trade's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SubjectType {
    /// See [`Subject::Trade`].
    Trade,
    /// See [`Subject::Withdrawal`].
    Withdrawal,
    /// See [`Subject::Person`].
    Person,
    /// See [`Subject::Payment`].
    Payment,
    /// See [`Subject::Job`].
    Job,
}

impl SubjectType {
    /// Every sort.
    pub const ALL: [Self; 5] = [Self::Trade, Self::Withdrawal, Self::Person, Self::Payment, Self::Job];

    /// The stored text; never renamed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Trade => "trade",
            Self::Withdrawal => "withdrawal",
            Self::Person => "person",
            Self::Payment => "payment",
            Self::Job => "job",
        }
    }

    /// The sort that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }

    /// The field of a payload that names a subject of this sort; `None` where no client names one.
    pub const fn field(self) -> Option<&'static str> {
        match self {
            Self::Trade => Some("trade_id"),
            Self::Withdrawal => Some("withdrawal_id"),
            Self::Person => Some("user_id"),
            Self::Payment => Some("inbox_id"),
            Self::Job => None,
        }
    }
}

impl Subject {
    /// The subject of this sort and number.
    pub const fn new(sort: SubjectType, number: i64) -> Self {
        match sort {
            SubjectType::Trade => Self::Trade(TradeId(number)),
            SubjectType::Withdrawal => Self::Withdrawal(WithdrawalId(number)),
            SubjectType::Person => Self::Person(UserId(number)),
            SubjectType::Payment => Self::Payment(InboxId(number)),
            SubjectType::Job => Self::Job(JobRef(number)),
        }
    }

    /// Its sort.
    pub const fn sort(self) -> SubjectType {
        match self {
            Self::Trade(_) => SubjectType::Trade,
            Self::Withdrawal(_) => SubjectType::Withdrawal,
            Self::Person(_) => SubjectType::Person,
            Self::Payment(_) => SubjectType::Payment,
            Self::Job(_) => SubjectType::Job,
        }
    }

    /// Its number among those of its sort.
    pub const fn number(self) -> i64 {
        match self {
            Self::Trade(id) => id.0,
            Self::Withdrawal(id) => id.0,
            Self::Person(id) => id.0,
            Self::Payment(id) => id.0,
            Self::Job(id) => id.0,
        }
    }
}

/// What the jobs of a kind are about, and how it is found: said once by each kind.
#[derive(Debug)]
pub enum About<K> {
    /// A trade that the payload names.
    Trade(fn(&K) -> TradeId),
    /// A withdrawal that the payload names.
    Withdrawal(fn(&K) -> WithdrawalId),
    /// A person whom the payload names.
    Person(fn(&K) -> UserId),
    /// A payment whose callback the payload names.
    Payment(fn(&K) -> InboxId),
    /// What the job brings into being, which bears its number: a trade, say.
    New(SubjectType),
    /// The job itself.
    Itself,
}

/// The same without the payload: what a stored job of a kind is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubjectRule {
    /// The sort of it.
    pub sort: SubjectType,
    /// Whether the payload names it; otherwise it bears the number of the job.
    pub is_named: bool,
}

impl<K> About<K> {
    /// The subject that a payload names.
    pub fn named(&self, payload: &K) -> Option<Subject> {
        match self {
            Self::Trade(id) => Some(Subject::Trade(id(payload))),
            Self::Withdrawal(id) => Some(Subject::Withdrawal(id(payload))),
            Self::Person(id) => Some(Subject::Person(id(payload))),
            Self::Payment(id) => Some(Subject::Payment(id(payload))),
            Self::New(_) | Self::Itself => None,
        }
    }

    /// What can be said without a payload.
    pub const fn rule(&self) -> SubjectRule {
        let (sort, is_named) = match self {
            Self::Trade(_) => (SubjectType::Trade, true),
            Self::Withdrawal(_) => (SubjectType::Withdrawal, true),
            Self::Person(_) => (SubjectType::Person, true),
            Self::Payment(_) => (SubjectType::Payment, true),
            Self::New(sort) => (*sort, false),
            Self::Itself => (SubjectType::Job, false),
        };
        SubjectRule { sort, is_named }
    }
}

impl SubjectRule {
    /// What a job of this number is about, whose payload names this number; `None` if it should name one and names none.
    pub fn subject(self, job: JobId, named: Option<i64>) -> Option<Subject> {
        let number = if self.is_named { named? } else { job.0 };
        Some(Subject::new(self.sort, number))
    }
}
