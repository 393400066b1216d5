//! Kinds that call the outside. Whoever calls commits its intent first, calls with no transaction open, and records
//! what came back; an answer that never came is unknown, which is never taken for a failure.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::desk::Desk;
use crate::job::{Job, Verdict};
use crate::kind::Kind;

/// A kind that calls an endpoint outside the database. It is pure, as one that decides is: the worker commits, calls and
/// commits again.
pub trait Call: Kind {
    /// What is called. What it called before is called again under the same identity, which the request carries.
    type Request: Serialize + DeserializeOwned;
    /// What comes back.
    type Answer: Serialize + DeserializeOwned;
    /// What it calls.
    const ENDPOINT: Endpoint;

    /// Plans the next call, or ends the job without one. What it changes on the desk is committed before the call, in
    /// the commit that records that it may happen.
    ///
    /// A call of `earlier` that [may have happened](Earlier::may_have_happened) is not made again, but asked about,
    /// unless the endpoint takes the same request for the same.
    fn plan(&self, desk: &mut Desk, job: &Job, earlier: &Earlier) -> Plan<Self::Request>;

    /// Records what came back. The commit is fenced by the attempt: whoever was late records nothing.
    fn record(&self, desk: &mut Desk, job: &Job, request: &Self::Request, reply: Reply<Self::Answer>) -> Verdict;
}

/// What is called, and how much of a worker it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its stored name; never renamed.
    pub name: &'static str,
    /// Calls that a worker has open at once. No other endpoint waits for them.
    pub room: u16,
    /// A call that has not come back by then is unknown.
    pub timeout: Duration,
    /// For how long nobody else takes a job that is called.
    pub lease: Duration,
    /// Whether a call changes nothing anywhere: it may outlast its lease, which is renewed, and is dropped where the
    /// worker stops.
    pub only_reads: bool,
}

/// What a lease outlasts a timeout by, for the commits around the call.
const MARGIN_S: u64 = 15;

impl Endpoint {
    /// Whether nobody else can take a job while its call may still have an effect (RULES 13).
    pub(crate) const fn is_sound(&self) -> bool {
        self.room > 0 && (self.only_reads || self.timeout.as_secs().saturating_add(MARGIN_S) <= self.lease.as_secs())
    }
}

/// What a plan says.
#[derive(Clone, Debug, PartialEq)]
pub enum Plan<R> {
    /// To call this, once what the plan has changed is committed.
    Call(R),
    /// To call nothing.
    Done(Verdict),
}

/// How a call ended, as far as its worker knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply<A> {
    /// The endpoint has answered.
    Answered(A),
    /// The endpoint has refused: it did nothing and says so, in an error that was read as one of a closed list.
    Refused(String),
    /// It may have happened: no answer came in time, or none that can be read.
    Unknown(String),
}

impl<A> Reply<A> {
    /// The stored word for it.
    pub const fn end(&self) -> CallEnd {
        match self {
            Self::Answered(_) => CallEnd::Answered,
            Self::Refused(_) => CallEnd::Refused,
            Self::Unknown(_) => CallEnd::Unknown,
        }
    }
}

impl Reply<String> {
    /// The same with the answer read from JSON. One that cannot be read leaves unknown what has happened.
    pub fn read<A: DeserializeOwned>(self) -> Reply<A> {
        match self {
            Self::Answered(text) => match serde_json::from_str(&text) {
                Ok(answer) => Reply::Answered(answer),
                Err(error) => Reply::Unknown(format!("the answer cannot be read: {error}")),
            },
            Self::Refused(why) => Reply::Refused(why),
            Self::Unknown(why) => Reply::Unknown(why),
        }
    }
}

/// How a call ended, as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEnd {
    /// See [`Reply::Answered`].
    Answered,
    /// See [`Reply::Refused`].
    Refused,
    /// See [`Reply::Unknown`].
    Unknown,
}

impl CallEnd {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Unknown => "unknown",
        }
    }

    /// The end that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Answered, Self::Refused, Self::Unknown].into_iter().find(|end| end.as_str() == text)
    }
}

/// The calls that were planned for a job before, in their order. One that has no end was under way when its worker died.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Earlier(pub Vec<EarlierCall>);

/// A call that was planned before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierCall {
    /// The attempt that it was planned in.
    pub attempt: i32,
    /// How it ended; `None` where nobody recorded that.
    pub end: Option<CallEnd>,
}

impl Earlier {
    /// Whether any of them may have happened though nobody knows.
    pub fn may_have_happened(&self) -> bool {
        self.0.iter().any(|call| matches!(call.end, None | Some(CallEnd::Unknown)))
    }

    /// Whether one was planned in this attempt.
    pub fn has(&self, attempt: i32) -> bool {
        self.0.iter().any(|call| call.attempt == attempt)
    }
}
