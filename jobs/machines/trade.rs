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
    /// The seller has the money back.
    Refunded,
}

impl TradeState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::AwaitingPayment, Self::Paid, Self::Released, Self::Refunded];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AwaitingPayment => "awaiting_payment",
            Self::Paid => "paid",
            Self::Released => "released",
            Self::Refunded => "refunded",
        }
    }

    /// The state that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    /// Whether the trade is over.
    pub const fn is_final(self) -> bool {
        match self {
            Self::Released | Self::Refunded => true,
            Self::AwaitingPayment | Self::Paid => false,
        }
    }
}

/// What somebody wants to happen to a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TradeMove {
    /// The buyer says that they paid.
    MarkPaid,
    /// The seller lets the money go to the buyer.
    Release,
    /// The buyer gives the trade up, and the money goes back to the seller.
    Refund,
}

/// Who somebody is within a trade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// Whose money is held.
    Seller,
    /// Who receives it.
    Buyer,
    /// Neither of the two.
    Stranger,
}

/// Why a move is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forbidden {
    /// Only the seller may.
    NotTheSeller,
    /// Only the buyer may.
    NotTheBuyer,
    /// Not in this state.
    WrongState,
}

/// Where a move leads, or why it is not allowed. The person is judged before the state, so that
/// a stranger learns nothing about the trade.
///
/// # Errors
/// [`Forbidden`] says which rule refuses.
pub const fn next(state: TradeState, event: TradeMove, by: Party) -> Result<TradeState, Forbidden> {
    match (event, by) {
        (TradeMove::MarkPaid, Party::Buyer) => match state {
            TradeState::AwaitingPayment => Ok(TradeState::Paid),
            TradeState::Paid | TradeState::Released | TradeState::Refunded => Err(Forbidden::WrongState),
        },
        (TradeMove::Release, Party::Seller) => match state {
            TradeState::Paid => Ok(TradeState::Released),
            TradeState::AwaitingPayment | TradeState::Released | TradeState::Refunded => Err(Forbidden::WrongState),
        },
        (TradeMove::Refund, Party::Buyer) => match state {
            TradeState::AwaitingPayment | TradeState::Paid => Ok(TradeState::Refunded),
            TradeState::Released | TradeState::Refunded => Err(Forbidden::WrongState),
        },
        (TradeMove::MarkPaid | TradeMove::Refund, Party::Seller | Party::Stranger) => Err(Forbidden::NotTheBuyer),
        (TradeMove::Release, Party::Buyer | Party::Stranger) => Err(Forbidden::NotTheSeller),
    }
}
