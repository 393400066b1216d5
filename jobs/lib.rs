//! What the jobs mean. One file per kind: its payload, the rows it touches, and `decide`.
//!
//! Everything here is pure: the time, the ids and the rows come in with the [`Desk`] and the
//! [`Job`], and what was decided goes out as changes of the desk. The same code runs in the
//! worker, in the tests and in the models that the tests compare with.

mod cause;
mod deposit_credit;
mod desk;
mod ids;
mod kind;
mod lock_escrow;
pub mod machines;
mod missing;
mod parked_decision;
mod pause;
mod people;
mod reason;
mod receivable;
mod referral;
mod referral_commission;
mod refund;
mod registry;
mod release;
mod rules;
mod subject;
mod terms;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the figures of a test are small")]
mod tests;
mod timer_expiry;
mod trade;
mod trade_event;
mod user_flag;
mod user_register;
mod verify;
mod withdrawal;
mod withdrawal_decision;
mod withdrawal_request;

pub use cause::Cause;
pub use deposit_credit::{Deposit, DepositCredit, Fact, Stage, Unread, beneficiary_of, order_id_of};
pub use desk::{Changed, Desk, DeskMark, Log, Rows, Want};
pub use ids::{InboxId, JobRef, PaymentKey, PrincipalId, TradeId, UserId, WithdrawalId};
pub use kind::{Decide, Invalid, Job, Kind, Lane, Origin, Parking, Rejection, Scope, Settlement, Verdict, doubled};
pub use lock_escrow::LockEscrow;
pub use parked_decision::{Decision, DecisionMade, FirstDecision, ParkedDecision, ParkedJob};
pub use pause::{Pause, PauseChange, PauseKey, PauseScope, Paused, RAILS};
pub use people::{Flagged, Principal, Referrer, Tier, User};
pub use reason::Reason;
pub use referral::{Commission, FeeSide, Referral};
pub use referral_commission::ReferralCommission;
pub use refund::Refund;
pub use registry::{AnyJob, BadPayload, KINDS, KindInfo, kind_info};
pub use release::Release;
pub use rules::Rules;
pub use subject::{About, Subject, SubjectRule, SubjectType};
pub use terms::{AssetTerms, Assets, WithdrawTerms};
pub use timer_expiry::TimerExpiry;
pub use trade::{MakerSide, Trade};
pub use trade_event::{TradeEvent, TradeEventName};
pub use user_flag::UserFlag;
pub use user_register::UserRegister;
pub use verify::Verify;
pub use withdrawal::{Approval, Day, DayKey, Destination, Withdrawal};
pub use withdrawal_decision::{DecisionName, WithdrawalDecision};
pub use withdrawal_request::WithdrawalRequest;
