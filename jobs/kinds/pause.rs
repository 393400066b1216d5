use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::PrincipalId;
use crate::job::{Job, Settlement, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin, Scope};
use crate::policy::operator::check_reason;
use crate::reason::Reason;
use crate::registry::kind_info;
use crate::rows::pause::{PauseChange, PauseKey, PauseScope, Paused, RAILS};
use crate::subject::About;
use crate::terms::Assets;

/// Pauses something, or lets it go on. What is paused is put off, never refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Pause {
    /// What sort of thing.
    pub scope: PauseScope,
    /// Which one: a lane, a kind, the code of an asset, or a rail.
    #[schema(pattern = "^[a-z0-9-]{1,40}$")]
    pub name: String,
    /// True to pause it, false to let it go on.
    pub paused: bool,
    /// Why, for whoever looks later; 1 to 500 characters.
    #[schema(pattern = "[^\\s\\x00]", min_length = 1, max_length = 500)]
    pub reason: String,
}

impl Pause {
    fn key(&self) -> PauseKey {
        PauseKey { scope: self.scope, name: self.name.clone() }
    }

    /// Operating itself cannot be paused: nobody could resume it.
    fn is_known(&self, assets: &Assets) -> bool {
        match self.scope {
            PauseScope::Lane => Lane::parse(&self.name).is_some_and(|lane| lane != Lane::Operate),
            PauseScope::Kind => kind_info(&self.name).is_some_and(|kind| match kind.lane {
                Lane::Ledger | Lane::Provider | Lane::Notify => true,
                Lane::Operate | Lane::Verify => false,
            }),
            PauseScope::Asset => assets.by_code(&self.name).is_some(),
            PauseScope::Rail => RAILS.contains(&self.name.as_str()),
        }
    }
}

impl Kind for Pause {
    const NAME: &'static str = "pause";
    const LANE: Lane = Lane::Operate;
    const ORIGIN: Origin = Origin::Operator;
    const ABOUT: About<Self> = About::Itself;
    const MOVES_MONEY: bool = false;

    fn check(&self, assets: &Assets) -> Result<(), Invalid> {
        if !self.is_known(assets) {
            let message = match self.scope {
                PauseScope::Lane => "no such lane; ledger, provider, notify and verify can be paused",
                PauseScope::Kind => "no such kind that can be paused",
                PauseScope::Asset => "no such asset",
                PauseScope::Rail => "no such rail; bank and crypto can be paused",
            };
            return Err(Invalid::new("name", "pause_unknown", message));
        }
        check_reason(&self.reason)
    }

    fn rows(&self, want: &mut Want) {
        want.pauses.insert(self.key());
    }

    fn scope(&self) -> Scope {
        Scope::Operate
    }

    fn accounts(&self, _: &Desk, job: &Job, want: &mut Want) {
        want.principals.insert(job.submitted_by);
    }
}

impl Decide for Pause {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        if self.check(&desk.assets).is_err() {
            return Reason::PayloadInvalid.into();
        }
        // A verification that failed pauses in Holdfast's own name.
        if job.submitted_by != PrincipalId::HOLDFAST && !desk.operates(job.submitted_by) {
            return Reason::NotAnOperator.into();
        }
        let key = self.key();
        let pauses = &mut desk.pauses;
        let found = pauses.get(&key).map(|pause| pause.paused);
        if found.unwrap_or(false) == self.paused {
            return Verdict::Settled(Settlement { result: Some(json!({ "changed": false })) });
        }
        let (reason, by) = (self.reason.clone(), job.submitted_by);
        let row = Paused { paused: self.paused, reason: reason.clone(), by, job: job.id, since: desk.now };
        let stored = match found {
            Some(_) => pauses.update(&key, |pause| *pause = row),
            None => pauses.insert(key.clone(), row),
        };
        let change = PauseChange { key, paused: self.paused, reason, by };
        if stored && desk.pause_changes.append(job.id.0, change) {
            Verdict::Settled(Settlement { result: Some(json!({ "changed": true })) })
        } else {
            Verdict::contradiction(format!("the pause of job {} exists already", job.id.0))
        }
    }
}
