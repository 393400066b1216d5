use ledger::AssetId;

use crate::deposit_credit::DepositCredit;
use crate::desk::Desk;
use crate::kind::{Decide, Invalid, Job, Kind, Lane, Origin, Verdict};
use crate::lock_escrow::LockEscrow;
use crate::parked_decision::ParkedDecision;
use crate::pause::Pause;
use crate::refund::Refund;
use crate::release::Release;
use crate::terms::Assets;
use crate::trade_event::TradeEvent;
use crate::user_register::UserRegister;
use crate::verify::Verify;
use crate::want::Want;

/// What is known of a kind without a job of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KindInfo {
    /// The stored name.
    pub name: &'static str,
    /// Which workers do it.
    pub lane: Lane,
    /// Who may ask for it.
    pub origin: Origin,
    /// See [`Kind::MOVES_MONEY`].
    pub moves_money: bool,
}

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

/// Registers the kinds: one line each.
macro_rules! kinds {
    ($($kind:ident),+ $(,)?) => {
        /// Every registered kind.
        pub const KINDS: &[KindInfo] = &[$(KindInfo {
            name: <$kind as Kind>::NAME,
            lane: <$kind as Kind>::LANE,
            origin: <$kind as Kind>::ORIGIN,
            moves_money: <$kind as Kind>::MOVES_MONEY,
        }),+];

        /// A job of any registered kind.
        #[derive(Clone, Debug)]
        pub enum AnyJob {
            $(#[doc = concat!("[`", stringify!($kind), "`]")] $kind($kind),)+
        }

        impl AnyJob {
            /// Reads the payload of a kind.
            ///
            /// # Errors
            /// [`BadPayload`]: from a client it is refused; in a worker the job is parked.
            pub fn read(kind: &str, payload: &str) -> Result<Self, BadPayload> {
                match kind {
                    $(<$kind as Kind>::NAME =>
                        serde_json::from_str(payload).map(Self::$kind).map_err(BadPayload::Shape),)+
                    _ => Err(BadPayload::UnknownKind(kind.to_owned())),
                }
            }

            /// The kind.
            pub const fn info(&self) -> KindInfo {
                match self {
                    $(Self::$kind(_) => KindInfo {
                        name: <$kind as Kind>::NAME,
                        lane: <$kind as Kind>::LANE,
                        origin: <$kind as Kind>::ORIGIN,
                        moves_money: <$kind as Kind>::MOVES_MONEY,
                    },)+
                }
            }

            /// See [`Kind::subject`].
            pub fn subject(&self) -> Option<i64> {
                match self { $(Self::$kind(kind) => kind.subject(),)+ }
            }

            /// See [`Kind::check`].
            ///
            /// # Errors
            /// As there.
            pub fn check(&self, assets: &Assets) -> Result<(), Invalid> {
                match self { $(Self::$kind(kind) => kind.check(assets),)+ }
            }

            /// See [`Kind::rows`].
            pub fn rows(&self, want: &mut Want) {
                match self { $(Self::$kind(kind) => kind.rows(want),)+ }
            }

            /// See [`Kind::accounts`].
            pub fn accounts(&self, desk: &Desk, job: &Job, want: &mut Want) {
                match self { $(Self::$kind(kind) => kind.accounts(desk, job, want),)+ }
            }

            /// See [`Kind::assets`].
            pub fn assets(&self, desk: &Desk) -> Vec<AssetId> {
                match self { $(Self::$kind(kind) => kind.assets(desk),)+ }
            }

            /// See [`Kind::rail`].
            pub fn rail(&self, desk: &Desk) -> Option<&'static str> {
                match self { $(Self::$kind(kind) => kind.rail(desk),)+ }
            }

            /// See [`Decide::decide`].
            pub fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
                match self { $(Self::$kind(kind) => kind.decide(desk, job),)+ }
            }

            /// The payload as it is stored.
            ///
            /// # Errors
            /// Never for the kinds that exist; passed on rather than hidden.
            pub fn payload(&self) -> Result<serde_json::Value, serde_json::Error> {
                match self { $(Self::$kind(kind) => serde_json::to_value(kind),)+ }
            }
        }
    };
}

kinds![UserRegister, DepositCredit, LockEscrow, TradeEvent, Release, Refund, Pause, ParkedDecision, Verify];

/// The kind of this name.
pub fn kind_info(name: &str) -> Option<KindInfo> {
    KINDS.iter().copied().find(|info| info.name == name)
}
