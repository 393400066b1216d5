use chrono::{DateTime, Utc};
use ledger::{AccountId, AccountKey, AssetId, Book, JobId, Mark, Owner, Purpose};
use rustc_hash::{FxHashMap, FxHashSet};

use crate::cause::Cause;
use crate::deposit_credit::{Deposit, Fact, Unread};
use crate::ids::{InboxId, PaymentKey, PrincipalId, TradeId, UserId, WithdrawalId};
use crate::kind::{Job, Verdict};
use crate::operating::{Operating, OperatingMark};
use crate::people::{Flagged, Principal, User};
use crate::referral::{Commission, Referral};
use crate::rows::Rows;
use crate::rules::Rules;
use crate::terms::Assets;
use crate::trade::Trade;
use crate::withdrawal::{Approval, Day, DayKey, Withdrawal};

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
    /// People.
    pub users: Rows<UserId, User>,
    /// Trades.
    pub trades: Rows<TradeId, Trade>,
    /// Deposits.
    pub deposits: Rows<PaymentKey, Deposit>,
    /// What operators' jobs decide on.
    pub operating: Operating,
    /// Withdrawals.
    pub withdrawals: Rows<WithdrawalId, Withdrawal>,
    /// Approvals that this batch gives.
    pub approvals: Rows<JobId, Approval>,
    /// What is used of the days' limits.
    pub days: Rows<DayKey, Day>,
    /// What operators set on people.
    pub flags: Rows<JobId, Flagged>,
    /// Who decides.
    pub principals: FxHashMap<PrincipalId, Principal>,
    /// Who shares in the fees of a trade: fixed when it was locked.
    pub referrals: Rows<TradeId, Vec<Referral>>,
    /// What was paid to referrers.
    pub commissions: Rows<JobId, Commission>,
    /// Jobs that this batch causes, recorded by the commit that makes its effects durable.
    pub causes: Vec<Cause>,
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
}

/// A moment of a desk, to go back to.
#[derive(Clone, Copy, Debug)]
pub struct DeskMark {
    book: Mark,
    users: usize,
    trades: usize,
    deposits: usize,
    operating: OperatingMark,
    referrals: usize,
    commissions: usize,
    causes: usize,
    withdrawals: usize,
    approvals: usize,
    days: usize,
    flags: usize,
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
            users: Rows::default(),
            trades: Rows::default(),
            deposits: Rows::default(),
            operating: Operating::default(),
            withdrawals: Rows::default(),
            approvals: Rows::default(),
            days: Rows::default(),
            flags: Rows::default(),
            principals: FxHashMap::default(),
            referrals: Rows::default(),
            commissions: Rows::default(),
            causes: Vec::new(),
            pending: FxHashSet::default(),
            inbox: FxHashMap::default(),
            awaited: FxHashSet::default(),
            refused: FxHashSet::default(),
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

    /// Whether this principal may decide on other people's money.
    pub fn operates(&self, principal: PrincipalId) -> bool {
        self.principals.get(&principal).is_some_and(|principal| principal.operates)
    }

    /// Whether a person who is not there is about to be: the verdict is to wait for them then.
    pub fn await_user(&self, user: UserId, job: &Job) -> Option<Verdict> {
        (self.users.get(&user).is_none() && self.awaited.contains(&user.0))
            .then(|| job.later("the person's registration has not settled yet"))
    }

    /// A moment to go back to. The driver marks before each job.
    pub fn mark(&self) -> DeskMark {
        DeskMark {
            book: self.book.mark(),
            users: self.users.mark(),
            trades: self.trades.mark(),
            deposits: self.deposits.mark(),
            operating: self.operating.mark(),
            referrals: self.referrals.mark(),
            commissions: self.commissions.mark(),
            causes: self.causes.len(),
            withdrawals: self.withdrawals.mark(),
            approvals: self.approvals.mark(),
            days: self.days.mark(),
            flags: self.flags.mark(),
        }
    }

    /// Undoes everything since the mark.
    pub fn undo(&mut self, mark: DeskMark) {
        self.book.undo(mark.book);
        self.users.undo(mark.users);
        self.trades.undo(mark.trades);
        self.deposits.undo(mark.deposits);
        self.operating.undo(mark.operating);
        self.referrals.undo(mark.referrals);
        self.commissions.undo(mark.commissions);
        self.causes.truncate(mark.causes);
        self.withdrawals.undo(mark.withdrawals);
        self.approvals.undo(mark.approvals);
        self.days.undo(mark.days);
        self.flags.undo(mark.flags);
    }
}
