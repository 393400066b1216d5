use ledger::AccountKey;
use rustc_hash::FxHashSet;

use crate::ids::{InboxId, JobRef, PrincipalId, TradeId, UserId, WithdrawalId};
use crate::pause::PauseKey;
use crate::withdrawal::DayKey;

/// What a batch asks to be loaded. Sets: naming a row twice costs nothing.
#[derive(Clone, Debug, Default)]
pub struct Want {
    /// Pauses; locked.
    pub pauses: FxHashSet<PauseKey>,
    /// Parked jobs, with the decisions about them; locked.
    pub parked: FxHashSet<JobRef>,
    /// Callbacks; the deposits that they speak of are loaded with them.
    pub inbox: FxHashSet<InboxId>,
    /// Trades, with their holds; locked.
    pub trades: FxHashSet<TradeId>,
    /// Trades whose fees may be shared; what was fixed at their lock is loaded.
    pub referrals: FxHashSet<TradeId>,
    /// Trades that may expire: whether anything that was received in time is still on its way.
    pub expiring: FxHashSet<TradeId>,
    /// Withdrawals, with their approvals; locked.
    pub withdrawals: FxHashSet<WithdrawalId>,
    /// Days of withdrawal limits; read under the locks of the accounts.
    pub days: FxHashSet<DayKey>,
    /// Principals that decide on other people's money.
    pub principals: FxHashSet<PrincipalId>,
    /// People who may be changed; locked after the accounts, and read with the others.
    pub flagged: FxHashSet<UserId>,
    /// People; read after the accounts are locked.
    pub users: FxHashSet<UserId>,
    /// Accounts that are made if they are missing; locked last.
    pub accounts: FxHashSet<AccountKey>,
    /// Accounts that matter only if they exist; locked.
    pub existing: FxHashSet<AccountKey>,
}
