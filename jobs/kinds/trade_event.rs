use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::{Desk, Want};
use crate::ids::{TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::kind::{Decide, Invalid, Kind};
use crate::kind_info::{Lane, Origin};
use crate::kinds::refund::cause_refund;
use crate::kinds::timer_expiry::TimerExpiry;
use crate::machines::trade::{TradeMove, TradeState};
use crate::policy::trade::{Actor, judge};
use crate::reason::Reason;
use crate::rows::trade::Trade;
use crate::subject::About;
use crate::terms::Assets;

/// Something happened to a trade that moves no money by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"trade_id": "4", "event": "mark-paid", "user_id": "2"})))]
pub struct TradeEvent {
    /// The trade.
    pub trade_id: TradeId,
    /// What happened.
    pub event: TradeEventName,
    /// The person who says so.
    pub user_id: UserId,
    /// By how much to put the deadline off: with `extend`, and only there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 10080, nullable = false)]
    pub minutes: Option<u16>,
}

/// The events of a trade. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TradeEventName {
    /// The buyer says that they paid.
    MarkPaid,
    /// The buyer takes that back: once, and before the deadline.
    Undo,
    /// The seller gives the buyer more time: once, and before the deadline.
    Extend,
    /// The buyer calls the trade off.
    Cancel,
}

/// A deadline cannot be put off by more than this, whatever the exchange's rules say: a week.
const MINUTES_MAX: u16 = 10_080;

impl TradeEventName {
    const fn as_move(self) -> TradeMove {
        match self {
            Self::MarkPaid => TradeMove::MarkPaid,
            Self::Undo => TradeMove::Undo,
            Self::Extend => TradeMove::Extend,
            Self::Cancel => TradeMove::Cancel,
        }
    }
}

impl Kind for TradeEvent {
    const NAME: &'static str = "trade-event";
    const LANE: Lane = Lane::Ledger;
    const ORIGIN: Origin = Origin::Client;
    const ABOUT: About<Self> = About::Trade(|job| job.trade_id);
    const IN_ORDER: bool = true;

    fn check(&self, _: &Assets) -> Result<(), Invalid> {
        match (self.event, self.minutes) {
            (TradeEventName::Extend, Some(1..=MINUTES_MAX))
            | (TradeEventName::MarkPaid | TradeEventName::Undo | TradeEventName::Cancel, None) => Ok(()),
            (TradeEventName::Extend, _) => {
                Err(Invalid::new("minutes", "minutes_range", "an extension is of 1 to 10080 minutes"))
            }
            (TradeEventName::MarkPaid | TradeEventName::Undo | TradeEventName::Cancel, Some(_)) => {
                Err(Invalid::new("minutes", "minutes_range", "only an extension has minutes"))
            }
        }
    }

    fn rows(&self, want: &mut Want) {
        want.trades.insert(self.trade_id);
    }

    fn accounts(&self, _: &Desk, _: &Job, _: &mut Want) {}
}

impl Decide for TradeEvent {
    fn decide(&self, desk: &mut Desk, job: &Job) -> Verdict {
        let by = Actor::User(self.user_id);
        let (trade, state) = match judge(desk, job, self.trade_id, self.event.as_move(), by) {
            Ok(judged) => judged,
            Err(verdict) => return verdict,
        };
        let changed = match self.event {
            TradeEventName::MarkPaid => mark_paid(job, &trade, state),
            TradeEventName::Undo => undo(job, &trade, state),
            TradeEventName::Extend => self.extend(desk, job, &trade, state),
            TradeEventName::Cancel => {
                match cause_refund(self.trade_id, &trade, job) {
                    Ok(refund) => desk.causes.push(refund),
                    Err(verdict) => return verdict,
                }
                Ok(Trade { state, ended_at: Some(desk.now), ..trade.clone() })
            }
        };
        let changed = match changed {
            Ok(changed) => changed,
            Err(reason) => return trade.refusal(reason).into(),
        };
        if changed.timer != trade.timer {
            // The sweep may have passed the deadline already, if this settles late.
            match TimerExpiry::cause(desk, self.trade_id, &changed, Some(job)) {
                Ok(timer) => desk.causes.push(timer),
                Err(verdict) => return verdict,
            }
        }
        let updated = desk.trades.update(&self.trade_id, |trade| *trade = changed);
        debug_assert!(updated, "the trade was just found");
        Verdict::SETTLED
    }
}

/// When it was received counts, not when a worker came round to it.
fn in_time(job: &Job, trade: &Trade) -> Result<(), Reason> {
    if job.received_at > trade.pay_by { Err(Reason::DeadlinePassed) } else { Ok(()) }
}

fn mark_paid(job: &Job, trade: &Trade, state: TradeState) -> Result<Trade, Reason> {
    in_time(job, trade)?;
    Ok(Trade { state, paid_at: Some(job.received_at), ..trade.clone() })
}

/// Back to awaiting the payment, with the deadline that it had and a timer of its own.
fn undo(job: &Job, trade: &Trade, state: TradeState) -> Result<Trade, Reason> {
    if trade.undone_at.is_some() {
        return Err(Reason::AlreadyUndone);
    }
    in_time(job, trade)?;
    Ok(Trade {
        state,
        paid_at: None,
        undone_at: Some(job.received_at),
        timer: trade.timer.saturating_add(1),
        ..trade.clone()
    })
}

impl TradeEvent {
    fn extend(&self, desk: &Desk, job: &Job, trade: &Trade, state: TradeState) -> Result<Trade, Reason> {
        if trade.extended_at.is_some() {
            return Err(Reason::AlreadyExtended);
        }
        in_time(job, trade)?;
        let by = TimeDelta::minutes(self.minutes.unwrap_or_default().into());
        if by <= TimeDelta::zero() || by > desk.rules.extension_max {
            return Err(Reason::ExtensionTooLong);
        }
        Ok(Trade {
            state,
            pay_by: trade.pay_by.checked_add_signed(by).ok_or(Reason::ExtensionTooLong)?,
            extended_at: Some(job.received_at),
            timer: trade.timer.saturating_add(1),
            ..trade.clone()
        })
    }
}
