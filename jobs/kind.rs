use std::time::Duration;

use chrono::{DateTime, Utc};
use ledger::{AmountError, AssetId, BookError, JobId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desk::{Desk, Want};
use crate::ids::PrincipalId;
use crate::reason::Reason;
use crate::subject::About;
use crate::terms::Assets;

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

/// A job as a worker meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id; what it brings into being bears the same number.
    pub id: JobId,
    /// The principal that asked.
    pub submitted_by: PrincipalId,
    /// When it was recorded; deadlines are compared with this.
    pub received_at: DateTime<Utc>,
    /// How often it was tried before.
    pub attempt: i32,
    /// W3C trace context of what asked for it; what it causes inherits it.
    pub trace_parent: Option<String>,
}

impl Job {
    /// Later, because something that comes first has not settled yet: soon at first, then at
    /// growing distances of up to 2.5 seconds.
    pub fn later(&self, why: &'static str) -> Verdict {
        Verdict::Later { after: doubled(self.attempt, Duration::from_millis(20), 7), why }
    }
}

/// `first`, doubled for each of these attempts, but no more often than `most` times.
pub fn doubled(attempts: i32, first: Duration, most: u32) -> Duration {
    let doublings = u32::try_from(attempts).unwrap_or_default().min(most);
    first.saturating_mul(2_u32.saturating_pow(doublings))
}

/// A kind of job: what it carries and which rows it touches.
pub trait Kind: Serialize + DeserializeOwned {
    /// The stored name; never renamed.
    const NAME: &'static str;
    /// Which workers do it.
    const LANE: Lane;
    /// Who may ask for it.
    const ORIGIN: Origin;
    /// Whether it can move or hold money, so that cancelling one takes two people. Only a kind that
    /// certainly cannot says false.
    const MOVES_MONEY: bool = true;
    /// What its jobs are about.
    const ABOUT: About<Self>;
    /// Whether what was received later about the same subject, and is of such a kind as well, waits for a job of it that
    /// has to wait. A timer never holds up an event, and what is caused was not asked for.
    const IN_ORDER: bool = false;

    /// Checks what can be checked without the database, so that bad input never becomes a job. Most payloads have
    /// nothing that their types do not check.
    ///
    /// # Errors
    /// [`Invalid`] names the field and the rule; the client must send something else.
    fn check(&self, _assets: &Assets) -> Result<(), Invalid> {
        Ok(())
    }

    /// Names the rows that the payload names.
    fn rows(&self, want: &mut Want);

    /// What a key must be allowed to do for asking this.
    fn scope(&self) -> Scope {
        Scope::Submit
    }

    /// Names the days of limits that the job may use. Whoever changes one asks for the wallet as well, whose lock it is
    /// changed under.
    fn limits(&self, _desk: &Desk, _job: &Job, _want: &mut Want) {}

    /// Names the people and accounts that those rows imply.
    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want);

    /// The assets that it touches, as far as the desk tells: while one is paused the job is put off. Unless a kind says
    /// otherwise, that is the asset of the trade or withdrawal that the payload names.
    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        Self::ABOUT.named(self).and_then(|subject| desk.asset_of(subject)).into_iter().collect()
    }

    /// The way by which it sends money out: while that is paused the job is put off.
    fn rail(&self, _: &Desk) -> Option<&'static str> {
        None
    }
}

/// A kind that is settled by deciding on a desk.
pub trait Decide: Kind {
    /// Decides the job. Pure: everything it rests on is on the desk or comes with the job.
    ///
    /// It may leave the desk half changed when it does not settle: the driver marked it before
    /// and undoes.
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict;
}

/// What `decide` says.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The effects on the desk are to be committed.
    Settled(Settlement),
    /// A rule refuses; nothing changes.
    Rejected(Rejection),
    /// What it depends on is not there yet.
    Later {
        /// When to try again.
        after: Duration,
        /// What it waits for.
        why: &'static str,
    },
    /// A person must look.
    Park(Parking),
}

/// What a settled job tells its submitter beyond having settled.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settlement {
    /// Null for most kinds.
    pub result: Option<serde_json::Value>,
}

/// Why a job needs a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parking {
    /// Stable code.
    pub reason: &'static str,
    /// What was seen.
    pub detail: String,
}

/// A refusal by a rule, with the state that was found where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Which rule.
    pub reason: Reason,
    /// The stored text of the state that the trade or withdrawal was in.
    pub found: Option<&'static str>,
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self { reason, found: None }
    }
}

impl From<Reason> for Verdict {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason.into())
    }
}

impl From<Rejection> for Verdict {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// An error of the book that is not a refusal is a fault of ours: the job is parked, never guessed.
impl From<BookError> for Verdict {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Insufficient { .. } => Reason::InsufficientFunds.into(),
            BookError::HoldClosed { .. } => Reason::HoldClosed.into(),
            BookError::UnknownAccount { .. }
            | BookError::UnknownHold { .. }
            | BookError::SameAccount { .. }
            | BookError::ZeroAmount
            | BookError::AssetMismatch { .. }
            | BookError::Overflow { .. }
            | BookError::HoldExists { .. }
            | BookError::HoldExceedsHeld { .. } => Self::contradiction(error.to_string()),
        }
    }
}

impl Verdict {
    /// Settled, with nothing to add.
    pub const SETTLED: Self = Self::Settled(Settlement { result: None });

    /// Facts contradict each other: parked for a person.
    pub fn contradiction(detail: impl Into<String>) -> Self {
        Self::Park(Parking { reason: "contradiction", detail: detail.into() })
    }
}

/// Why a payload is refused before it becomes a job.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct Invalid {
    /// The field of the payload.
    pub field: &'static str,
    /// Stable code.
    pub code: &'static str,
    /// One sentence for people.
    pub message: String,
}

impl Invalid {
    /// A refusal of a field.
    pub fn new(field: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { field, code, message: message.into() }
    }

    /// A refusal of an amount.
    pub fn amount(field: &'static str, error: AmountError) -> Self {
        Self::new(field, error.code(), error.to_string())
    }
}
