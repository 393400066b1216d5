use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::desk::{Desk, Want};
use crate::ids::JobRef;
use crate::job::{Job, Settlement, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin, Scope};
use crate::policy::operator::check_reason;
use crate::reason::Reason;
use crate::registry::{kind_info, only_reads};
use crate::rows::parked::{Decision, DecisionMade, FirstDecision};
use crate::subject::About;
use crate::terms::Assets;

/// How long the first of two decisions waits for the second.
const SECOND_WITHIN: TimeDelta = TimeDelta::hours(24);

/// What an operator decides about a parked job. Cancelling one that may move money takes two
/// people: the first decision is put on record, the second carries it out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ParkedDecision {
    /// The parked job.
    pub job_id: JobRef,
    /// What is to become of it.
    pub decision: Decision,
    /// Why, for whoever looks later; 1 to 500 characters.
    pub reason: String,
}

impl Kind for ParkedDecision {
    const NAME: &'static str = "parked-decision";
    const LANE: Lane = Lane::Operate;
    const ORIGIN: Origin = Origin::Operator;
    // Not the parked job: what waits for that must not wait for what is decided about it.
    const ABOUT: About<Self> = About::Itself;
    const MOVES_MONEY: bool = false;

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        check_reason(&self.reason)
    }

    fn rows(&self, want: &mut Want) {
        want.parked.insert(self.job_id);
    }

    fn scope(&self) -> Scope {
        Scope::Operate
    }

    fn accounts(&self, _: &Desk, job: &Job, want: &mut Want) {
        want.principals.insert(job.submitted_by);
    }
}

impl Decide for ParkedDecision {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        if !desk.operates(job.submitted_by) {
            return Reason::NotAnOperator.into();
        }
        let parked = desk.parked.get(&self.job_id).filter(|parked| parked.fate.is_none());
        let Some(parked) = parked.cloned() else {
            return Reason::NotParked.into();
        };
        // What Holdfast or a provider caused is keyed by a fact, which nothing states a second time:
        // ended without its effects, a hold would stay open or a payment uncredited for ever.
        if self.decision == Decision::Cancel && parked.submitted_by.is_internal() {
            return Reason::NotCancellable.into();
        }
        // Ended as if nothing had happened, what it called would be nobody's.
        if self.decision == Decision::Cancel && parked.may_have_called && !only_reads(&parked.kind) {
            return Reason::MayHaveHappened.into();
        }
        // A kind that this binary does not know may move money for all it knows.
        let needs_two = kind_info(&parked.kind).is_none_or(|kind| kind.moves_money);
        let now = desk.now;
        let waiting = parked.first.filter(|first| now.signed_duration_since(first.at) <= SECOND_WITHIN);
        let (first, carried_out) = match (self.decision, needs_two, waiting) {
            (Decision::Retry, _, _) | (Decision::Cancel, false, _) => (None, true),
            (Decision::Cancel, true, None) => (None, false),
            (Decision::Cancel, true, Some(first)) if first.by == job.submitted_by => {
                return Reason::SamePrincipal.into();
            }
            (Decision::Cancel, true, Some(first)) => (Some(first), true),
        };
        let by = job.submitted_by;
        let decision_job = JobRef(job.id.0);
        let updated = desk.parked.update(&self.job_id, |parked| {
            if carried_out {
                parked.fate = Some((self.decision, decision_job));
            } else {
                parked.first = Some(FirstDecision { decision_job, by, at: now });
            }
        });
        let made = DecisionMade {
            job_id: self.job_id,
            parked_at: parked.parked_at,
            decision: self.decision,
            by,
            reason: self.reason.clone(),
            needs_two,
            carried_out,
            first,
        };
        if !updated || !desk.decisions.append(decision_job, made) {
            return Verdict::contradiction(format!("decision {decision_job} exists already"));
        }
        let result = if carried_out {
            json!({ "carried_out": self.decision.as_str() })
        } else {
            json!({ "needs": "second_principal" })
        };
        Verdict::Settled(Settlement { result: Some(result) })
    }
}
