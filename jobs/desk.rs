use chrono::{DateTime, Utc};
use ledger::{AccountId, AccountKey, AssetId, Book, Mark, Owner, Purpose};
use rustc_hash::{FxHashMap, FxHashSet};

mod cause;
mod rows;
#[macro_use]
mod tables;

use crate::ids::{self, InboxId, PrincipalId, TradeId, UserId};
use crate::job::{Job, Verdict};
use crate::rows as stored;
use crate::rows::deposit::{Fact, Unread};
use crate::rows::people::Principal;
use crate::rules::Rules;
use crate::subject::Subject;
use crate::terms::Assets;

pub use cause::Cause;
pub use rows::{Changed, Log, Rows};

/// Makes the desk and what a batch may want of the tables that are declared.
macro_rules! desk {
    (
        loaded { $($(#[$rows_doc:meta])* $rows:ident in $rows_table:ident: $rows_key:ty => $row:ty,)+ }
        appended { $($(#[$log_doc:meta])* $log:ident in $log_table:ident: $log_key:ty => $entry:ty,)+ }
    ) => {
        /// What a batch has loaded and decides on. Fields and no rules: the rules are in the kinds.
        #[derive(Clone, Debug)]
        pub struct Desk {
            /// `clock()` of the transaction.
            pub now: DateTime<Utc>,
            /// Which stripe of the house accounts this batch uses.
            pub stripe: i16,
            /// The registry of assets.
            pub assets: Assets,
            /// What an operator may set.
            pub rules: Rules,
            /// Accounts, holds and what was done to them.
            pub book: Book,
            /// Jobs that this batch causes, recorded by the commit that makes its effects durable.
            pub causes: Vec<Cause>,
            /// Who decides.
            pub principals: FxHashMap<PrincipalId, Principal>,
            /// Trades about which something that was received by their deadline is still queued or parked,
            /// other than in this batch.
            pub pending: FxHashSet<TradeId>,
            /// What the callbacks say, or why they say nothing; verified when they were loaded.
            pub inbox: FxHashMap<InboxId, Result<Fact, Unread>>,
            /// Jobs that are to bring a person or a trade into being which was not there when it was
            /// looked for: queued still, or settled just now.
            pub awaited: FxHashSet<i64>,
            /// Jobs that were refused, so that what they would have made will never be.
            pub refused: FxHashSet<i64>,
            $($(#[$rows_doc])* pub $rows: Rows<$rows_key, $row>,)+
            $($(#[$log_doc])* pub $log: Log<$log_key, $entry>,)+
        }

        /// A moment of a desk, to go back to.
        #[derive(Clone, Copy, Debug)]
        pub struct DeskMark {
            book: Mark,
            causes: usize,
            $($rows: usize,)+
            $($log: usize,)+
        }

        impl Desk {
            /// An empty desk.
            pub fn new(now: DateTime<Utc>, stripe: i16, assets: Assets, rules: Rules) -> Self {
                Self {
                    now,
                    stripe,
                    assets,
                    rules,
                    book: Book::new(),
                    causes: Vec::new(),
                    principals: FxHashMap::default(),
                    pending: FxHashSet::default(),
                    inbox: FxHashMap::default(),
                    awaited: FxHashSet::default(),
                    refused: FxHashSet::default(),
                    $($rows: Rows::empty(),)+
                    $($log: Log::empty(),)+
                }
            }

            /// A moment to go back to. The driver marks before each job.
            pub fn mark(&self) -> DeskMark {
                DeskMark {
                    book: self.book.mark(),
                    causes: self.causes.len(),
                    $($rows: self.$rows.mark(),)+
                    $($log: self.$log.mark(),)+
                }
            }

            /// Undoes everything since the mark.
            pub fn undo(&mut self, mark: DeskMark) {
                self.book.undo(mark.book);
                self.causes.truncate(mark.causes);
                $(self.$rows.undo(mark.$rows);)+
                $(self.$log.undo(mark.$log);)+
            }
        }

        /// What a batch asks to be loaded. Sets: naming a row twice costs nothing.
        #[derive(Clone, Debug, Default)]
        pub struct Want {
            $($(#[$rows_doc])* pub $rows: FxHashSet<$rows_key>,)+
            /// Callbacks; the deposits that they speak of are loaded with them.
            pub inbox: FxHashSet<InboxId>,
            /// Trades that may expire: whether anything that was received in time is still on its way.
            pub expiring: FxHashSet<TradeId>,
            /// Principals that decide on other people's money.
            pub principals: FxHashSet<PrincipalId>,
            /// People who may be changed; locked after the accounts, and read with the others.
            pub flagged: FxHashSet<UserId>,
            /// Accounts that are made if they are missing; locked last.
            pub accounts: FxHashSet<AccountKey>,
            /// Accounts that matter only if they exist; locked.
            pub existing: FxHashSet<AccountKey>,
        }
    };
}

each_table!(desk);

impl Desk {
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
        Self::house_stripe(asset, purpose, self.stripe)
    }

    /// The key of a certain stripe of the house account for a purpose.
    pub const fn house_stripe(asset: AssetId, purpose: Purpose, stripe: i16) -> AccountKey {
        AccountKey { owner: Owner::HOUSE, asset, purpose, stripe }
    }

    /// The id of an account that the batch asked for.
    ///
    /// # Errors
    /// The verdict that parks the job, if the account was not loaded.
    pub fn account(&self, key: AccountKey) -> Result<AccountId, Verdict> {
        self.book.account_id(&key).ok_or_else(|| Verdict::contradiction(format!("account {key:?} was not loaded")))
    }

    /// The asset that a loaded trade or withdrawal is of.
    pub fn asset_of(&self, subject: Subject) -> Option<AssetId> {
        match subject {
            Subject::Trade(id) => self.trades.get(&id).map(|trade| trade.asset),
            Subject::Withdrawal(id) => self.withdrawals.get(&id).map(|withdrawal| withdrawal.asset),
            Subject::Person(_) | Subject::Payment(_) | Subject::Job(_) => None,
        }
    }

    /// Whether this principal may decide on other people's money.
    pub fn operates(&self, principal: PrincipalId) -> bool {
        self.principals.get(&principal).is_some_and(|principal| principal.operates)
    }

    /// Whether a person who is not there is about to be: the verdict is to wait for them then.
    ///
    /// Whoever is waited for was asked for before: so nobody can wait for themselves, in a circle
    /// or for ever.
    pub fn await_user(&self, user: UserId, job: &Job) -> Option<Verdict> {
        (user.0 < job.id.0 && self.users.get(&user).is_none() && self.awaited.contains(&user.0))
            .then(|| job.later("the person's registration has not settled yet"))
    }
}
