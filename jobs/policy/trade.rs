//! Who may move a trade.

use crate::desk::Desk;
use crate::ids::{PrincipalId, TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::machines::trade::{Forbidden, Party, TradeMove, TradeState, next};
use crate::policy::missing::missing;
use crate::reason::Reason;
use crate::rows::trade::Trade;

/// Finds the trade of a job and asks the state machine whether the move is allowed.
///
/// # Errors
/// The verdict to return: Later while the lock may still come, a rejection otherwise.
pub(crate) fn judge(
    desk: &Desk,
    job: &Job,
    id: TradeId,
    event: TradeMove,
    by: Actor,
) -> Result<(Trade, TradeState), Verdict> {
    let Some(trade) = desk.trades.get(&id) else {
        let reasons = (Reason::TradeNeverOpened, Reason::TradeUnknown);
        return Err(missing(desk, job, id.0, reasons, "the trade's lock has not settled yet"));
    };
    let party = match by {
        Actor::User(user) => trade.party(user),
        Actor::Holdfast if job.submitted_by == PrincipalId::HOLDFAST => Party::Holdfast,
        Actor::Holdfast => Party::Stranger,
    };
    match next(trade.state, event, party) {
        Ok(state) => Ok((trade.clone(), state)),
        // A stranger is not told where the trade stands.
        Err(forbidden) if party == Party::Stranger => Err(reason(forbidden).into()),
        Err(forbidden) => Err(trade.refusal(reason(forbidden)).into()),
    }
}

/// On whose behalf a job acts on a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    /// A person, named by the submitter.
    User(UserId),
    /// Holdfast itself; that it really is, the job's submitter must show.
    Holdfast,
}

const fn reason(forbidden: Forbidden) -> Reason {
    match forbidden {
        Forbidden::NotTheSeller => Reason::NotTheSeller,
        Forbidden::NotTheBuyer => Reason::NotTheBuyer,
        Forbidden::NotHoldfast => Reason::NotHoldfast,
        Forbidden::WrongState => Reason::WrongState,
    }
}
