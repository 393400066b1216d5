//! What the book refuses, what it calls a bug, and the corners that a random walk seldom reaches.

use ledger::{Account, Amount, AssetId, Balance, Book, BookError, Cause, Code, HoldId, HoldSubject, JobId};

use crate::desk::{account, desk, hold, id, minor};

fn pay(book: &mut Book, job: i64, debit: i64, credit: i64, amount: i128) -> Result<(), BookError> {
    book.transfer(JobId(job), Code::TradeSettle, id(debit), id(credit), minor(amount))
}

/// Runs a step that must fail with this error and leave no trace.
fn fails<T: std::fmt::Debug>(
    book: &mut Book,
    expected: BookError,
    step: impl FnOnce(&mut Book) -> Result<T, BookError>,
) {
    let before = book.clone();
    assert_eq!(step(book).unwrap_err(), expected);
    assert_eq!(*book, before, "{expected} leaves a trace");
}

#[test]
fn two_holds_on_one_account_cannot_eat_each_other() {
    let mut book = desk();
    let (first, second) = (JobId(10), JobId(11));
    let first = book.open_hold(first, id(1), HoldSubject(1), minor(60)).unwrap();
    let second = book.open_hold(second, id(1), HoldSubject(2), minor(40)).unwrap();
    assert_eq!(book.close_hold(JobId(12), first), Ok(minor(60)));
    // A second refund of the first trade would leave held at −20 without the hold's own state;
    // with it, the second trade's 40 stay where they are.
    fails(&mut book, BookError::HoldClosed { by: JobId(12) }, |book| book.close_hold(JobId(13), first));
    assert_eq!(book.account(id(1)).unwrap().balance, Balance { posted: 100, held: 40 });
    assert_eq!(book.close_hold(JobId(14), second), Ok(minor(40)));
}

#[test]
fn what_is_held_is_not_available() {
    let mut book = desk();
    book.open_hold(JobId(10), id(1), HoldSubject(1), minor(60)).unwrap();
    let refusal = BookError::Insufficient { available: 40, wanted: minor(41) };
    fails(&mut book, refusal, |book| pay(book, 11, 1, 2, 41));
    fails(&mut book, refusal, |book| book.open_hold(JobId(11), id(1), HoldSubject(2), minor(41)));
    pay(&mut book, 11, 1, 2, 40).unwrap();
    assert_eq!(book.account(id(1)).unwrap().balance.available(), 0);
}

#[test]
fn the_outside_world_has_no_floor_and_may_even_hold() {
    let mut book = desk();
    pay(&mut book, 1, -1, 2, Amount::MAX.minor()).unwrap();
    book.open_hold(JobId(2), id(-1), HoldSubject(1), minor(5)).unwrap();
    let world = book.account(id(-1)).unwrap();
    assert_eq!(world.balance.available(), -105 - Amount::MAX.minor());
    // A balance may exceed the largest single amount.
    pay(&mut book, 3, -1, 2, Amount::MAX.minor()).unwrap();
    assert_eq!(book.account(id(2)).unwrap().balance.posted, 2 * Amount::MAX.minor());
}

#[test]
fn refusals_are_told_from_bugs() {
    let mut book = desk();
    let mut other = account(7, 5, 0);
    other.key.asset = AssetId::new(2);
    book.load_account(other).unwrap();
    book.open_hold(JobId(10), id(1), HoldSubject(1), minor(1)).unwrap();
    let (wanted, hold) = (minor(1), HoldId(10));
    fails(&mut book, BookError::Insufficient { available: 0, wanted }, |b| pay(b, 1, 2, 1, 1));
    fails(&mut book, BookError::ZeroAmount, |b| pay(b, 1, 1, 2, 0));
    fails(&mut book, BookError::SameAccount { account: id(1) }, |b| pay(b, 1, 1, 1, 1));
    fails(&mut book, BookError::UnknownAccount { account: id(8) }, |b| pay(b, 1, 8, 1, 1));
    fails(&mut book, BookError::UnknownAccount { account: id(8) }, |b| pay(b, 1, 1, 8, 1));
    let mismatch = BookError::AssetMismatch { debit: id(1), credit: id(7) };
    fails(&mut book, mismatch, |b| pay(b, 1, 1, 7, 1));
    fails(&mut book, BookError::HoldExists { hold }, |b| b.open_hold(JobId(10), id(1), HoldSubject(2), minor(1)));
    fails(&mut book, BookError::UnknownHold { hold: HoldId(9) }, |b| b.close_hold(JobId(1), HoldId(9)));
    assert!(BookError::Insufficient { available: 0, wanted }.is_refusal());
    assert!(BookError::HoldClosed { by: JobId(1) }.is_refusal());
    for bug in [
        BookError::ZeroAmount,
        BookError::SameAccount { account: id(1) },
        BookError::UnknownAccount { account: id(1) },
        BookError::UnknownHold { hold },
        BookError::HoldExists { hold },
        BookError::Overflow { account: id(1) },
        BookError::HoldExceedsHeld { hold, amount: wanted, held: 0 },
        mismatch,
    ] {
        assert!(!bug.is_refusal(), "{bug}");
    }
}

