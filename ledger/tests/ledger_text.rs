//! Data in, ledger text out: whole stories as an operator would read them.

#![allow(clippy::needless_raw_string_hashes, reason = "expect-test writes them when it updates a snapshot")]

use std::fmt::Write as _;

use expect_test::{Expect, expect};
use ledger::{
    Account, AccountId, AccountKey, Asset, AssetId, Balance, BasisPoints, Book, Cause, Changes, Code, HoldId,
    HoldSubject, JobId, Owner, Purpose, split_floor,
};

const WORLD: i64 = -1;
const OWED_BY_SELLER: i64 = -2;
const FEES: i64 = 1;
const SELLER: i64 = 2;
const BUYER: i64 = 3;

fn btc() -> Asset {
    Asset { id: AssetId::new(1), code: "btc".to_owned(), scale: 8 }
}

fn id(account: i64) -> AccountId {
    AccountId::new(account).unwrap()
}

fn name(account: AccountId) -> &'static str {
    match account.get() {
        WORLD => "world",
        OWED_BY_SELLER => "owed by seller",
        FEES => "fees",
        SELLER => "seller",
        BUYER => "buyer",
        other => panic!("no account {other} in these stories"),
    }
}

/// A book in which nothing has happened yet.
fn empty() -> Book {
    let mut book = Book::new();
    let accounts = [
        (WORLD, Owner::HOUSE, Purpose::World),
        (OWED_BY_SELLER, Owner::new(SELLER), Purpose::Receivable),
        (FEES, Owner::HOUSE, Purpose::Fee),
        (SELLER, Owner::new(SELLER), Purpose::Wallet),
        (BUYER, Owner::new(BUYER), Purpose::Wallet),
    ];
    for (account, owner, purpose) in accounts {
        let key = AccountKey { owner, asset: btc().id, purpose, stripe: 0 };
        let balance = Balance::default();
        book.load_account(Account { id: id(account), key, version: 0, balance }).unwrap();
    }
    book
}

fn text(changes: &Changes) -> String {
    let mut out = String::new();
    let mut transfers = changes.transfers.iter();
    for entry in &changes.entries {
        let why = match entry.cause {
            Cause::Transfer { leg } if entry.d_posted < 0 => {
                let transfer = transfers.next().unwrap();
                assert_eq!((transfer.job, transfer.leg), (entry.job, leg));
                transfer.code.as_str().to_owned()
            }
            Cause::Transfer { .. } => String::new(),
            Cause::HoldOpened(HoldId(hold)) => format!("open hold {hold}"),
            Cause::HoldClosed(HoldId(hold)) => format!("close hold {hold}"),
        };
        let asset = btc();
        let (posted, held) = (asset.format_signed(entry.posted), asset.format_signed(entry.held));
        let change = asset.format_signed(entry.d_posted + entry.d_held);
        let line = format!(
            "{} {:<18} {:<14} v{} {change:>12} -> {posted:>12} held {held}",
            entry.job.0,
            why,
            name(entry.account),
            entry.version,
        );
        writeln!(out, "{}", line.trim_end()).unwrap();
    }
    out
}

fn check(book: Book, expected: &Expect) {
    expected.assert_eq(&text(&book.into_changes()));
}

fn pay(book: &mut Book, job: i64, code: Code, debit: i64, credit: i64, amount: &str) {
    let amount = btc().parse(amount).unwrap();
    book.transfer(JobId(job), code, id(debit), id(credit), amount).unwrap();
}

#[test]
fn a_trade_from_deposit_to_release() {
    let mut book = empty();
    pay(&mut book, 1, Code::Deposit, WORLD, SELLER, "1.5");
    let amount = btc().parse("1.00000001").unwrap();
    let hold = book.open_hold(JobId(2), id(SELLER), HoldSubject(7), amount).unwrap();
    let released = book.close_hold(JobId(3), hold).unwrap();
    let (fee, rest) = split_floor(released, BasisPoints::new(50).unwrap());
    book.transfer(JobId(3), Code::TradeSettle, id(SELLER), id(BUYER), rest).unwrap();
    book.transfer(JobId(3), Code::TradeFee, id(SELLER), id(FEES), fee).unwrap();
    check(
        book,
        &expect![[r#"
         1 deposit            world          v1  -1.50000000 ->  -1.50000000 held 0.00000000
         1                    seller         v1   1.50000000 ->   1.50000000 held 0.00000000
         2 open hold 2        seller         v2   1.00000001 ->   1.50000000 held 1.00000001
         3 close hold 2       seller         v3  -1.00000001 ->   1.50000000 held 0.00000000
         3 trade_settle       seller         v4  -0.99500001 ->   0.50499999 held 0.00000000
         3                    buyer          v1   0.99500001 ->   0.99500001 held 0.00000000
         3 trade_fee          seller         v5  -0.00500000 ->   0.49999999 held 0.00000000
         3                    fees           v1   0.00500000 ->   0.00500000 held 0.00000000
    "#]],
    );
}

#[test]
fn a_clawback_that_finds_too_little() {
    let mut book = empty();
    pay(&mut book, 1, Code::Deposit, WORLD, SELLER, "1");
    pay(&mut book, 2, Code::TradeSettle, SELLER, BUYER, "0.7");
    pay(&mut book, 3, Code::Clawback, SELLER, WORLD, "0.3");
    pay(&mut book, 3, Code::ClawbackShortfall, OWED_BY_SELLER, WORLD, "0.7");
    pay(&mut book, 4, Code::Deposit, WORLD, SELLER, "0.5");
    pay(&mut book, 4, Code::ReceivableRepay, SELLER, OWED_BY_SELLER, "0.5");
    check(
        book,
        &expect![[r#"
         1 deposit            world          v1  -1.00000000 ->  -1.00000000 held 0.00000000
         1                    seller         v1   1.00000000 ->   1.00000000 held 0.00000000
         2 trade_settle       seller         v2  -0.70000000 ->   0.30000000 held 0.00000000
         2                    buyer          v1   0.70000000 ->   0.70000000 held 0.00000000
         3 clawback           seller         v3  -0.30000000 ->   0.00000000 held 0.00000000
         3                    world          v2   0.30000000 ->  -0.70000000 held 0.00000000
         3 clawback_shortfall owed by seller v1  -0.70000000 ->  -0.70000000 held 0.00000000
         3                    world          v3   0.70000000 ->   0.00000000 held 0.00000000
         4 deposit            world          v4  -0.50000000 ->  -0.50000000 held 0.00000000
         4                    seller         v4   0.50000000 ->   0.50000000 held 0.00000000
         4 receivable_repay   seller         v5  -0.50000000 ->   0.00000000 held 0.00000000
         4                    owed by seller v2   0.50000000 ->  -0.20000000 held 0.00000000
    "#]],
    );
}
