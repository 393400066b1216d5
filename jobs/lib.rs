//! What the jobs mean. One file per kind: its payload, the rows it touches, and `decide`, or `plan` and
//! `record` where it calls the outside.
//!
//! Everything here is pure: the time, the ids and the rows come in with the [`Desk`] and the
//! [`Job`], and what was decided goes out as changes of the desk. The same code runs in the
//! worker, in the tests and in the models that the tests compare with.

mod any_call;
mod call;
mod desk;
mod ids;
mod job;
mod kind;
mod kind_info;
mod kinds;
pub mod machines;
mod policy;
mod reason;
mod registry;
mod rows;
mod rules;
mod subject;
mod terms;
#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "the figures of a test are small")]
mod tests;

pub use any_call::{AnyCall, CallKind};
pub use call::{Call, CallEnd, Earlier, EarlierCall, Endpoint, Plan, Reply};
pub use desk::{Cause, Changed, Desk, DeskMark, Log, Rows, Want};
pub use ids::{InboxId, JobRef, PaymentKey, PrincipalId, TradeId, UserId, WithdrawalId};
pub use job::{Job, Parking, Rejection, Settlement, Verdict, doubled};
pub use kind::{Decide, Invalid, Kind, cause};
pub use kind_info::{KindInfo, Lane, Origin, Scope};
pub use kinds::deposit_credit::DepositCredit;
pub use kinds::lock_escrow::LockEscrow;
pub use kinds::parked_decision::ParkedDecision;
pub use kinds::pause::Pause;
pub use kinds::referral_commission::ReferralCommission;
pub use kinds::refund::Refund;
pub use kinds::release::Release;
pub use kinds::timer_expiry::TimerExpiry;
pub use kinds::trade_event::{TradeEvent, TradeEventName};
pub use kinds::user_flag::UserFlag;
pub use kinds::user_register::UserRegister;
pub use kinds::verify::Verify;
pub use kinds::withdrawal_decision::{DecisionName, WithdrawalDecision};
pub use kinds::withdrawal_request::WithdrawalRequest;
pub use reason::Reason;
pub use registry::{AnyJob, BadPayload, CALLS, KINDS, kind_info};
pub use rows::deposit::{Deposit, Fact, Stage, Unread, beneficiary_of, order_id_of};
pub use rows::parked::{Decision, DecisionMade, FirstDecision, ParkedJob};
pub use rows::pause::{PauseChange, PauseKey, PauseScope, Paused, RAILS};
pub use rows::people::{Flagged, Principal, Referrer, Tier, User};
pub use rows::referral::{Commission, FeeSide, Referral};
pub use rows::trade::{MakerSide, Trade};
pub use rows::verification::{FailedCheck, Findings};
pub use rows::withdrawal::{Approval, Day, DayKey, Destination, Withdrawal};
pub use rules::Rules;
pub use subject::{About, Subject, SubjectRule, SubjectType};
pub use terms::{AssetTerms, Assets, WithdrawTerms};
