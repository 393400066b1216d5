use ledger::{AssetId, JobId};

use crate::any_call::{AnyCall, CallKind};
use crate::call::Call;
use crate::desk::{Desk, Want};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{KindInfo, Scope};
use crate::kinds::deposit_credit::DepositCredit;
use crate::kinds::lock_escrow::LockEscrow;
use crate::kinds::parked_decision::ParkedDecision;
use crate::kinds::pause::Pause;
use crate::kinds::referral_commission::ReferralCommission;
use crate::kinds::refund::Refund;
use crate::kinds::release::Release;
use crate::kinds::timer_expiry::TimerExpiry;
use crate::kinds::trade_event::TradeEvent;
use crate::kinds::user_flag::UserFlag;
use crate::kinds::user_register::UserRegister;
use crate::kinds::verify::Verify;
use crate::kinds::withdrawal_decision::WithdrawalDecision;
use crate::kinds::withdrawal_request::WithdrawalRequest;
use crate::subject::Subject;
use crate::terms::Assets;

/// The payload does not read as one of its kind.
#[derive(Debug, thiserror::Error)]
pub enum BadPayload {
    /// No kind of this name is registered in this binary.
    #[error("no kind {0:?} is known")]
    UnknownKind(String),
    /// The payload has another shape.
    #[error("the payload does not fit its kind")]
    Shape(#[source] serde_json::Error),
}

/// Registers the kinds: one line each, those that decide and those that call.
macro_rules! kinds {
    (decide: [$($kind:ident),+ $(,)?], call: [$($call:ident),+ $(,)?] $(,)?) => {
        /// Every registered kind.
        pub const KINDS: &[KindInfo] = &[$(deciding::<$kind>(),)+ $(CallKind::of::<$call>().info),+];

        /// Those that call.
        pub const CALLS: &[CallKind] = &[$(CallKind::of::<$call>()),+];

        /// A job of any registered kind.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub enum AnyJob {
            $(#[doc = concat!("[`", stringify!($kind), "`]")] $kind($kind),)+
            /// A kind that calls.
            Call(AnyCall),
        }

        impl AnyJob {
            /// Reads the payload of a kind that decides, or of one of these that call.
            ///
            /// # Errors
            /// As [`AnyJob::read`].
            pub fn read_with(calls: &[CallKind], kind: &str, payload: &str) -> Result<Self, BadPayload> {
                match kind {
                    $(<$kind as Kind>::NAME =>
                        serde_json::from_str(payload).map(Self::$kind).map_err(BadPayload::Shape),)+
                    _ => match calls.iter().find(|call| call.info.name == kind) {
                        Some(call) => call.read(payload).map(Self::Call),
                        None => Err(BadPayload::UnknownKind(kind.to_owned())),
                    },
                }
            }

            /// The kind.
            pub fn info(&self) -> KindInfo {
                match self { $(Self::$kind(_) => const { KindInfo::of::<$kind>() },)+ Self::Call(call) => call.info() }
            }

            /// What the payload names that the job is about; `None` where that bears the number of the job.
            pub fn named(&self) -> Option<Subject> {
                match self { $(Self::$kind(kind) => <$kind as Kind>::ABOUT.named(kind),)+ Self::Call(call) => call.named() }
            }

            /// What a job of this number is about. See [`Kind::ABOUT`].
            pub fn subject(&self, job: JobId) -> Subject {
                self.named().unwrap_or(Subject::new(self.info().about.sort, job.0))
            }

            /// See [`Kind::check`].
            ///
            /// # Errors
            /// As there.
            pub fn check(&self, assets: &Assets) -> Result<(), Invalid> {
                match self { $(Self::$kind(kind) => kind.check(assets),)+ Self::Call(call) => call.check(assets) }
            }

            /// See [`Kind::scope`].
            pub fn scope(&self) -> Scope {
                match self { $(Self::$kind(kind) => kind.scope(),)+ Self::Call(call) => call.scope() }
            }

            /// See [`Kind::limits`].
            pub fn limits(&self, desk: &Desk, job: &Job, want: &mut Want) {
                match self { $(Self::$kind(kind) => kind.limits(desk, job, want),)+ Self::Call(call) => call.limits(desk, job, want) }
            }

            /// See [`Kind::rows`].
            pub fn rows(&self, want: &mut Want) {
                match self { $(Self::$kind(kind) => kind.rows(want),)+ Self::Call(call) => call.rows(want) }
            }

            /// See [`Kind::accounts`].
            pub fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
                match self { $(Self::$kind(kind) => kind.accounts(desk, job, want),)+ Self::Call(call) => call.accounts(desk, job, want) }
            }

            /// See [`Kind::assets`].
            pub fn assets(&self, desk: &Desk) -> Vec<AssetId> {
                match self { $(Self::$kind(kind) => kind.assets(desk),)+ Self::Call(call) => call.assets(desk) }
            }

            /// See [`Kind::rail`].
            pub fn rail(&self, desk: &Desk) -> Option<&'static str> {
                match self { $(Self::$kind(kind) => kind.rail(desk),)+ Self::Call(call) => call.rail(desk) }
            }

            /// See [`Decide::decide`]; `None` where the kind calls.
            pub fn decide(&self, desk: &mut Desk, job: &Job) -> Option<Verdict> {
                match self { $(Self::$kind(kind) => Some(kind.decide(desk, job)),)+ Self::Call(_) => None }
            }

            /// The payload as it is stored.
            ///
            /// # Errors
            /// Never for the kinds that exist; passed on rather than hidden.
            pub fn payload(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$kind(kind) => serde_json::to_value(kind),)+ Self::Call(call) => call.payload() }
            }
        }
    };
}

kinds! {
    decide: [
    UserRegister,
    DepositCredit,
    LockEscrow,
    TradeEvent,
    TimerExpiry,
    Release,
    Refund,
    ReferralCommission,
    WithdrawalRequest,
    WithdrawalDecision,
    UserFlag,
    Pause,
    ParkedDecision,
    ],
    call: [Verify],
}

/// The line of a kind that decides. A lane in which jobs are called does not compile there.
const fn deciding<D: Decide>() -> KindInfo {
    assert!(!D::LANE.calls(), "jobs of this lane are called");
    KindInfo::of::<D>()
}

impl AnyJob {
    /// Reads the payload of a kind.
    ///
    /// # Errors
    /// [`BadPayload`]: from a client it is refused; in a worker the job is parked.
    pub fn read(kind: &str, payload: &str) -> Result<Self, BadPayload> {
        Self::read_with(CALLS, kind, payload)
    }

    /// A job of a kind that calls.
    pub fn call<C: Call + std::fmt::Debug + Send + Sync + 'static>(job: C) -> Self {
        Self::Call(AnyCall::new(job))
    }
}

/// The kind of this name.
pub fn kind_info(name: &str) -> Option<KindInfo> {
    KINDS.iter().copied().find(|info| info.name == name)
}

/// Whether the calls of the kind of this name change nothing anywhere.
pub(crate) fn only_reads(name: &str) -> bool {
    CALLS.iter().any(|call| call.info.name == name && call.endpoint.only_reads)
}
