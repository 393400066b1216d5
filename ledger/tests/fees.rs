//! Fees: rounded down, at most the amount, and nothing lost between fee and rest.

use ledger::{Amount, BasisPoints, fee_floor, split_floor};
use proptest::prelude::proptest;
use proptest::prop_assert;

fn rate(basis_points: u16) -> BasisPoints {
    BasisPoints::new(basis_points).unwrap()
}

fn minor(value: i128) -> Amount {
    Amount::from_minor(value).unwrap()
}

/// The fee is the one whole number `f` with `f ≤ a × r / 10⁴ < f + 1`, and the rest is what is left.
fn holds(amount: i128, basis_points: u16) -> bool {
    let (fee, rest) = split_floor(minor(amount), rate(basis_points));
    let exact = amount * i128::from(basis_points);
    fee.minor() * 10_000 <= exact
        && exact < (fee.minor() + 1) * 10_000
        && fee.minor() + rest.minor() == amount
        && fee_floor(minor(amount), rate(basis_points)) == fee
}

#[test]
fn fee_and_rest_conserve_every_small_amount_at_every_common_rate() {
    let rates = [
        0, 1, 2, 3, 5, 7, 10, 25, 33, 50, 99, 100, 101, 200, 250, 333, 500, 999, 1_000, 2_000, 2_500, 3_333, 5_000,
        6_667, 7_500, 9_000, 9_999, 10_000,
    ];
    for basis_points in rates {
        for amount in 0..=10_000 {
            assert!(holds(amount, basis_points), "{amount} at {basis_points}");
        }
    }
}

#[test]
fn every_rate_holds_at_the_largest_amounts() {
    for basis_points in 0..=10_000 {
        for below in 0..3 {
            assert!(holds(Amount::MAX.minor() - below, basis_points), "{below} at {basis_points}");
        }
    }
}

#[test]
fn the_ends_take_nothing_and_everything() {
    for amount in [Amount::ZERO, minor(1), minor(9_999), Amount::MAX] {
        assert_eq!(split_floor(amount, BasisPoints::ZERO), (Amount::ZERO, amount));
        assert_eq!(split_floor(amount, BasisPoints::WHOLE), (amount, Amount::ZERO));
    }
}

#[test]
fn dust_carries_no_fee() {
    assert_eq!(split_floor(minor(99), rate(100)), (Amount::ZERO, minor(99)));
    assert_eq!(split_floor(minor(100), rate(100)), (minor(1), minor(99)));
    assert_eq!(split_floor(minor(199), rate(100)), (minor(1), minor(198)));
}

#[test]
fn a_rate_is_at_most_the_whole() {
    assert_eq!(BasisPoints::new(10_000), Some(BasisPoints::WHOLE));
    assert_eq!(BasisPoints::new(10_001), None);
    assert_eq!(BasisPoints::new(u16::MAX), None);
    assert_eq!(rate(250).get(), 250);
}

proptest! {
    #[test]
    fn fee_and_rest_conserve_any_amount(
        amount in 0..=Amount::MAX.minor(),
        basis_points in 0..=10_000_u16,
    ) {
        prop_assert!(holds(amount, basis_points));
    }
}
