//! How `JSON.stringify` spells strings, and how JavaScript orders the keys of an object.

use std::char;
use std::cmp::Ordering;
use std::str::Chars;

/// Appends one escaped code unit; a high surrogate waits in `high` for its other half.
pub(super) fn push_unit(spelled: &mut String, high: &mut Option<u16>, unit: u16) {
    if let Some(first) = *high
        && let Some(Ok(whole)) = char::decode_utf16([first, unit]).next()
    {
        *high = None;
        spelled.push(whole);
        return;
    }
    flush(spelled, high);
    if (0xd800..0xdc00).contains(&unit) {
        *high = Some(unit);
        return;
    }
    let Some(plain) = char::from_u32(u32::from(unit)) else {
        push_hex(spelled, unit);
        return;
    };
    match plain {
        '"' => spelled.push_str("\\\""),
        '\\' => spelled.push_str("\\\\"),
        '\u{8}' => spelled.push_str("\\b"),
        '\u{c}' => spelled.push_str("\\f"),
        '\n' => spelled.push_str("\\n"),
        '\r' => spelled.push_str("\\r"),
        '\t' => spelled.push_str("\\t"),
        control if control < ' ' => push_hex(spelled, unit),
        other => spelled.push(other),
    }
}

/// Spells a high surrogate that stayed alone.
pub(super) fn flush(spelled: &mut String, high: &mut Option<u16>) {
    if let Some(unit) = high.take() {
        push_hex(spelled, unit);
    }
}

fn push_hex(spelled: &mut String, unit: u16) {
    spelled.push_str("\\u");
    for shift in [12_u32, 8, 4, 0] {
        let nibble = u32::from(unit >> shift) & 0xf;
        spelled.extend(char::from_digit(nibble, 16));
    }
}

/// The UTF-16 code units of a canonical spelling, its escapes undone.
pub(super) fn units(spelled: &str) -> Units<'_> {
    Units { chars: spelled.chars(), low: None }
}

pub(super) struct Units<'a> {
    chars: Chars<'a>,
    low: Option<u16>,
}

impl Iterator for Units<'_> {
    type Item = u16;

    fn next(&mut self) -> Option<u16> {
        if let Some(low) = self.low.take() {
            return Some(low);
        }
        let mut plain = self.chars.next()?;
        if plain == '\\' {
            plain = match self.chars.next()? {
                'u' => {
                    let digits = self.chars.by_ref().take(4).filter_map(|digit| digit.to_digit(16));
                    let unit = digits.fold(0_u32, |unit, digit| (unit << 4) | digit);
                    return u16::try_from(unit).ok();
                }
                'b' => '\u{8}',
                'f' => '\u{c}',
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                itself => itself,
            };
        }
        let mut pair = [0; 2];
        let mut encoded = plain.encode_utf16(&mut pair).iter();
        let first = encoded.next().copied();
        self.low = encoded.next().copied();
        first
    }
}

/// The order in which a JavaScript object that was filled in sorted order lists two keys:
/// array indices first, by value; then the others by UTF-16 code units.
pub(super) fn key_order(left: &str, right: &str) -> Ordering {
    match (array_index(left), array_index(right)) {
        (Some(left), Some(right)) => left.cmp(&right),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) if left.is_ascii() && right.is_ascii() && !escaped(left) && !escaped(right) => left.cmp(right),
        (None, None) => units(left).cmp(units(right)),
    }
}

fn escaped(spelled: &str) -> bool {
    spelled.contains('\\')
}

/// A key that JavaScript takes for an array index: a plain integer up to 2^32 - 2.
fn array_index(key: &str) -> Option<u32> {
    let plain = key.bytes().all(|digit| digit.is_ascii_digit()) && (key == "0" || !key.starts_with('0'));
    key.parse().ok().filter(|index| plain && *index < u32::MAX)
}
