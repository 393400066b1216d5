use std::fmt;

use crate::fee::BasisPoints;

/// A quantity of one asset in its minor units (satoshi, wei, …), from zero to [`Amount::MAX`].
///
/// An amount is never negative: what leaves an account and what enters it is told apart by the
/// side of a transfer, not by a sign. It does not know its asset; [`crate::Asset`] turns it into
/// decimal text and back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i128);

impl Amount {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// The largest amount, 2^96 − 1 minor units: what a 96-bit decimal holds exactly.
    pub const MAX: Self = Self(79_228_162_514_264_337_593_543_950_335);

    /// The amount of that many minor units.
    ///
    /// # Errors
    /// [`AmountError::Negative`] below zero and [`AmountError::OutOfRange`] above
    /// [`Amount::MAX`]. Neither is clamped.
    pub const fn from_minor(minor: i128) -> Result<Self, AmountError> {
        if minor < 0 {
            Err(AmountError::Negative)
        } else if minor > Self::MAX.0 {
            Err(AmountError::OutOfRange)
        } else {
            Ok(Self(minor))
        }
    }

    /// The number of minor units.
    pub const fn minor(self) -> i128 {
        self.0
    }

    /// Whether this is nothing at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// The sum, or `None` above [`Amount::MAX`].
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        // Two amounts are below 2^97 together, so the addition itself is always exact.
        match self.0.checked_add(other.0) {
            Some(sum) if sum <= Self::MAX.0 => Some(Self(sum)),
            Some(_) | None => None,
        }
    }

    /// The difference, or `None` if it would be negative.
    #[must_use]
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(rest) if rest >= 0 => Some(Self(rest)),
            Some(_) | None => None,
        }
    }

    /// The part that the rate takes, rounded down, and the rest of the amount.
    #[expect(clippy::arithmetic_side_effects, reason = "2^96 × 10^4 is below 2^110, and at most the whole is taken")]
    pub(crate) fn cut_floor(self, rate: BasisPoints) -> (Self, Self) {
        let part = self.0 * i128::from(rate.get()) / 10_000;
        (Self(part), Self(self.0 - part))
    }
}

/// Prints minor units: the asset's scale is not known here.
impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a text or a number is not an amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// The text is not a number in the form that the parser takes.
    #[error("the amount is not a plain decimal number")]
    Malformed,
    /// The number carries a minus sign. Minus zero counts.
    #[error("the amount is negative")]
    Negative,
    /// The number has digits other than zero below the asset's smallest unit.
    #[error("the amount is finer than the asset's {scale} decimal places")]
    TooFine {
        /// The decimal places that the asset has.
        scale: u8,
    },
    /// The number is larger than [`Amount::MAX`] minor units.
    #[error("the amount is larger than {} minor units", Amount::MAX)]
    OutOfRange,
}

impl AmountError {
    /// A stable word for clients and logs. It never changes; the message may.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed => "amount_malformed",
            Self::Negative => "amount_negative",
            Self::TooFine { .. } => "amount_too_fine",
            Self::OutOfRange => "amount_out_of_range",
        }
    }
}
