//! A small book to begin with, and short ways to write what goes into one.

use ledger::{
    Account, AccountId, AccountKey, Amount, AssetId, Balance, Book, Hold, HoldId, HoldSubject, Owner, Purpose,
};

pub(crate) fn id(account: i64) -> AccountId {
    AccountId::new(account).unwrap()
}

pub(crate) fn minor(value: i128) -> Amount {
    Amount::from_minor(value).unwrap()
}

pub(crate) fn key(account: i64) -> AccountKey {
    let purpose = if account > 0 { Purpose::Wallet } else { Purpose::World };
    AccountKey { owner: Owner::new(account.abs()), asset: AssetId::new(1), purpose, stripe: 0 }
}

pub(crate) fn account(account: i64, posted: i128, held: i128) -> Account {
    let version = i64::from(posted != 0 || held != 0);
    Account { id: id(account), key: key(account), version, balance: Balance { posted, held } }
}

pub(crate) fn hold(job: i64, account: i64, amount: i128) -> Hold {
    Hold { id: HoldId(job), account: id(account), subject: HoldSubject(1), amount: minor(amount), closed_by: None }
}

/// Seller 1 has 100, buyer 2 nothing, the outside world −1 the rest.
pub(crate) fn desk() -> Book {
    let mut book = Book::new();
    for loaded in [account(1, 100, 0), account(2, 0, 0), account(-1, -100, 0)] {
        book.load_account(loaded).unwrap();
    }
    book
}
