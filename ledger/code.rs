/// Why money moved. The text of each is stored and never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Code {
    /// The outside world pays in: world → wallet.
    Deposit,
    /// A deposit is taken back by the provider: wallet → world.
    Clawback,
    /// The part of a clawback that the wallet lacked becomes a debt: receivable → world.
    ClawbackShortfall,
    /// A later credit repays a debt: wallet → receivable.
    ReceivableRepay,
    /// The house bears a debt that nobody will repay: fee → receivable.
    ReceivableLoss,
    /// Escrow goes to the buyer or the payee.
    TradeSettle,
    /// The maker's or the taker's fee goes to the house.
    TradeFee,
    /// A referrer's share of a fee: fee → wallet.
    Commission,
    /// A commission is taken back because its trade was reversed: wallet → fee.
    CommissionClawback,
    /// A confirmed withdrawal leaves: wallet → world.
    Payout,
    /// What we charge for a withdrawal: wallet → fee.
    PayoutFee,
    /// What the provider charged for a withdrawal: fee → world.
    PayoutCost,
    /// An operator corrects a balance.
    Adjustment,
    /// An operator undoes an earlier transfer.
    Reversal,
}

impl Code {
    /// Every code, in the order of this type.
    pub const ALL: [Self; 14] = [
        Self::Deposit,
        Self::Clawback,
        Self::ClawbackShortfall,
        Self::ReceivableRepay,
        Self::ReceivableLoss,
        Self::TradeSettle,
        Self::TradeFee,
        Self::Commission,
        Self::CommissionClawback,
        Self::Payout,
        Self::PayoutFee,
        Self::PayoutCost,
        Self::Adjustment,
        Self::Reversal,
    ];

    /// The stored text.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deposit => "deposit",
            Self::Clawback => "clawback",
            Self::ClawbackShortfall => "clawback_shortfall",
            Self::ReceivableRepay => "receivable_repay",
            Self::ReceivableLoss => "receivable_loss",
            Self::TradeSettle => "trade_settle",
            Self::TradeFee => "trade_fee",
            Self::Commission => "commission",
            Self::CommissionClawback => "commission_clawback",
            Self::Payout => "payout",
            Self::PayoutFee => "payout_fee",
            Self::PayoutCost => "payout_cost",
            Self::Adjustment => "adjustment",
            Self::Reversal => "reversal",
        }
    }

    /// The code that is stored as this text.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|code| code.as_str() == text)
    }
}
