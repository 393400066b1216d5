use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;
use utoipa::ToSchema;

use crate::call::{Call, Earlier, Endpoint, Plan, Reply};
use crate::desk::{Desk, Want};
use crate::job::{Job, Parking, Settlement, Verdict};
use crate::kind::{Kind, cause};
use crate::kind_info::{Lane, Origin, Scope};
use crate::kinds::pause::Pause;
use crate::rows::pause::PauseScope;
use crate::rows::verification::Findings;
use crate::subject::About;

/// When a verification that could not look is tried again.
const AGAIN: Duration = Duration::from_mins(1);
/// A verification that was begun this often and never ended is parked.
const ATTEMPTS_MAX: i32 = 20;

/// Runs the integrity checks and records what they found. It reads everything and takes long, so it is a call, though
/// of nobody else.
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

impl Call for Verify {
    type Request = ();
    type Answer = Findings;

    const ENDPOINT: Endpoint = Endpoint {
        name: "checks",
        room: 1,
        timeout: Duration::from_hours(12),
        lease: Duration::from_mins(10),
        only_reads: true,
    };

    /// However often it was begun before: it only reads.
    fn plan(&self, _: &mut Desk, job: &Job, _: &Earlier) -> Plan<()> {
        if job.attempt > ATTEMPTS_MAX {
            let detail = format!("it was begun {ATTEMPTS_MAX} times and never ended");
            return Plan::Done(Verdict::Park(Parking { reason: "attempts", detail }));
        }
        Plan::Call(())
    }

    /// Has those assets paused that a check says by name do not add up. Most checks name an account or a job, and leave
    /// it to the operators what to pause.
    fn record(&self, desk: &mut Desk, job: &Job, (): &(), reply: Reply<Findings>) -> Verdict {
        let found = match reply {
            Reply::Answered(found) => found,
            Reply::Refused(_) | Reply::Unknown(_) => {
                return Verdict::Later { after: AGAIN, why: "the checks could not run" };
            }
        };
        for asset in &found.unbalanced {
            let reason = format!("verify job {} found that its balances do not sum to zero", job.id.0);
            let pause = Pause { scope: PauseScope::Asset, name: asset.clone(), paused: true, reason };
            match cause(&pause, format!("verify {}: {asset}", job.id.0), Some(job)) {
                Ok(cause) => desk.causes.push(cause),
                Err(verdict) => return verdict,
            }
        }
        let names: Vec<&str> = found.failed.iter().map(|check| check.name.as_str()).collect();
        let result = json!({ "clean": names.is_empty(), "checks": found.checks, "failed": names });
        if !desk.findings.append(job.id, found) {
            return Verdict::contradiction("what it found is on record already");
        }
        Verdict::Settled(Settlement { result: Some(result) })
    }
}
