use crate::amount::{Amount, AmountError};

/// A number as it was written, split into its digits and the power of ten that they stand at.
/// Nothing is converted yet, so nothing can be rounded yet.
#[derive(Clone, Copy)]
pub(crate) struct Written<'a> {
    whole: &'a [u8],
    fraction: &'a [u8],
    exponent: i64,
}

/// An exponent beyond this is held at it. Texts are far shorter than this many digits, so such a
/// number is zero, out of range or wholly dust either way.
const EXPONENT_MAX: i64 = 1_000_000_000_000;

impl<'a> Written<'a> {
    /// Reads `0.5` or `12`, and nothing looser: no sign, no exponent, no spaces, no bare dot, no
    /// needless leading zero.
    pub(crate) fn plain(text: &'a str) -> Result<Self, AmountError> {
        Self::unsigned(text, Self::without_exponent)
    }

    /// Reads what JSON calls a number, so also `1e-8`, which is how a JavaScript peer writes 0.00000001.
    pub(crate) fn json(text: &'a str) -> Result<Self, AmountError> {
        Self::unsigned(text, Self::with_exponent)
    }

    /// A number that is well formed but for its minus sign is negative rather than malformed: the
    /// sender is told what is wrong with it.
    fn unsigned(text: &'a str, read: fn(&'a [u8]) -> Option<Self>) -> Result<Self, AmountError> {
        let bytes = text.as_bytes();
        match bytes.strip_prefix(b"-") {
            Some(rest) if read(rest).is_some() => Err(AmountError::Negative),
            Some(_) => Err(AmountError::Malformed),
            None => read(bytes).ok_or(AmountError::Malformed),
        }
    }

    fn without_exponent(bytes: &'a [u8]) -> Option<Self> {
        let (whole, fraction) = match bytes.iter().position(|&byte| byte == b'.') {
            None => (bytes, [].as_slice()),
            Some(dot) => {
                let (whole, rest) = bytes.split_at_checked(dot)?;
                let fraction = rest.strip_prefix(b".").filter(|digits| !digits.is_empty())?;
                (whole, fraction)
            }
        };
        let needless_zero = matches!(whole, [b'0', _, ..]);
        let digits_only = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        (!whole.is_empty() && !needless_zero && digits_only).then_some(Self { whole, fraction, exponent: 0 })
    }

    fn with_exponent(bytes: &'a [u8]) -> Option<Self> {
        let Some(mark) = bytes.iter().position(|byte| matches!(byte, b'e' | b'E')) else {
            return Self::without_exponent(bytes);
        };
        let (mantissa, rest) = bytes.split_at_checked(mark)?;
        let exponent = exponent(rest.get(1..)?)?;
        Some(Self { exponent, ..Self::without_exponent(mantissa)? })
    }

    /// The number in units of 10^−`scale`, rounded down, and whether anything was cut off.
    pub(crate) fn floor(self, scale: u8) -> Result<(Amount, bool), AmountError> {
        // The digits, read as one whole number, are to be multiplied by 10^shift.
        let shift = length(self.fraction)
            .and_then(|below| i64::from(scale).checked_add(self.exponent)?.checked_sub(below))
            .ok_or(AmountError::OutOfRange)?;
        let digits = length(self.whole)
            .and_then(|whole| whole.checked_add(length(self.fraction)?))
            .ok_or(AmountError::OutOfRange)?;
        let kept = usize::try_from(digits.saturating_add(shift.min(0)).max(0)).map_err(|_| AmountError::OutOfRange)?;

        let mut minor = Amount::ZERO;
        for &digit in self.whole.iter().chain(self.fraction).take(kept) {
            minor = append(minor, digit)?;
        }
        let dust = self.whole.iter().chain(self.fraction).skip(kept).any(|&digit| digit != b'0');
        // Zero stays zero whatever the exponent; anything else leaves the range within 30 rounds.
        if !minor.is_zero() {
            for _ in 0..shift.max(0) {
                minor = append(minor, b'0')?;
            }
        }
        Ok((minor, dust))
    }
}

/// `amount × 10 + digit`, where the digit is an ASCII one.
fn append(amount: Amount, digit: u8) -> Result<Amount, AmountError> {
    amount
        .minor()
        .checked_mul(10)
        .and_then(|tens| tens.checked_add(i128::from(digit.checked_sub(b'0')?)))
        .ok_or(AmountError::OutOfRange)
        .and_then(Amount::from_minor)
}

fn length(digits: &[u8]) -> Option<i64> {
    i64::try_from(digits.len()).ok()
}

/// What follows the `e`: an optional sign and at least one digit.
fn exponent(bytes: &[u8]) -> Option<i64> {
    let (digits, negative) = match bytes {
        [b'-', digits @ ..] => (digits, true),
        [b'+', digits @ ..] | digits => (digits, false),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value.saturating_mul(10).saturating_add(i64::from(digit.checked_sub(b'0')?)).min(EXPONENT_MAX);
    }
    if negative { value.checked_neg() } else { Some(value) }
}
