use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Kind};
use crate::kind_info::{Lane, Origin, Scope};
use crate::subject::About;

/// Runs the integrity checks and records what they found. It reads everything and takes long, so
/// it is leased by a loop of its own and never part of a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Verify {}

impl Kind for Verify {
    const NAME: &'static str = "verify";
    const LANE: Lane = Lane::Verify;
    const ORIGIN: Origin = Origin::Operator;
    const ABOUT: About<Self> = About::Itself;
    const MOVES_MONEY: bool = false;

    fn rows(&self, _: &mut Want) {}

    fn scope(&self) -> Scope {
        Scope::Operate
    }

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Decide for Verify {
    /// A batch has no snapshot to check; whoever queued it there made a mistake.
    fn decide(&self, _: &mut Desk, _: &Job) -> Verdict {
        Verdict::contradiction("a verification is not settled in a batch; it belongs to the lane verify")
    }
}
