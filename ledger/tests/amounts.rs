//! Decimal text in and out: exact, or refused for a named reason.

use std::str::FromStr;

use ledger::{Amount, AmountError, Asset, AssetId};
use proptest::prelude::proptest;
use proptest::{prop_assert, prop_assert_eq};
use rust_decimal::Decimal;

pub(crate) fn asset(scale: u8) -> Asset {
    Asset { id: AssetId::new(1), code: "any".to_owned(), scale }
}

pub(crate) fn minor(value: i128) -> Amount {
    Amount::from_minor(value).unwrap()
}

const MALFORMED: AmountError = AmountError::Malformed;

/// Not numbers in any form that we take, neither from clients nor from providers.
const NOT_NUMBERS: &[&str] = &[
    "",
    " ",
    ".",
    "..",
    "-",
    "+",
    "--1",
    "-.5",
    "-01",
    "- 1",
    "+1",
    "+0.5",
    "1.",
    ".5",
    "01",
    "00",
    "00.1",
    "-",
    "1..2",
    "1.2.3",
    "1,5",
    "1_000",
    "1 000",
    " 1",
    "1 ",
    "1\n",
    "\t1",
    "1\0",
    "0x10",
    "1e",
    "e1",
    "1e+",
    "1e-",
    "1.e1",
    ".1e1",
    "1e1.5",
    "1e1e1",
    "1e 1",
    "01e1",
    "1e--1",
    "1e+-1",
    "NaN",
    "inf",
    "Infinity",
    "null",
    "true",
    "\"1\"",
    "１",
    "١",
    "½",
    "1²",
    "−1",
    "1\u{a0}",
    "\u{feff}1",
    "abc",
    "1a",
    "a1",
    "0b1",
    "1f",
    "1.5f",
    "$1",
    "1%",
    "(1)",
    "1/2",
];

#[test]
fn what_is_no_number_is_malformed() {
    for text in NOT_NUMBERS {
        assert_eq!(asset(8).parse(text), Err(MALFORMED), "parse {text:?}");
        assert_eq!(asset(8).parse_floor(text), Err(MALFORMED), "parse_floor {text:?}");
    }
}

#[test]
fn a_client_may_not_send_exponents_but_a_provider_may() {
    for text in ["1e0", "1E0", "1e-8", "1e+2", "1.5e3", "0e0"] {
        assert_eq!(asset(8).parse(text), Err(MALFORMED), "{text}");
        assert!(asset(8).parse_floor(text).is_ok(), "{text}");
    }
}

#[test]
fn a_number_below_zero_is_negative_rather_than_malformed() {
    for text in ["-1", "-0", "-0.0", "-0.5", "-99999999999999999999999999999999999999999999"] {
        assert_eq!(asset(2).parse(text), Err(AmountError::Negative), "{text}");
        assert_eq!(asset(2).parse_floor(text), Err(AmountError::Negative), "{text}");
    }
    assert_eq!(asset(2).parse_floor("-1e-5"), Err(AmountError::Negative));
    assert_eq!(asset(2).parse("-1e-5"), Err(MALFORMED));
}

#[test]
fn well_formed_text_is_read_exactly() {
    let cases: &[(u8, &str, i128)] = &[
        (0, "0", 0),
        (0, "15", 15),
        (0, "15.000", 15),
        (1, "1.10", 11),
        (2, "0.01", 1),
        (2, "10", 1_000),
        (8, "0.00000001", 1),
        (8, "21000000", 2_100_000_000_000_000),
        (8, "0.000000010000000000000000000000000000000000000000", 1),
        (18, "79228162514.264337593543950335", Amount::MAX.minor()),
        (18, "0.000000000000000001", 1),
        (0, "79228162514264337593543950335", Amount::MAX.minor()),
        (0, "79228162514264337593543950335.0", Amount::MAX.minor()),
    ];
    for &(scale, text, expected) in cases {
        assert_eq!(asset(scale).parse(text), Ok(minor(expected)), "{text} at {scale}");
        assert_eq!(asset(scale).parse_floor(text), Ok((minor(expected), false)), "{text}");
    }
}

#[test]
fn finer_than_the_scale_is_refused_unless_only_zeros_are() {
    let too_fine: &[(u8, &str)] = &[
        (0, "0.1"),
        (0, "15.5"),
        (1, "1.11"),
        (8, "0.000000001"),
        (8, "1.000000010000000001"),
        (18, "0.0000000000000000001"),
        (2, "0.00000000000000000000000000000000000000000000000000001"),
    ];
    for &(scale, text) in too_fine {
        assert_eq!(asset(scale).parse(text), Err(AmountError::TooFine { scale }), "{text}");
    }
}

