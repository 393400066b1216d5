//! What a worker remembers of what its batches left behind: enough to foresee what the next one will
//! decide, before it holds a lock on anything that batches share.

use jobs::{Desk, User, UserId, Want};
use ledger::{AccountId, AccountKey};
use rustc_hash::FxHashMap;

use crate::tables::account::{Heads, Ids};

/// How many accounts and how many people are remembered: some 120 bytes each.
const REMEMBERED_MAX: usize = 200_000;

/// What is remembered of accounts and people. Others may have changed all of it since: whoever decides
/// reads it again, under locks.
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) ids: Ids,
    pub(crate) heads: Heads,
    pub(crate) users: FxHashMap<UserId, User>,
}

impl Remembered {
    /// The ids of those accounts that a batch asks for.
    pub(crate) fn ids_for(&self, want: &Want) -> Ids {
        let keys = want.accounts.union(&want.existing);
        keys.filter_map(|key: &AccountKey| Some((*key, *self.ids.get(key)?))).collect()
    }

    /// What is remembered of what a batch asks for.
    pub(crate) fn of(&self, want: &Want, ids: &Ids) -> Self {
        let head = |id: &AccountId| Some((*id, *self.heads.get(id)?));
        let user = |id: &UserId| Some((*id, self.users.get(id)?.clone()));
        Self {
            ids: Ids::default(),
            heads: ids.values().filter_map(head).collect(),
            users: want.users.iter().filter_map(user).collect(),
        }
    }

    /// Takes in what a committed batch has seen and left behind.
    pub(crate) fn learn(&mut self, desk: &Desk, want: &Want, ids: Ids) {
        for id in ids.values() {
            if let Some(account) = desk.book.account(*id) {
                self.heads.insert(*id, (account.version, account.balance));
            }
        }
        for id in &want.users {
            if let Some(user) = desk.users.get(id) {
                self.users.insert(*id, user.clone());
            }
        }
        self.ids.extend(ids);
    }

    /// Forgets what has become too much.
    pub(crate) fn trim(&mut self) {
        if self.ids.len() > REMEMBERED_MAX || self.users.len() > REMEMBERED_MAX {
            *self = Self::default();
        }
    }
}
