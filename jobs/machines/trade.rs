//! The peer-to-peer trade.

/// Where a trade stands. The texts are stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeState {
    /// Locked; the buyer has until the deadline to say that they paid.
    AwaitingPayment,
    /// The buyer said that they paid.
    Paid,
    /// The buyer has the money.
    Released,
    /// The seller has the money back, because the buyer gave the trade up.
    Refunded,
    /// The buyer called it off; the refund that this causes gives the money back.
    Cancelled,
    /// The buyer did not pay in time; the refund that this causes gives the money back.
    Expired,
}

impl TradeState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::AwaitingPayment, Self::Paid, Self::Released, Self::Refunded, Self::Cancelled, Self::Expired];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Released => "released",
            Self::Refunded => "refunded",
            Self::Cancelled => "cancelled",
            Self::Expired => "expired",
        }
    }

    /// The state that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the trade is over for its two people. The money of one that was cancelled or has
    /// expired may still be on its way back.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Released | Self::Refunded | Self::Cancelled | Self::Expired => true,
            Self::AwaitingPayment | Self::Paid => false,
        }
    }
}

/// What somebody wants to happen to a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeMove {
    /// The buyer says that they paid.
    MarkPaid,
    /// The buyer takes that back.
    Undo,
    /// The seller gives the buyer more time.
    Extend,
    /// The buyer calls the trade off; the money goes back by a job of its own.
    Cancel,
    /// The time for paying is over; the money goes back by a job of its own.
    Expire,
    /// The money of a trade that was cancelled or has expired goes back.
    GiveBack,
    /// The seller lets the money go to the buyer.
    Release,
    /// The buyer gives the trade up, and the money goes back to the seller at once.
    Refund,
}

/// Who somebody is within a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Whose money is held.
    Seller,
    /// Who receives it.
    Buyer,
    /// Holdfast itself: timers and what they cause.
    Holdfast,
    /// None of them.
    Stranger,
}

/// Why a move is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forbidden {
    /// Only the seller may.
    NotTheSeller,
    /// Only the buyer may.
    NotTheBuyer,
    /// Only Holdfast itself may.
    NotHoldfast,
    /// Not in this state.
    WrongState,
}

impl TradeMove {
    /// Who alone may make it.
    const fn reserved_to(self) -> Party {
        match self {
            Self::MarkPaid | Self::Undo | Self::Cancel | Self::Refund => Party::Buyer,
            Self::Extend | Self::Release => Party::Seller,
            Self::Expire | Self::GiveBack => Party::Holdfast,
        }
    }
}

/// Where a move leads, or why it is not allowed. The person is judged before the state, so that
/// a stranger learns nothing about the trade. Deadlines and what may happen only once are the
/// kinds' to judge.
///
/// # Errors
/// [`Forbidden`] says which rule refuses.
pub const fn next(state: TradeState, event: TradeMove, by: Party) -> Result<TradeState, Forbidden> {
    use TradeState::{AwaitingPayment, Cancelled, Expired, Paid, Refunded, Released};
    match (event.reserved_to(), by) {
        (Party::Buyer, Party::Buyer) | (Party::Seller, Party::Seller) | (Party::Holdfast, Party::Holdfast) => {}
        (Party::Buyer, _) => return Err(Forbidden::NotTheBuyer),
        (Party::Seller, _) => return Err(Forbidden::NotTheSeller),
        (Party::Holdfast | Party::Stranger, _) => return Err(Forbidden::NotHoldfast),
    }
    match (event, state) {
        (TradeMove::MarkPaid, AwaitingPayment) => Ok(Paid),
        (TradeMove::Undo, Paid) | (TradeMove::Extend, AwaitingPayment) => Ok(AwaitingPayment),
        (TradeMove::Cancel, AwaitingPayment | Paid) | (TradeMove::GiveBack, Cancelled) => Ok(Cancelled),
        (TradeMove::Expire, AwaitingPayment) | (TradeMove::GiveBack, Expired) => Ok(Expired),
        (TradeMove::Release, Paid) => Ok(Released),
        (TradeMove::Refund, AwaitingPayment | Paid) => Ok(Refunded),
        (
            TradeMove::MarkPaid | TradeMove::Extend | TradeMove::Expire,
            Paid | Released | Refunded | Cancelled | Expired,
        )
        | (TradeMove::Undo | TradeMove::Release, AwaitingPayment | Released | Refunded | Cancelled | Expired)
        | (TradeMove::Cancel | TradeMove::Refund, Released | Refunded | Cancelled | Expired)
        | (TradeMove::GiveBack, AwaitingPayment | Paid | Released | Refunded) => Err(Forbidden::WrongState),
    }
}
