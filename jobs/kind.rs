use ledger::{AmountError, AssetId};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desk::{Cause, Desk, Want};
use crate::job::{Job, Verdict};
use crate::kind_info::{KindInfo, Lane, Origin, Scope};
use crate::subject::About;
use crate::terms::Assets;

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

impl KindInfo {
    /// What is known of a kind.
    pub const fn of<K: Kind>() -> Self {
        Self {
            name: K::NAME,
            lane: K::LANE,
            origin: K::ORIGIN,
            moves_money: K::MOVES_MONEY,
            about: K::ABOUT.rule(),
            in_order: K::IN_ORDER,
        }
    }
}

/// A job that is caused by another one, or by time where there is none, under the key of a fact: queued, and due at once.
///
/// # Errors
/// The verdict that parks whatever causes it, if its payload cannot be written: never for the kinds that exist.
pub fn cause<K: Kind>(payload: &K, key: String, by: Option<&Job>) -> Result<Cause, Verdict> {
    let text = serde_json::to_string(payload).map_err(|error| Verdict::contradiction(error.to_string()))?;
    let (kind, named) = (const { KindInfo::of::<K>() }, K::ABOUT.named(payload));
    Ok(Cause { kind, named, payload: text, key, run_at: None, caused_by: by.cloned(), at_once: false })
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
