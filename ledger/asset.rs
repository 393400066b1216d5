use crate::amount::{Amount, AmountError};
use crate::decimal::Written;

/// The number under which an asset is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AssetId(i16);

impl AssetId {
    /// The asset stored under this number.
    pub const fn new(id: i16) -> Self {
        Self(id)
    }

    /// The number.
    pub const fn get(self) -> i16 {
        self.0
    }
}

/// What is being counted, and how finely.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Asset {
    /// The number under which it is stored.
    pub id: AssetId,
    /// What people and providers call it, such as `btc`.
    pub code: String,
    /// The decimal places of one unit, so that one unit is 10^scale minor units. Assets have 0 to
    /// [`Asset::SCALE_MAX`]; the functions here are exact for any value.
    pub scale: u8,
}

impl Asset {
    /// The finest scale that an asset may have. Beyond it a supply would not fit an [`Amount`].
    pub const SCALE_MAX: u8 = 18;

    /// Reads what a client sent, exactly or not at all.
    ///
    /// The text is ASCII digits with at most one dot between two of them. Signs, exponents,
    /// spaces, separators, `.5`, `1.`, `01` and the empty text are refused. Zeros at the end of
    /// the fraction change nothing, so `1.10` is an amount at scale 1 although `1.11` is not.
    /// Zero is an amount; whether it may be sent is for the caller to say.
    ///
    /// # Errors
    /// [`AmountError`] says which rule the text broke; the client must send another text. Where
    /// a number is both too large and too fine, too large is reported.
    pub fn parse(&self, text: &str) -> Result<Amount, AmountError> {
        let (amount, dust) = Written::plain(text)?.floor(self.scale)?;
        if dust {
            return Err(AmountError::TooFine { scale: self.scale });
        }
        Ok(amount)
    }

    /// Reads an amount that a provider states as a fact, rounded down to the asset's scale.
    ///
    /// Facts come as JSON number tokens or as strings that hold one, so an exponent is taken
    /// (`1e-8`), but still no plus sign, no space and no needless leading zero. The flag tells
    /// whether anything but zeros was cut off; the caller then keeps the raw text.
    ///
    /// # Errors
    /// [`AmountError::Malformed`], [`AmountError::Negative`] or [`AmountError::OutOfRange`]. It
    /// is never [`AmountError::TooFine`].
    pub fn parse_floor(&self, text: &str) -> Result<(Amount, bool), AmountError> {
        Written::json(text)?.floor(self.scale)
    }

    /// The amount as decimal text with exactly `scale` places, such as `1.50000000`, or no dot at
    /// scale 0. [`Asset::parse`] reads it back unchanged.
    pub fn format(&self, amount: Amount) -> String {
        self.format_signed(amount.minor())
    }

    /// A balance or a change of one, in minor units, as [`Asset::format`] writes it and with a
    /// minus sign below zero.
    pub fn format_signed(&self, minor: i128) -> String {
        let sign = if minor < 0 { "-" } else { "" };
        let places = usize::from(self.scale);
        // Padding to one more digit than there are places leaves a digit before the dot.
        let digits = format!("{:0>width$}", minor.unsigned_abs(), width = places.saturating_add(1));
        let dot = digits.len().saturating_sub(places);
        match digits.split_at_checked(dot) {
            Some((whole, fraction)) if !fraction.is_empty() => format!("{sign}{whole}.{fraction}"),
            Some(_) | None => format!("{sign}{digits}"),
        }
    }
}
