//! A job of any kind that calls, with what it asks and what it is answered as JSON text.

use std::fmt;
use std::sync::Arc;

use ledger::AssetId;

use crate::call::{Call, CallEnd, Earlier, Endpoint, Plan, Reply};
use crate::desk::{Desk, Want};
use crate::job::{Job, Verdict};
use crate::kind::Invalid;
use crate::kind_info::{KindInfo, Lane, Scope};
use crate::registry::BadPayload;
use crate::subject::Subject;
use crate::terms::Assets;

/// What [`Call`] and [`Kind`](crate::Kind) say, whatever the kind.
trait Calling: fmt::Debug + Send + Sync {
    fn info(&self) -> KindInfo;
    fn endpoint(&self) -> Endpoint;
    fn named(&self) -> Option<Subject>;
    fn check(&self, assets: &Assets) -> Result<(), Invalid>;
    fn scope(&self) -> Scope;
    fn rows(&self, want: &mut Want);
    fn limits(&self, desk: &Desk, job: &Job, want: &mut Want);
    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want);
    fn assets(&self, desk: &Desk) -> Vec<AssetId>;
    fn rail(&self, desk: &Desk) -> Option<&'static str>;
    fn payload(&self) -> Result<serde_json::Value, serde_json::Error>;
    fn plan(&self, desk: &mut Desk, job: &Job, earlier: &Earlier) -> Plan<String>;
    fn record(&self, desk: &mut Desk, job: &Job, request: &str, reply: Reply<String>) -> (CallEnd, Verdict);
}

impl<C: Call + fmt::Debug + Send + Sync> Calling for C {
    fn info(&self) -> KindInfo {
        KindInfo::of::<C>()
    }

    fn endpoint(&self) -> Endpoint {
        C::ENDPOINT
    }

    fn named(&self) -> Option<Subject> {
        C::ABOUT.named(self)
    }

    fn check(&self, assets: &Assets) -> Result<(), Invalid> {
        C::check(self, assets)
    }

    fn scope(&self) -> Scope {
        C::scope(self)
    }

    fn rows(&self, want: &mut Want) {
        C::rows(self, want);
    }

    fn limits(&self, desk: &Desk, job: &Job, want: &mut Want) {
        C::limits(self, desk, job, want);
    }

    fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
        C::accounts(self, desk, job, want);
    }

    fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        C::assets(self, desk)
    }

    fn rail(&self, desk: &Desk) -> Option<&'static str> {
        C::rail(self, desk)
    }

    fn payload(&self) -> Result<serde_json::Value, serde_json::Error> {
        serde_json::to_value(self)
    }

    fn plan(&self, desk: &mut Desk, job: &Job, earlier: &Earlier) -> Plan<String> {
        match C::plan(self, desk, job, earlier) {
            Plan::Call(request) => match serde_json::to_string(&request) {
                Ok(request) => Plan::Call(request),
                Err(error) => Plan::Done(Verdict::contradiction(format!("the request cannot be written: {error}"))),
            },
            Plan::Done(verdict) => Plan::Done(verdict),
        }
    }

    fn record(&self, desk: &mut Desk, job: &Job, request: &str, reply: Reply<String>) -> (CallEnd, Verdict) {
        let reply = reply.read();
        let end = reply.end();
        let verdict = match serde_json::from_str(request) {
            Ok(request) => C::record(self, desk, job, &request, reply),
            Err(error) => Verdict::contradiction(format!("the request cannot be read: {error}")),
        };
        (end, verdict)
    }
}

/// A job of a kind that calls.
#[derive(Clone)]
pub struct AnyCall(Arc<dyn Calling>);

impl AnyCall {
    /// A job of this kind.
    pub fn new<C: Call + fmt::Debug + Send + Sync + 'static>(job: C) -> Self {
        Self(Arc::new(job))
    }

    /// What it calls.
    pub fn endpoint(&self) -> Endpoint {
        self.0.endpoint()
    }

    /// See [`Call::plan`].
    pub fn plan(&self, desk: &mut Desk, job: &Job, earlier: &Earlier) -> Plan<String> {
        self.0.plan(desk, job, earlier)
    }

    /// See [`Call::record`]; with how the call ended, now that its answer was read.
    pub fn record(&self, desk: &mut Desk, job: &Job, request: &str, reply: Reply<String>) -> (CallEnd, Verdict) {
        self.0.record(desk, job, request, reply)
    }

    pub(crate) fn info(&self) -> KindInfo {
        self.0.info()
    }

    pub(crate) fn named(&self) -> Option<Subject> {
        self.0.named()
    }

    pub(crate) fn check(&self, assets: &Assets) -> Result<(), Invalid> {
        self.0.check(assets)
    }

    pub(crate) fn scope(&self) -> Scope {
        self.0.scope()
    }

    pub(crate) fn rows(&self, want: &mut Want) {
        self.0.rows(want);
    }

    pub(crate) fn limits(&self, desk: &Desk, job: &Job, want: &mut Want) {
        self.0.limits(desk, job, want);
    }

    pub(crate) fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
        self.0.accounts(desk, job, want);
    }

    pub(crate) fn assets(&self, desk: &Desk) -> Vec<AssetId> {
        self.0.assets(desk)
    }

    pub(crate) fn rail(&self, desk: &Desk) -> Option<&'static str> {
        self.0.rail(desk)
    }

    pub(crate) fn payload(&self) -> Result<serde_json::Value, serde_json::Error> {
        self.0.payload()
    }
}

impl fmt::Debug for AnyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The same kind with the same payload is the same job.
impl PartialEq for AnyCall {
    fn eq(&self, other: &Self) -> bool {
        self.info() == other.info() && matches!((self.payload(), other.payload()), (Ok(one), Ok(other)) if one == other)
    }
}

impl Eq for AnyCall {}

/// A registered kind that calls.
#[derive(Clone, Copy, Debug)]
pub struct CallKind {
    /// What is known of it without a job.
    pub info: KindInfo,
    /// What it calls.
    pub endpoint: Endpoint,
    read: fn(&str) -> Result<AnyCall, serde_json::Error>,
}

impl CallKind {
    /// The line of a kind in the registry.
    ///
    /// # Panics
    /// Where its lane is one in which jobs are decided, or a call may outlast its lease: such a line does not compile.
    pub const fn of<C: Call + fmt::Debug + Send + Sync + 'static>() -> Self {
        assert!(C::LANE.calls(), "jobs of this lane are decided");
        assert!(C::ENDPOINT.is_sound(), "a call may outlast its lease");
        Self {
            info: KindInfo::of::<C>(),
            endpoint: C::ENDPOINT,
            read: |payload| serde_json::from_str::<C>(payload).map(AnyCall::new),
        }
    }

    /// Reads a payload of this kind.
    ///
    /// # Errors
    /// [`BadPayload::Shape`].
    pub fn read(&self, payload: &str) -> Result<AnyCall, BadPayload> {
        (self.read)(payload).map_err(BadPayload::Shape)
    }

    /// Those of a lane.
    pub fn of_lane(kinds: &'static [Self], lane: Lane) -> impl Iterator<Item = &'static Self> {
        kinds.iter().filter(move |kind| kind.info.lane == lane)
    }
}