#[test]
fn beyond_the_largest_amount_is_out_of_range_and_never_wraps() {
    let long = "9".repeat(100_000);
    let out: &[(u8, &str)] = &[
        (0, "79228162514264337593543950336"),
        (0, "79228162514264337593543950335000"),
        (18, "79228162514.264337593543950336"),
        (18, "79228162515"),
        (18, "99999999999.0000000000000000001"),
        (0, "340282366920938463463374607431768211456"),
        (0, "170141183460469231731687303715884105728"),
        (8, &long),
    ];
    for &(scale, text) in out {
        assert_eq!(asset(scale).parse(text), Err(AmountError::OutOfRange), "{text} at {scale}");
        assert_eq!(asset(scale).parse_floor(text), Err(AmountError::OutOfRange), "{text}");
    }
    assert_eq!(asset(0).parse("79228162514264337593543950335.5"), Err(AmountError::TooFine { scale: 0 }));
}

#[test]
fn formatting_shows_every_place_and_no_more() {
    let cases: &[(u8, i128, &str)] = &[
        (0, 0, "0"),
        (0, 15, "15"),
        (0, -15, "-15"),
        (1, 5, "0.5"),
        (2, 0, "0.00"),
        (2, 7, "0.07"),
        (2, -7, "-0.07"),
        (2, -700, "-7.00"),
        (8, 150_000_000, "1.50000000"),
        (18, 1, "0.000000000000000001"),
        (18, Amount::MAX.minor(), "79228162514.264337593543950335"),
        (0, i128::MIN, "-170141183460469231731687303715884105728"),
        (18, i128::MAX, "170141183460469231731.687303715884105727"),
        (38, -1, "-0.00000000000000000000000000000000000001"),
    ];
    for &(scale, value, text) in cases {
        assert_eq!(asset(scale).format_signed(value), text);
        if let Ok(amount) = Amount::from_minor(value) {
            assert_eq!(asset(scale).format(amount), text);
            assert_eq!(asset(scale).parse(text), Ok(amount));
        }
    }
}

#[test]
fn amounts_stay_within_their_range() {
    let one = minor(1);
    assert_eq!(Amount::MAX.minor(), 2_i128.pow(96) - 1);
    assert_eq!(Amount::from_minor(-1), Err(AmountError::Negative));
    assert_eq!(Amount::from_minor(i128::MIN), Err(AmountError::Negative));
    assert_eq!(Amount::from_minor(2_i128.pow(96)), Err(AmountError::OutOfRange));
    assert_eq!(Amount::from_minor(i128::MAX), Err(AmountError::OutOfRange));
    assert_eq!(Amount::MAX.checked_add(one), None);
    assert_eq!(Amount::MAX.checked_add(Amount::MAX), None);
    assert_eq!(Amount::MAX.checked_add(Amount::ZERO), Some(Amount::MAX));
    assert_eq!(Amount::MAX.checked_sub(one).and_then(|a| a.checked_add(one)), Some(Amount::MAX));
    assert_eq!(Amount::ZERO.checked_sub(one), None);
    assert_eq!(Amount::MAX.checked_sub(Amount::MAX), Some(Amount::ZERO));
    assert!(Amount::ZERO.is_zero() && !one.is_zero());
    assert_eq!(Amount::MAX.to_string(), "79228162514264337593543950335");
}

#[test]
fn reasons_are_told_in_words_and_in_stable_codes() {
    let all = [
        (MALFORMED, "amount_malformed", "the amount is not a plain decimal number"),
        (AmountError::Negative, "amount_negative", "the amount is negative"),
        (AmountError::TooFine { scale: 8 }, "amount_too_fine", "the amount is finer than the asset's 8 decimal places"),
        (
            AmountError::OutOfRange,
            "amount_out_of_range",
            "the amount is larger than 79228162514264337593543950335 minor units",
        ),
    ];
    for (error, code, message) in all {
        assert_eq!((error.code(), error.to_string().as_str()), (code, message));
    }
}

proptest! {
    #[test]
    fn what_is_formatted_parses_back_at_every_scale(value in 0..=Amount::MAX.minor()) {
        for scale in 0..=Asset::SCALE_MAX {
            let (asset, amount) = (asset(scale), minor(value));
            let text = asset.format(amount);
            prop_assert_eq!(asset.parse(&text), Ok(amount));
            prop_assert_eq!(asset.parse_floor(&text), Ok((amount, false)));
            let places = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            prop_assert_eq!(places, usize::from(scale));
            prop_assert_eq!(Decimal::from_str(&text).unwrap().mantissa(), value);
        }
    }

    #[test]
    fn no_text_whatever_panics_and_only_numbers_pass(text in "\\PC{0,40}|[-+0-9.eE]{0,60}") {
        for scale in [0, 1, 8, 18, 255] {
            if let Ok(amount) = asset(scale).parse(&text) {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.'));
                prop_assert_eq!(asset(scale).parse(&asset(scale).format(amount)), Ok(amount));
                prop_assert_eq!(asset(scale).parse_floor(&text), Ok((amount, false)));
            }
            prop_assert!(asset(scale).parse_floor(&text).is_err() || text.is_ascii());
        }
    }
}
