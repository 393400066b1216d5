use chrono::{DateTime, Utc};
use ledger::{AccountId, AccountKey, AssetId, Book, Mark, Owner, Purpose};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::deposit_credit::{Deposit, Fact};
use crate::ids::{InboxId, PaymentKey, TradeId, UserId};
use crate::people::User;
use crate::rows::Rows;
use crate::terms::Assets;
use crate::trade::Trade;

/// What a batch has loaded and decides on. Fields and no rules: the rules are in the kinds.
#[derive(Clone, Debug)]
pub struct Desk {
    /// `clock()` of the transaction.
    pub now: DateTime<Utc>,
    /// Which stripe of the house accounts this batch uses.
    pub stripe: i16,
    /// The registry of assets.
    pub assets: Assets,
    /// Accounts, holds and what was done to them.
    pub book: Book,
    /// People.
    pub users: Rows<UserId, User>,
    /// Trades.
    pub trades: Rows<TradeId, Trade>,
    /// Deposits.
    pub deposits: Rows<PaymentKey, Deposit>,
    /// What the callbacks say, or why they say nothing; verified when they were loaded.
    pub inbox: FxHashMap<InboxId, Result<Fact, String>>,
    /// Jobs that ended without bringing the trade into being that a later job names.
    pub never_opened: FxHashSet<TradeId>,
}

/// A moment of a desk, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct DeskMark {
    book: Mark,
    users: usize,
    trades: usize,
    deposits: usize,
}

impl Desk {
    /// An empty desk.
    pub fn new(now: DateTime<Utc>, stripe: i16, assets: Assets) -> Self {
        Self {
            now,
            stripe,
            assets,
            book: Book::new(),
            users: Rows::default(),
            trades: Rows::default(),
            deposits: Rows::default(),
            inbox: FxHashMap::default(),
            never_opened: FxHashSet::default(),
        }
    }

    /// The key of a person's wallet.
    pub const fn wallet(user: UserId, asset: AssetId) -> AccountKey {
        AccountKey { owner: Owner::new(user.0), asset, purpose: Purpose::Wallet, stripe: 0 }
    }

    /// The key of what a person owes.
    pub const fn receivable(user: UserId, asset: AssetId) -> AccountKey {
        AccountKey { owner: Owner::new(user.0), asset, purpose: Purpose::Receivable, stripe: 0 }
    }

    /// The key of the house account for a purpose that this batch uses.
    pub const fn house(&self, asset: AssetId, purpose: Purpose) -> AccountKey {
        AccountKey { owner: Owner::HOUSE, asset, purpose, stripe: self.stripe }
    }

    /// The id of an account that the batch asked for.
    ///
    /// # Errors
    /// The verdict that parks the job, if the account was not loaded.
    pub fn account(&self, key: AccountKey) -> Result<AccountId, crate::kind::Verdict> {
        self.book
            .account_id(&key)
            .ok_or_else(|| crate::kind::Verdict::contradiction(format!("account {key:?} was not loaded")))
    }

    /// A moment to go back to. The driver marks before each job.
    pub fn mark(&self) -> DeskMark {
        DeskMark {
            book: self.book.mark(),
            users: self.users.mark(),
            trades: self.trades.mark(),
            deposits: self.deposits.mark(),
        }
    }

    /// Undoes everything since the mark.
    pub fn undo(&mut self, mark: DeskMark) {
        self.book.undo(mark.book);
        self.users.undo(mark.users);
        self.trades.undo(mark.trades);
        self.deposits.undo(mark.deposits);
    }
}