#[test]
fn a_loaded_hold_needs_its_account_and_its_money() {
    let mut book = desk();
    book.load_hold(hold(20, 5, 10)).unwrap();
    book.load_hold(hold(21, 1, 10)).unwrap();
    fails(&mut book, BookError::UnknownAccount { account: id(5) }, |book| book.close_hold(JobId(30), HoldId(20)));
    let contradiction = BookError::HoldExceedsHeld { hold: HoldId(21), amount: minor(10), held: 0 };
    fails(&mut book, contradiction, |book| book.close_hold(JobId(30), HoldId(21)));
}

#[test]
fn a_hold_of_this_batch_is_stored_closed_and_a_loaded_one_is_updated() {
    let mut book = desk();
    book.load_account(account(3, 50, 50)).unwrap();
    book.load_hold(hold(20, 3, 50)).unwrap();
    let mark = book.mark();
    let opened = book.open_hold(JobId(30), id(1), HoldSubject(1), minor(60)).unwrap();
    let between = book.mark();
    book.close_hold(JobId(31), opened).unwrap();
    book.close_hold(JobId(32), HoldId(20)).unwrap();
    assert_eq!(book.changes().opened[0].closed_by, Some(JobId(31)));
    assert_eq!(book.changes().closed, [(HoldId(20), JobId(32))]);
    book.undo(between);
    assert_eq!(book.changes().opened[0].closed_by, None);
    assert_eq!(book.hold(opened).unwrap().closed_by, None);
    assert!(book.changes().closed.is_empty());
    book.undo(mark);
    assert!(book.changes().is_empty() && book.hold(opened).is_none());
    assert_eq!(book.hold(HoldId(20)), Some(&hold(20, 3, 50)));
}

#[test]
fn legs_go_on_when_another_job_comes_between_and_go_back_with_undo() {
    let mut book = desk();
    pay(&mut book, 1, 1, 2, 1).unwrap();
    pay(&mut book, 2, 1, 2, 1).unwrap();
    pay(&mut book, 1, 1, 2, 1).unwrap();
    let mark = book.mark();
    pay(&mut book, 1, 1, 2, 1).unwrap();
    pay(&mut book, 3, 1, 2, 1).unwrap();
    book.undo(mark);
    pay(&mut book, 3, 1, 2, 1).unwrap();
    pay(&mut book, 1, 1, 2, 1).unwrap();
    let legs: Vec<_> = book.changes().transfers.iter().map(|t| (t.job.0, t.leg)).collect();
    assert_eq!(legs, [(1, 0), (2, 0), (1, 1), (3, 0), (1, 2)]);
    assert_eq!(book.changes().entries[4].cause, Cause::Transfer { leg: 1 });
}

#[test]
fn a_job_runs_out_of_legs_rather_than_using_one_twice() {
    let mut book = desk();
    for _ in 0..i16::MAX {
        pay(&mut book, 1, -1, 2, 1).unwrap();
    }
    assert_eq!(book.changes().transfers.last().unwrap().leg, i16::MAX - 1);
    fails(&mut book, BookError::Overflow { account: id(-1) }, |book| pay(book, 1, -1, 2, 1));
    pay(&mut book, 2, -1, 2, 1).unwrap();
}

#[test]
fn balances_stop_at_what_the_database_stores() {
    let limit = Balance::LIMIT;
    let mut book = Book::new();
    book.load_account(account(1, limit - 1, 0)).unwrap();
    book.load_account(account(-1, 1 - limit, 0)).unwrap();
    book.load_account(account(-2, 0, 0)).unwrap();
    fails(&mut book, BookError::Overflow { account: id(-1) }, |book| pay(book, 1, -1, 1, 2));
    fails(&mut book, BookError::Overflow { account: id(1) }, |book| pay(book, 1, -2, 1, 2));
}

#[test]
fn versions_stop_at_their_largest() {
    let mut book = Book::new();
    let last = Account { version: i64::MAX, ..account(1, 100, 0) };
    book.load_account(last).unwrap();
    book.load_account(account(2, 0, 0)).unwrap();
    fails(&mut book, BookError::Overflow { account: id(1) }, |book| pay(book, 1, 1, 2, 1));
    fails(&mut book, BookError::Overflow { account: id(1) }, |book| {
        book.open_hold(JobId(1), id(1), HoldSubject(1), minor(1))
    });
}
