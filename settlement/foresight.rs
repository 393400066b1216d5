//! What a worker remembers of what its batches left behind: enough to foresee what the next one will
//! decide, before it holds a lock on anything that batches share.

use chrono::{DateTime, Utc};
use jobs::{User, UserId, Want};
use ledger::{AccountId, AccountKey};
use outbox::Moment;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::recent::Recent;
use crate::tables::account::{Head, Heads, Ids};
use crate::within::Seen;

/// Stands for how often people were changed where that is not known.
const UNKNOWN: i64 = -1;

/// So many connections are noted at most.
const CONNECTIONS_MAX: usize = 64;

/// Since when nothing was forgotten.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Since(u64);

/// A server's start and its process at the other end of a connection.
type Connection = (DateTime<Utc>, i32);

/// What a batch takes to be so without reading it, and what is to show that it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Known {
    /// The next entry of each of these accounts shows it, and [`crate::tables::account::are_newest`].
    pub(crate) heads: Heads,
    /// They are as they were as long as nobody was changed.
    pub(crate) users: FxHashMap<UserId, User>,
    /// How often anybody had been changed when they were read; `None` if that is not to be asked.
    pub(crate) user_changes: Option<i64>,
}

/// What is remembered of accounts and people. Others may have changed all of it since: whoever decides
/// reads it again, under locks, or has the database refuse what would rest on anything else
/// (decision 17).
#[derive(Clone, Debug, Default)]
pub(crate) struct Remembered {
    pub(crate) ids: Recent<AccountKey, AccountId>,
    heads: Recent<AccountId, Head>,
    users: Recent<UserId, User>,
    /// How often anybody had been changed, as each of them was read with that count.
    user_changes: i64,
    connections: FxHashSet<Connection>,
    since: Since,
}

impl Remembered {
    /// Takes note of the connection of a batch that begins. Over a new one everything is forgotten: there may
    /// be another server at its end, or the same one after a crash, and it may have lost what was committed
    /// last. What is remembered is one server's: connections to another one count as new from then on.
    pub(crate) fn meet(&mut self, moment: &Moment) -> Since {
        let (server, process) = (moment.server_started, moment.backend);
        if !self.connections.contains(&(server, process)) {
            let mut connections = std::mem::take(&mut self.connections);
            connections.retain(|(other, _)| *other == server);
            if connections.len() >= CONNECTIONS_MAX {
                connections.clear();
            }
            connections.insert((server, process));
            self.forget();
            self.connections = connections;
        }
        self.since
    }

    /// Forgets everything; what batches in hand have seen is not taken in either.
    pub(crate) fn forget(&mut self) {
        let since = Since(self.since.0.wrapping_add(1));
        *self = Self { since, user_changes: UNKNOWN, ..Self::default() };
    }

    /// What is remembered of the people that a batch asks for, and of the accounts if it `trusts` the balances;
    /// nothing if anything was forgotten since it began.
    pub(crate) fn known(&self, since: Since, want: &Want, ids: &Ids, trusts: bool) -> Known {
        if since != self.since {
            return Known { user_changes: Some(UNKNOWN), ..Known::default() };
        }
        let head = |id: &AccountId| Some((*id, *self.heads.get(id)?));
        let user = |id: &UserId| Some((*id, self.users.get(id)?.clone()));
        Known {
            heads: if trusts { ids.values().filter_map(head).collect() } else { Heads::default() },
            users: want.users.iter().filter_map(user).collect(),
            user_changes: Some(self.user_changes),
        }
    }

    /// The ids of those accounts that a batch asks for.
    pub(crate) fn ids_for(&self, want: &Want) -> Ids {
        let keys = want.accounts.union(&want.existing);
        keys.filter_map(|key: &AccountKey| Some((*key, *self.ids.get(key)?))).collect()
    }

    /// Takes in what a committed batch has seen and left behind, if nothing was forgotten since it began.
    pub(crate) fn learn(&mut self, seen: Seen) {
        let Seen { desk, want, ids, since, user_changes } = seen;
        if since != self.since {
            return;
        }
        if let Some(changes) = user_changes.filter(|changes| *changes != self.user_changes) {
            self.users.clear();
            self.user_changes = changes;
        }
        for id in ids.values() {
            if let Some(account) = desk.book.account(*id) {
                self.heads.insert(*id, (account.version, account.balance));
            }
        }
        // Who was read without that count may have been changed before it came to what it is now.
        if user_changes == Some(self.user_changes) {
            for id in &want.users {
                if let Some(user) = desk.users.get(id) {
                    self.users.insert(*id, user.clone());
                }
            }
        }
        self.ids.extend(ids);
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, TimeDelta};
    use outbox::Moment;

    use super::Remembered;

    fn moment(server: i64, backend: i32) -> Moment {
        let now = DateTime::UNIX_EPOCH;
        let server_started = now.checked_add_signed(TimeDelta::seconds(server)).unwrap_or(now);
        Moment { now, paused: Vec::new(), oldest_binary: 1, put_off: false, waiting: false, backend, server_started }
    }

    #[test]
    fn what_is_remembered_is_one_servers() {
        let mut remembered = Remembered::default();
        let first = remembered.meet(&moment(1, 10));
        assert_eq!(remembered.meet(&moment(1, 10)), first);
        let both = remembered.meet(&moment(1, 11));
        assert_ne!(both, first, "there may have been a crash in between");
        assert_eq!(remembered.meet(&moment(1, 10)), both);
        assert_eq!(remembered.meet(&moment(1, 11)), both);
        let other = remembered.meet(&moment(2, 10));
        assert_ne!(other, both);
        assert_ne!(remembered.meet(&moment(1, 11)), other, "it leads elsewhere");
    }
}
