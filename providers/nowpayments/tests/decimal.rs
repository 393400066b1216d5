use proptest::prelude::*;

use super::super::{DecimalError, DecimalText};

#[test]
fn equal_values_have_equal_text() {
    let cases = [
        ("0", "0"),
        ("-0", "0"),
        ("-0.000", "0"),
        ("0e99999999999999999999", "0"),
        ("1.0", "1"),
        ("+1.50", "1.5"),
        ("007.50", "7.5"),
        ("100", "100"),
        ("1e2", "100"),
        ("1E+2", "100"),
        ("0.00083e2", "0.083"),
        ("8.3e-05", "0.000083"),
        ("1e-7", "0.0000001"),
        ("12.5e-1", "1.25"),
        ("125e-1", "12.5"),
        ("-2.50", "-2.5"),
        ("1.5e-18", "0.0000000000000000015"),
        ("12345678901234567890.123456789", "12345678901234567890.123456789"),
    ];
    for (text, expected) in cases {
        assert_eq!(text.parse::<DecimalText>().unwrap().as_str(), expected, "{text}");
    }
}

#[test]
fn other_spellings_are_refused() {
    let texts = [
        "", " ", "-", "+", ".", ".5", "5.", " 1", "1 ", "1\n", "1,5", "1_0", "0x1", "1e", "e5", "1e1.5", "1e+-1",
        "--1", "+-1", "NaN", "inf", "١", "1.2.3", "1e5e5",
    ];
    for text in texts {
        assert_eq!(text.parse::<DecimalText>(), Err(DecimalError::Malformed), "{text:?}");
    }
}

#[test]
fn length_is_bounded_by_the_plain_spelling() {
    let sixty = "9".repeat(60);
    assert_eq!(sixty.parse::<DecimalText>().unwrap().as_str(), sixty);
    assert!("1e59".parse::<DecimalText>().is_ok());
    assert!("1e-59".parse::<DecimalText>().is_ok());
    assert!(format!("1.{}", "0".repeat(5000)).parse::<DecimalText>().is_ok());
    let long = ["1e60", "1e-60", "1e999999999999", "1e-99999999999999999999999", "1.5e9223372036854775807"];
    for text in long {
        assert_eq!(text.parse::<DecimalText>(), Err(DecimalError::TooLong), "{text}");
    }
    assert_eq!("9".repeat(61).parse::<DecimalText>(), Err(DecimalError::TooLong));
}

proptest! {
    #[test]
    fn any_spelling_of_a_value_reads_as_its_plain_one(units in any::<i64>(), scale in 0..20_i32, shift in -15..15_i32) {
        // units / 10^scale, once with an exponent of zero and once with the point moved.
        let plain: DecimalText = format!("{units}e-{scale}").parse().unwrap();
        let moved: DecimalText = format!("{units}{}e{}", "0".repeat(15), -scale - 15).parse().unwrap();
        prop_assert_eq!(&plain, &moved);
        let digits = units.unsigned_abs().to_string();
        let sign = if units < 0 { "-" } else { "" };
        let pointed: DecimalText = format!("{sign}00{digits}.{}e{}", "0".repeat(3), -scale).parse().unwrap();
        prop_assert_eq!(&plain, &pointed);
        let there = format!("{plain}e{shift}").parse::<DecimalText>().unwrap();
        let back = format!("{there}e{}", -shift).parse::<DecimalText>().unwrap();
        prop_assert_eq!(&plain, &back);
        prop_assert_eq!(plain.as_str().parse::<DecimalText>().unwrap(), plain.clone());
        prop_assert!(!plain.as_str().contains(['e', '+']) && plain.as_str() != "-0");
        prop_assert!(!plain.as_str().contains('.') || !plain.as_str().ends_with('0'));
    }
}
