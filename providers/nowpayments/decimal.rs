//! Amounts as exact decimal text.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// An amount as the provider stated it, exact: plain decimal text in one spelling.
///
/// No exponent, no leading `+` or zeros, no trailing zeros after the point, no `-0`: equal
/// values have equal text. The unit is that of the currency that stands beside it, not its
/// minor unit. At most [`DecimalText::DIGITS_MAX`] digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct DecimalText(String);

/// Why a text is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not spelled as a decimal number.
    #[error("not a decimal number")]
    Malformed,
    /// More digits than any amount has.
    #[error("more than {} digits", DecimalText::DIGITS_MAX)]
    TooLong,
}

impl DecimalText {
    /// The most digits, before and after the point together, that an amount may have.
    pub const DIGITS_MAX: i64 = 60;

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the amount is below zero.
    pub fn is_negative(&self) -> bool {
        self.0.starts_with('-')
    }

    /// Whether the amount is zero.
    pub fn is_zero(&self) -> bool {
        self.0 == "0"
    }
}

impl fmt::Display for DecimalText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for DecimalText {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl FromStr for DecimalText {
    type Err = DecimalError;

    /// Reads `digits[.digits][e[sign]digits]` with an optional sign.
    ///
    /// # Errors
    /// [`DecimalError`] when the text is spelled otherwise (surrounding space included) or
    /// its plain spelling would have too many digits.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let (negative, unsigned) = match text.strip_prefix('-') {
            Some(unsigned) => (true, unsigned),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (plain, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((plain, exponent)) => (plain, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match plain.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (plain, None),
        };
        if !is_digits(whole) || fraction.is_some_and(|fraction| !is_digits(fraction)) {
            return Err(DecimalError::Malformed);
        }
        let exponent = exponent.map_or(Ok(0), read_exponent)?;
        let mut digits = String::with_capacity(plain.len());
        digits.push_str(whole);
        digits.push_str(fraction.unwrap_or(""));
        let significant = digits.trim_start_matches('0');
        if significant.is_empty() {
            return Ok(Self("0".to_owned()));
        }
        let leading = digits.len().saturating_sub(significant.len());
        // Where the point stands, counted from the first significant digit.
        let point = length(whole).saturating_sub_unsigned(u64::try_from(leading).unwrap_or(u64::MAX));
        spell(negative, significant.trim_end_matches('0'), point.saturating_add(exponent))
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit())
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX)
}

/// Reads an exponent; one that has no place in an `i64` saturates and is too long later.
fn read_exponent(text: &str) -> Result<i64, DecimalError> {
    let (negative, unsigned) = match text.strip_prefix('-') {
        Some(unsigned) => (true, unsigned),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !is_digits(unsigned) {
        return Err(DecimalError::Malformed);
    }
    let magnitude: i64 = unsigned.parse().unwrap_or(i64::MAX);
    Ok(if negative { magnitude.saturating_neg() } else { magnitude })
}

/// Spells `0.digits × 10^point`; `digits` neither begins nor ends with a zero.
fn spell(negative: bool, digits: &str, point: i64) -> Result<DecimalText, DecimalError> {
    let count =
        if point <= 0 { length(digits).saturating_add(1).saturating_sub(point) } else { length(digits).max(point) };
    if count > DecimalText::DIGITS_MAX {
        return Err(DecimalError::TooLong);
    }
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let split = usize::try_from(point).ok().and_then(|point| digits.split_at_checked(point));
    let magnitude = match split {
        Some(("", fraction)) => format!("0.{fraction}"),
        Some((whole, "")) => whole.to_owned(),
        Some((whole, fraction)) => format!("{whole}.{fraction}"),
        None if point < 0 => format!("0.{}{digits}", zeros(point.saturating_neg())),
        None => format!("{digits}{}", zeros(point.saturating_sub(length(digits)))),
    };
    Ok(DecimalText(if negative { format!("-{magnitude}") } else { magnitude }))
}
