//! The book against a model that is too simple to be wrong: a list of lines from which every
//! balance is summed anew each time it is looked at, and which is copied whole at each mark.

mod model;

use ledger::{
    Account, AccountId, AccountKey, Amount, AssetId, Balance, Book, BookError, Cause, Code, Hold, HoldId, HoldSubject,
    JobId, Mark, Owner, Purpose,
};
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use proptest::test_runner::TestCaseError;
use proptest::{collection, prop_assert, prop_assert_eq};

use model::{Held, Line, Naive, Said, TEN_TO_38, Why};

/// What the book said, in the model's words.
fn said<T>(result: &Result<T, BookError>) -> Said {
    match *result {
        Ok(_) => Said::Done,
        Err(BookError::Insufficient { available, .. }) => Said::TooLittle(available),
        Err(BookError::HoldClosed { by }) => Said::AlreadyClosed(by.0),
        Err(BookError::UnknownAccount { account }) => Said::NoAccount(account.get()),
        Err(BookError::UnknownHold { .. }) => Said::NoHold,
        Err(BookError::SameAccount { .. }) => Said::Itself,
        Err(BookError::ZeroAmount) => Said::Nothing,
        Err(BookError::AssetMismatch { .. }) => Said::TwoAssets,
        Err(BookError::Overflow { .. }) => Said::TooMuch,
        Err(BookError::HoldExists { .. }) => Said::HeldBefore,
        Err(error @ BookError::HoldExceedsHeld { .. }) => panic!("{error}"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Transfer {
        job: i64,
        debit: i64,
        credit: i64,
        amount: i128,
    },
    Open {
        job: i64,
        account: i64,
        amount: i128,
    },
    Close {
        job: i64,
        hold: i64,
    },
    Mark,
    /// Goes back to one of the marks that are still good.
    Undo {
        which: usize,
    },
}

/// Accounts 1 to 3 and −1 count asset 1, 4, 5 and −2 asset 2, −3 and −4 asset 3; 9 does not exist.
fn account() -> impl Strategy<Value = i64> {
    prop_oneof![
        12 => proptest::sample::select(vec![1_i64, 2, 3, -1]),
        4 => proptest::sample::select(vec![4_i64, 5, -2]),
        3 => proptest::sample::select(vec![-3_i64, -4]),
        1 => Just(9_i64),
    ]
}

fn amount() -> impl Strategy<Value = i128> {
    prop_oneof![1 => Just(0), 20 => 1..60_i128, 2 => Just(Amount::MAX.minor())]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1..5_i64, account(), account(), amount())
            .prop_map(|(job, debit, credit, amount)| Step::Transfer { job, debit, credit, amount }),
        5 => (1..30_i64, account(), amount())
            .prop_map(|(job, account, amount)| Step::Open { job, account, amount }),
        // 101 to 103 are loaded.
        5 => (1..5_i64, prop_oneof![3 => 1..30_i64, 1 => 101..105_i64])
            .prop_map(|(job, hold)| Step::Close { job, hold }),
        2 => Just(Step::Mark),
        2 => any::<usize>().prop_map(|which| Step::Undo { which }),
    ]
}

fn id(account: i64) -> AccountId {
    AccountId::new(account).unwrap()
}

fn start() -> (Book, Naive) {
    let naive = Naive {
        loaded: vec![
            (1, 1, 7, 200, 30),
            (2, 1, 1, 50, 50),
            (3, 1, 0, 0, 0),
            (-1, 1, 12, -250, 0),
            (4, 2, 3, 100, 0),
            (5, 2, 0, 0, 0),
            (-2, 2, 1, -100, 0),
            (-3, 3, 5, TEN_TO_38 - 40, 0),
            (-4, 3, 5, 40 - TEN_TO_38, 0),
        ],
        lines: vec![],
        transfers: vec![],
        holds: vec![
            Held { id: 101, account: 1, amount: 30, loaded: true, closed_by: None },
            Held { id: 102, account: 2, amount: 50, loaded: true, closed_by: None },
            Held { id: 103, account: 2, amount: 10, loaded: true, closed_by: Some(99) },
        ],
        closed: vec![],
    };
    let mut book = Book::new();
    for &(account, asset, version, posted, held) in &naive.loaded {
        let purpose = if account > 0 { Purpose::Wallet } else { Purpose::World };
        let (owner, asset) = (Owner::new(account.abs()), AssetId::new(asset));
        let key = AccountKey { owner, asset, purpose, stripe: 0 };
        let balance = Balance { posted, held };
        book.load_account(Account { id: id(account), key, version, balance }).unwrap();
        assert_eq!(book.account_id(&key), Some(id(account)));
    }
    for held in &naive.holds {
        book.load_hold(hold(held)).unwrap();
    }
    (book, naive)
}

fn hold(held: &Held) -> Hold {
    Hold {
        id: HoldId(held.id),
        account: id(held.account),
        subject: HoldSubject(held.id),
        amount: Amount::from_minor(held.amount).unwrap(),
        closed_by: held.closed_by.map(JobId),
    }
}

