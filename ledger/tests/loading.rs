//! What is taken into a book and what is not, and the words under which things are stored.

use ledger::{Account, AccountId, Balance, Code, HoldId, LoadError, Owner, Purpose};

use crate::desk::{account, desk, hold, id, key};

#[test]
fn what_contradicts_itself_is_not_loaded() {
    let mut book = desk();
    let before = book.clone();
    let unsound = |account| LoadError::Unsound { account: id(account) };
    let renamed = Account { key: key(1), ..account(4, 0, 0) };
    let foreign = Account { key: key(-4), ..account(4, 0, 0) };
    let cases = [
        (account(1, 0, 0), LoadError::AccountTwice { account: id(1) }),
        (renamed, LoadError::KeyTwice { first: id(1), second: id(4), key: key(1) }),
        (foreign, LoadError::FloorMismatch { account: id(4) }),
        (account(4, -1, 0), unsound(4)),
        (account(4, 5, 6), unsound(4)),
        (account(4, 5, -1), unsound(4)),
        (account(-4, 5, -1), unsound(-4)),
        (account(4, Balance::LIMIT + 1, 0), unsound(4)),
        (account(-4, i128::MIN, 0), unsound(-4)),
        (account(-4, -Balance::LIMIT, Balance::LIMIT), unsound(-4)),
        (Account { version: -1, ..account(4, 0, 0) }, unsound(4)),
        (Account { version: 0, ..account(4, 5, 0) }, unsound(4)),
    ];
    for (loaded, expected) in cases {
        assert_eq!(book.load_account(loaded), Err(expected));
        assert_eq!(book, before, "{expected} leaves a trace");
    }
    book.load_hold(hold(20, 1, 5)).unwrap();
    assert_eq!(book.load_hold(hold(20, 1, 5)), Err(LoadError::HoldTwice { hold: HoldId(20) }));
    assert_eq!(book.load_hold(hold(21, 1, 0)), Err(LoadError::HoldOfNothing { hold: HoldId(21) }));
}

#[test]
fn stored_words_read_back_and_are_all_different() {
    for purpose in Purpose::ALL {
        assert_eq!(Purpose::parse(purpose.as_str()), Some(purpose));
    }
    for code in Code::ALL {
        assert_eq!(Code::parse(code.as_str()), Some(code));
    }
    assert_eq!((Purpose::parse("Wallet"), Code::parse("")), (None, None));
    assert_eq!(AccountId::new(0), None);
    assert!(id(1).has_floor() && !id(-1).has_floor());
    assert!(Owner::HOUSE.is_house() && Owner::new(0) == Owner::HOUSE && !Owner::new(1).is_house());
}

#[test]
fn keys_sort_by_owner_then_asset_then_purpose_then_stripe() {
    let mut striped = key(1);
    striped.stripe = 1;
    let mut keys = [key(2), striped, key(1), key(-1)];
    keys.sort_unstable();
    assert_eq!(keys, [key(1), striped, key(-1), key(2)]);
}
