//! A kind of the tests: it sends something once, under the number of its job.

use std::time::Duration;

use jobs::{
    About, Call, CallKind, Desk, Earlier, Endpoint, Job, Kind, Lane, Origin, Parking, Plan, Reason, Reply, Verdict,
    Want,
};
use serde::{Deserialize, Serialize};

/// The registry of the tests.
pub(super) const SENDS: &[CallKind] = &[CallKind::of::<Send>(), CallKind::of::<Slow>()];

/// Sends.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {}

/// What is asked of the server.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Request {
    /// To send, once for this number.
    Send(i64),
    /// Whether that was sent.
    Look(i64),
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Answer {
    /// How often it has sent under the number.
    pub(super) sent: u32,
}

impl Kind for Send {
    const NAME: &'static str = "test-send";
    const LANE: Lane = Lane::Provider;
    const ORIGIN: Origin = Origin::Internal;
    const ABOUT: About<Self> = About::Itself;

    fn rows(&self, _: &mut Want) {}

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Call for Send {
    type Request = Request;
    type Answer = Answer;

    const ENDPOINT: Endpoint = Endpoint {
        name: "test-sends",
        room: 4,
        timeout: Duration::from_secs(1),
        lease: Duration::from_secs(20),
        only_reads: false,
    };

    fn plan(&self, _: &mut Desk, job: &Job, earlier: &Earlier) -> Plan<Request> {
        Plan::Call(if earlier.may_have_happened() { Request::Look(job.id.0) } else { Request::Send(job.id.0) })
    }

    fn record(&self, _: &mut Desk, _: &Job, request: &Request, reply: Reply<Answer>) -> Verdict {
        match (request, reply) {
            (_, Reply::Answered(Answer { sent: 1.. })) => Verdict::SETTLED,
            (_, Reply::Answered(Answer { sent: 0 })) => {
                Verdict::Park(Parking { reason: "not_sent", detail: "nobody knows why it was not sent".to_owned() })
            }
            (Request::Send(_), Reply::Refused(_)) => Reason::WrongState.into(),
            (Request::Look(_), Reply::Refused(_)) | (_, Reply::Unknown(_)) => {
                Verdict::Later { after: Duration::from_secs(1), why: "nobody knows whether it was sent" }
            }
        }
    }
}

/// Another one, whose endpoint is another.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Slow {}

impl Kind for Slow {
    const NAME: &'static str = "test-slow";
    const LANE: Lane = Lane::Provider;
    const ORIGIN: Origin = Origin::Internal;
    const ABOUT: About<Self> = About::Itself;

    fn rows(&self, _: &mut Want) {}

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Call for Slow {
    type Request = ();
    type Answer = ();

    const ENDPOINT: Endpoint = Endpoint {
        name: "test-slow",
        room: 2,
        timeout: Duration::from_secs(40),
        lease: Duration::from_mins(1),
        only_reads: false,
    };

    fn plan(&self, _: &mut Desk, _: &Job, _: &Earlier) -> Plan<()> {
        Plan::Call(())
    }

    fn record(&self, _: &mut Desk, _: &Job, (): &(), reply: Reply<()>) -> Verdict {
        match reply {
            Reply::Answered(()) => Verdict::SETTLED,
            Reply::Refused(_) | Reply::Unknown(_) => Verdict::Later { after: Duration::from_mins(1), why: "no answer" },
        }
    }
}
