use chrono::{DateTime, Utc};
use ledger::JobId;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ids::PrincipalId;

/// The ways that money leaves. The texts are stored and never renamed.
pub const RAILS: [&str; 2] = ["bank", "crypto"];

/// What can be paused. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PauseScope {
    /// A class of workers: they claim nothing.
    Lane,
    /// A kind of job.
    Kind,
    /// An asset: every job that touches it.
    Asset,
    /// A way that money leaves.
    Rail,
}

/// What names a pause.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PauseKey {
    /// What sort of thing.
    pub scope: PauseScope,
    /// Which one.
    pub name: String,
}

/// A pause as it is stored while it lasts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paused {
    /// False once this batch has ended it; such a row is deleted.
    pub paused: bool,
    /// Why.
    pub reason: String,
    /// Who paused it.
    pub by: PrincipalId,
    /// The job that did.
    pub job: JobId,
    /// When that settled.
    pub since: DateTime<Utc>,
}

/// One pause or resumption in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PauseChange {
    /// What was paused or resumed.
    pub key: PauseKey,
    /// Which of the two.
    pub paused: bool,
    /// Why.
    pub reason: String,
    /// Who.
    pub by: PrincipalId,
}

impl PauseScope {
    /// Every scope.
    pub const ALL: [Self; 4] = [Self::Lane, Self::Kind, Self::Asset, Self::Rail];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Lane => "lane",
            Self::Kind => "kind",
            Self::Asset => "asset",
            Self::Rail => "rail",
        }
    }

    /// The scope that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}
