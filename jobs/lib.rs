//! What the jobs mean. One file per kind: its payload, the rows it touches, and `decide`.
//!
//! Everything here is pure: the time, the ids and the rows come in with the [`Desk`] and the
//! [`Job`], and what was decided goes out as changes of the desk. The same code runs in the
//! worker, in the tests and in the models that the tests compare with.

mod deposit_credit;
mod desk;
mod ids;
mod kind;
mod lock_escrow;
pub mod machines;
mod operating;
mod parked_decision;
mod pause;
mod people;
mod receivable;
mod refund;
mod registry;
mod release;
mod rows;
mod terms;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the figures of a test are small")]
mod tests;
mod trade;
mod trade_event;
mod user_register;
mod verify;
mod want;

pub use deposit_credit::{Deposit, DepositCredit, Fact, Stage, Unread, beneficiary_of, order_id_of};
pub use desk::{Desk, DeskMark};
pub use ids::{InboxId, JobRef, PaymentKey, PrincipalId, TradeId, UserId};
pub use kind::{Decide, Invalid, Job, Kind, Lane, Origin, Parking, Reason, Rejection, Settlement, Verdict};
pub use lock_escrow::LockEscrow;
pub use operating::Operating;
pub use parked_decision::{Decision, DecisionMade, FirstDecision, ParkedDecision, ParkedJob};
pub use pause::{Pause, PauseChange, PauseKey, PauseScope, Paused, RAILS};
pub use people::{Tier, User};
pub use refund::Refund;
pub use registry::{AnyJob, BadPayload, KINDS, KindInfo, kind_info};
pub use release::Release;
pub use rows::{Changed, Rows};
pub use terms::{AssetTerms, Assets};
pub use trade::{MakerSide, Trade};
pub use trade_event::{TradeEvent, TradeEventName};
pub use user_register::UserRegister;
pub use verify::Verify;
pub use want::Want;