/// Everything that can be seen of the book is what the model says.
fn check(book: &Book, naive: &Naive) -> Result<(), TestCaseError> {
    for row in &naive.loaded {
        let account = book.account(id(row.0)).unwrap();
        let (posted, held) = (naive.posted(row.0), naive.held(row.0));
        prop_assert_eq!(account.balance, Balance { posted, held });
        prop_assert_eq!(account.version, naive.version(row.0));
        let open = naive.holds.iter().filter(|h| h.account == row.0 && h.closed_by.is_none());
        prop_assert_eq!(held, open.map(|h| h.amount).sum::<i128>());
        prop_assert!(row.0 < 0 || account.balance.available() >= 0);
    }
    for asset in 1..=3 {
        let of_asset = naive.loaded.iter().filter(|row| row.1 == asset);
        prop_assert_eq!(of_asset.map(|row| naive.posted(row.0)).sum::<i128>(), 0);
    }
    for held in &naive.holds {
        prop_assert_eq!(book.hold(HoldId(held.id)), Some(&hold(held)));
    }
    for missing in (1..30).filter(|&job| naive.holds.iter().all(|hold| hold.id != job)) {
        prop_assert_eq!(book.hold(HoldId(missing)), None);
    }
    check_changes(book, naive)
}

fn check_changes(book: &Book, naive: &Naive) -> Result<(), TestCaseError> {
    let changes = book.changes();
    prop_assert_eq!(changes.is_empty(), naive.lines.is_empty());
    prop_assert_eq!(changes.entries.len(), naive.lines.len());
    for (at, (entry, line)) in changes.entries.iter().zip(&naive.lines).enumerate() {
        let why = match entry.cause {
            Cause::Transfer { leg } => Why::Leg(usize::try_from(leg).unwrap()),
            Cause::HoldOpened(hold) => Why::Opened(hold.0),
            Cause::HoldClosed(hold) => Why::Closed(hold.0),
        };
        let (account, job) = (entry.account.get(), entry.job.0);
        let seen = Line { account, job, why, posted: entry.d_posted, held: entry.d_held };
        prop_assert_eq!(&seen, line);
        // What the entry says it left is what the lines up to it come to.
        let then = Naive { lines: naive.lines[..=at].to_vec(), ..naive.clone() };
        prop_assert_eq!(entry.posted, then.posted(account));
        prop_assert_eq!(entry.held, then.held(account));
        prop_assert_eq!(entry.version, then.version(account));
    }
    let mut transfers = vec![];
    for (at, transfer) in changes.transfers.iter().enumerate() {
        let before = naive.transfers[..at].iter().filter(|t| t.0 == transfer.job.0).count();
        prop_assert_eq!(usize::try_from(transfer.leg).unwrap(), before);
        let (debit, credit) = (transfer.debit.get(), transfer.credit.get());
        transfers.push((transfer.job.0, debit, credit, transfer.amount.minor()));
    }
    prop_assert_eq!(&transfers, &naive.transfers);
    let opened: Vec<Hold> = naive.holds.iter().filter(|h| !h.loaded).map(hold).collect();
    prop_assert_eq!(&changes.opened, &opened);
    let closed: Vec<(i64, i64)> = changes.closed.iter().map(|(h, job)| (h.0, job.0)).collect();
    prop_assert_eq!(&closed, &naive.closed);
    Ok(())
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let (mut book, mut naive) = start();
    let mut marks: Vec<(Mark, Book, Naive)> = vec![];
    for step in steps {
        let before = book.clone();
        let (seen, expected) = match step {
            Step::Transfer { job, debit, credit, amount } => {
                let exact = Amount::from_minor(amount).unwrap();
                let code = Code::Adjustment;
                let seen = book.transfer(JobId(job), code, id(debit), id(credit), exact);
                (said(&seen), naive.transfer(job, debit, credit, amount))
            }
            Step::Open { job, account, amount } => {
                let exact = Amount::from_minor(amount).unwrap();
                let seen = book.open_hold(JobId(job), id(account), HoldSubject(job), exact);
                (said(&seen), naive.open(job, account, amount))
            }
            Step::Close { job, hold } => {
                let seen = book.close_hold(JobId(job), HoldId(hold));
                if let Ok(amount) = seen {
                    prop_assert_eq!(Some(amount), before.hold(HoldId(hold)).map(|h| h.amount));
                }
                (said(&seen), naive.close(job, hold))
            }
            Step::Mark => {
                marks.push((book.mark(), book.clone(), naive.clone()));
                (Said::Done, Said::Done)
            }
            Step::Undo { which } => {
                if !marks.is_empty() {
                    marks.truncate(which % marks.len() + 1);
                    let (mark, then, model) = marks.last().unwrap();
                    book.undo(*mark);
                    prop_assert_eq!(&book, then);
                    naive = model.clone();
                }
                (Said::Done, Said::Done)
            }
        };
        prop_assert_eq!(&seen, &expected);
        if seen != Said::Done {
            prop_assert_eq!(&book, &before, "a failed step changes nothing");
        }
        check(&book, &naive)?;
    }
    let kept = book.changes().clone();
    prop_assert_eq!(book.into_changes(), kept);
    Ok(())
}

proptest! {
    #[test]
    fn the_book_agrees_with_the_naive_model(steps in collection::vec(step(), 0..120)) {
        run(steps)?;
    }
}
