use crate::amount::Amount;

/// A rate in hundredths of a percent, from 0 to 10 000 (all of it).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BasisPoints(u16);

impl BasisPoints {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// All of it.
    pub const WHOLE: Self = Self(10_000);

    /// The rate, or `None` above 10 000.
    pub const fn new(basis_points: u16) -> Option<Self> {
        if basis_points <= Self::WHOLE.0 { Some(Self(basis_points)) } else { None }
    }

    /// The rate in basis points.
    pub const fn get(self) -> u16 {
        self.0
    }
}

/// The part of the amount that the rate takes, rounded down to a minor unit.
pub fn fee_floor(amount: Amount, rate: BasisPoints) -> Amount {
    split_floor(amount, rate).0
}

/// Cuts an amount in two that sum to it exactly: the fee, rounded down, and the rest. Whoever
/// receives the rest receives what rounding left over.
pub fn split_floor(amount: Amount, rate: BasisPoints) -> (Amount, Amount) {
    amount.cut_floor(rate)
}
