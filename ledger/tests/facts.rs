//! Amounts as providers state them: JSON numbers, rounded down to what the asset can count.

use ledger::{Amount, AmountError, Asset};
use proptest::prelude::proptest;
use proptest::{prop_assert, prop_assert_eq};
use rust_decimal::Decimal;

use crate::amounts::{asset, minor};

#[test]
fn facts_are_floored_and_say_so() {
    let huge_down = format!("{}e-{}", "9".repeat(60), 60);
    let cases: &[(u8, &str, i128, bool)] = &[
        (8, "1e-8", 1, false),
        (8, "1E-8", 1, false),
        (8, "9.99e-7", 99, true),
        (8, "1.5e-9", 0, true),
        (8, "0.123456789", 12_345_678, true),
        (8, "0.123456780", 12_345_678, false),
        (2, "1e+2", 10_000, false),
        (2, "1.239", 123, true),
        (2, "12.5e1", 12_500, false),
        (2, "1000e-3", 100, false),
        (2, "1009e-3", 100, true),
        (0, "0.99999999999999999999999999999999999999999", 0, true),
        (0, "0e999999999999999999999999999", 0, false),
        (0, "0.000e-999999999999999999999999999", 0, false),
        (0, "1e-999999999999999999999999999", 0, true),
        (0, &huge_down, 0, true),
        (18, "7.9228162514264337593543950335e10", Amount::MAX.minor(), false),
    ];
    for &(scale, text, expected, dust) in cases {
        assert_eq!(asset(scale).parse_floor(text), Ok((minor(expected), dust)), "{text}");
    }
    for text in ["1e27", "1e29", "1e999999999999999999999999999", "0.1e100"] {
        assert_eq!(asset(2).parse_floor(text), Err(AmountError::OutOfRange), "{text}");
    }
    assert_eq!(asset(2).parse_floor("1e26"), Ok((minor(10_i128.pow(28)), false)));
}

/// The number without its exponent: the same digits with the dot moved.
fn spelled_out(whole: &str, fraction: &str, exponent: i32) -> String {
    let zeros = "0".repeat(exponent.unsigned_abs() as usize);
    let (whole, fraction) = if exponent < 0 {
        let digits = format!("{zeros}{whole}");
        let (left, right) = digits.split_at(digits.len() - zeros.len());
        (left.to_owned(), format!("{right}{fraction}"))
    } else {
        let digits = format!("{fraction}{zeros}");
        let (left, right) = digits.split_at(zeros.len());
        (format!("{whole}{left}"), right.to_owned())
    };
    let whole = whole.trim_start_matches('0');
    let whole = if whole.is_empty() { "0" } else { whole };
    let dot = if fraction.is_empty() { "" } else { "." };
    format!("{whole}{dot}{fraction}")
}

#[test]
fn numbers_are_spelled_out_by_moving_the_dot() {
    assert_eq!(spelled_out("1", "", -8), "0.00000001");
    assert_eq!(spelled_out("12", "34", -1), "1.234");
    assert_eq!(spelled_out("12", "34", 1), "123.40");
    assert_eq!(spelled_out("0", "5", 3), "500.0");
}

proptest! {
    #[test]
    fn an_exponent_only_moves_the_dot(
        whole in "0|[1-9][0-9]{0,8}",
        fraction in "[0-9]{0,12}",
        exponent in -40..40_i32,
        scale in 0..=Asset::SCALE_MAX,
    ) {
        let dot = if fraction.is_empty() { "" } else { "." };
        let short = format!("{whole}{dot}{fraction}e{exponent}");
        let long = spelled_out(&whole, &fraction, exponent);
        prop_assert_eq!(asset(scale).parse_floor(&short), asset(scale).parse_floor(&long));
    }

    /// An independent reader of decimals comes to the same number, or we refused it.
    #[test]
    fn parsing_agrees_with_a_decimal_library(
        text in "(0|[1-9][0-9]{0,9})(\\.[0-9]{1,17})?",
        scale in 0..=Asset::SCALE_MAX,
    ) {
        let decimal = Decimal::from_str_exact(&text).unwrap();
        let unit = Decimal::new(1, u32::from(scale));
        let floor = decimal.trunc_with_scale(u32::from(scale));
        let (amount, dust) = asset(scale).parse_floor(&text).unwrap();
        prop_assert_eq!(Decimal::from_i128_with_scale(amount.minor(), u32::from(scale)), floor);
        prop_assert_eq!(dust, floor != decimal);
        prop_assert!(decimal - floor < unit);
        match asset(scale).parse(&text) {
            Ok(exact) => prop_assert!(!dust && exact == amount),
            Err(error) => {
                prop_assert!(dust);
                prop_assert_eq!(error, AmountError::TooFine { scale });
            }
        }
    }
}
