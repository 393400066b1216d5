use super::Book;
use super::posting::remove;
use crate::changes::{Cause, Entry};

impl Book {
    /// Undoes the newest entry, which is already off the list.
    pub(super) fn take_back(&mut self, entry: &Entry) {
        if let Some(account) = self.accounts.get_mut(&entry.account) {
            debug_assert_eq!(account.version, entry.version, "entries come off newest first");
            remove(account, entry);
        }
        match entry.cause {
            Cause::Transfer { leg } => self.take_back_transfer(entry, leg),
            Cause::HoldOpened(id) => {
                self.holds.remove(&id);
                self.changes.opened.pop();
            }
            Cause::HoldClosed(id) => {
                let known = self.holds.get_mut(&id);
                let opened_at = known.and_then(|known| {
                    known.hold.closed_by = None;
                    known.opened_at
                });
                match opened_at.and_then(|at| self.changes.opened.get_mut(at)) {
                    Some(opened) => opened.closed_by = None,
                    None => {
                        self.changes.closed.pop();
                    }
                }
            }
        }
    }

    /// Both entries of a transfer come off; the transfer itself goes with the first of the two,
    /// the payer's, which is the last to come.
    fn take_back_transfer(&mut self, entry: &Entry, leg: i16) {
        if entry.d_posted > 0 {
            return;
        }
        self.changes.transfers.pop();
        if leg == 0 {
            self.legs.remove(&entry.job);
        } else {
            self.legs.insert(entry.job, leg);
        }
    }
}
