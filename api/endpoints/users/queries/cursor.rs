use std::fmt;

use crate::http::paging::{ListName, Place};

/// The place between two pages of a person's transactions: of every account that has more, the
/// version before which the next page begins.
///
/// Accounts are read by version because that is the order in which their balances followed each
/// other; entries that come while somebody turns pages are newer than the first page and never
/// shift what is on the next one. To the client it is an opaque text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    /// Account and version, the latter excluded.
    pub(crate) before: Vec<(i64, i64)>,
}

/// Names the encoding, so that it can change.
const FORMAT: u8 = 1;
/// An account and a version.
const PLACE_BYTES: usize = 16;
/// More accounts than one person has.
const PLACES_MAX: usize = 256;

impl Place for Cursor {
    fn cursor(&self, _: ListName) -> String {
        self.to_string()
    }

    /// Whose accounts it names is looked at when they are read.
    fn parse(text: &str, _: ListName) -> Option<Self> {
        Self::read(text)
    }
}

impl Cursor {
    /// Reads what [`Cursor`] printed.
    fn read(text: &str) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let (&FORMAT, places) = bytes.split_first()? else {
            return None;
        };
        let (places, rest) = places.as_chunks::<PLACE_BYTES>();
        if !rest.is_empty() || places.is_empty() || places.len() > PLACES_MAX {
            return None;
        }
        let before = places.iter().map(|place| {
            let (account, version) = place.split_first_chunk::<8>()?;
            let (account, version) = (i64::from_be_bytes(*account), i64::from_be_bytes(version.try_into().ok()?));
            (version > 0).then_some((account, version))
        });
        before.collect::<Option<Vec<_>>>().map(|before| Self { before })
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORMAT:02x}")?;
        for (account, version) in &self.before {
            write!(f, "{}{}", hex::encode(account.to_be_bytes()), hex::encode(version.to_be_bytes()))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::Cursor;

    #[test]
    fn what_is_printed_is_read_back() {
        let cursor = Cursor { before: vec![(7, 1), (-3, i64::MAX)] };
        assert_eq!(Cursor::read(&cursor.to_string()), Some(cursor));
    }

    #[test]
    fn anything_else_is_refused() {
        let good = Cursor { before: vec![(7, 5)] }.to_string();
        let zero = Cursor { before: vec![(7, 0)] }.to_string();
        let other_format = good.replacen("01", "02", 1);
        let long = format!("{good}00");
        for bad in ["", "01", "zz", "0", &good[..good.len() - 2], &long, &zero, &other_format, "ä"] {
            assert_eq!(Cursor::read(bad), None, "{bad}");
        }
    }
}
