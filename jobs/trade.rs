use chrono::{DateTime, TimeDelta, Utc};
use ledger::{Amount, AssetId, BasisPoints, HoldId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::desk::Desk;
use crate::ids::{TradeId, UserId};
use crate::kind::{Job, Reason, Rejection, Verdict};
use crate::machines::trade::{Forbidden, Party, TradeMove, TradeState, next};

/// How long a job waits for a lock that is neither queued nor ended. Longer than this it is a
/// mistake.
const WAIT_FOR_LOCK: TimeDelta = TimeDelta::seconds(60);

/// A trade as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trade {
    /// Whose money is held.
    pub seller: UserId,
    /// Who receives it on release.
    pub buyer: UserId,
    /// What is traded.
    pub asset: AssetId,
    /// Exactly what is held; minor units.
    pub amount: Amount,
    /// The hold in the seller's wallet.
    pub hold: HoldId,
    /// Where it stands.
    pub state: TradeState,
    /// Whose offer it was.
    pub maker: MakerSide,
    /// Fixed at lock.
    pub maker_rate: BasisPoints,
    /// Fixed at lock.
    pub taker_rate: BasisPoints,
    /// Set on release: maker fee and taker fee, both floored; minor units.
    pub fees: Option<(Amount, Amount)>,
    /// When the lock settled.
    pub opened_at: DateTime<Utc>,
    /// A mark-paid received later than this is refused.
    pub pay_by: DateTime<Utc>,
    /// When the buyer's mark-paid was received.
    pub paid_at: Option<DateTime<Utc>>,
    /// When it was released or refunded.
    pub closed_at: Option<DateTime<Utc>>,
}

/// Whose offer a trade came from. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MakerSide {
    /// The seller offered.
    Seller,
    /// The buyer offered.
    Buyer,
}

impl MakerSide {
    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "seller",
            Self::Buyer => "buyer",
        }
    }

    /// The side that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Seller, Self::Buyer].into_iter().find(|side| side.as_str() == text)
    }
}

impl Trade {
    /// Who somebody is within the trade.
    pub fn party(&self, user: UserId) -> Party {
        if user == self.seller {
            Party::Seller
        } else if user == self.buyer {
            Party::Buyer
        } else {
            Party::Stranger
        }
    }

    /// A refusal that tells the state it found.
    pub const fn refusal(&self, reason: Reason) -> Rejection {
        Rejection { reason, found: Some(self.state) }
    }
}

/// Finds the trade of a job and asks the state machine whether the move is allowed.
///
/// # Errors
/// The verdict to return: Later while the lock may still come, a rejection otherwise.
pub(crate) fn judge(
    desk: &Desk,
    job: &Job,
    id: TradeId,
    event: TradeMove,
    by: UserId,
) -> Result<(Trade, TradeState), Verdict> {
    let Some(trade) = desk.trades.get(&id) else {
        return Err(missing(desk, job, id));
    };
    match next(trade.state, event, trade.party(by)) {
        Ok(state) => Ok((trade.clone(), state)),
        // A stranger is not told where the trade stands.
        Err(forbidden) if trade.party(by) == Party::Stranger => Err(reason(forbidden).into()),
        Err(forbidden) => Err(trade.refusal(reason(forbidden)).into()),
    }
}

const fn reason(forbidden: Forbidden) -> Reason {
    match forbidden {
        Forbidden::NotTheSeller => Reason::NotTheSeller,
        Forbidden::NotTheBuyer => Reason::NotTheBuyer,
        Forbidden::WrongState => Reason::WrongState,
    }
}

/// What to say of a trade that is not there: its lock was refused, is still to come, or never was.
fn missing(desk: &Desk, job: &Job, id: TradeId) -> Verdict {
    if desk.refused.contains(&id.0) {
        return Reason::TradeNeverOpened.into();
    }
    // A lock that is queued will come, however long the queue. One that is not may be parked.
    let waited = desk.now.signed_duration_since(job.received_at);
    if !desk.awaited.contains(&id.0) && waited > WAIT_FOR_LOCK {
        return Reason::TradeUnknown.into();
    }
    job.later("the trade's lock has not settled yet")
}
