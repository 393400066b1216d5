use ledger::AccountKey;
use rustc_hash::FxHashSet;

use crate::ids::{InboxId, JobRef, TradeId, UserId};
use crate::pause::PauseKey;

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
    /// People; read after the accounts are locked.
    pub users: FxHashSet<UserId>,
    /// Accounts that are made if they are missing; locked.
    pub accounts: FxHashSet<AccountKey>,
    /// Accounts that matter only if they exist; locked.
    pub existing: FxHashSet<AccountKey>,
}
