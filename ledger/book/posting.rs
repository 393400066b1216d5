use crate::account::{Account, AccountId, Balance};
use crate::amount::Amount;
use crate::changes::{Cause, Entry, JobId};
use crate::error::BookError;

/// A rule: no account with a floor spends what it has not got.
pub(super) fn require_available(account: &Account, wanted: Amount) -> Result<(), BookError> {
    let available = account.balance.available();
    if account.id.has_floor() && available < wanted.minor() {
        return Err(BookError::Insufficient { available, wanted });
    }
    Ok(())
}

/// The entry that would follow on the account, which is left alone.
pub(super) fn next_entry(
    account: &Account,
    job: JobId,
    cause: Cause,
    d_posted: i128,
    d_held: i128,
) -> Result<Entry, BookError> {
    let overflow = BookError::Overflow { account: account.id };
    let version = account.version.checked_add(1).ok_or(overflow)?;
    let posted = account.balance.posted.checked_add(d_posted).ok_or(overflow)?;
    let held = account.balance.held.checked_add(d_held).ok_or(overflow)?;
    let after = Balance { posted, held };
    if !after.is_storable() {
        return Err(overflow);
    }
    debug_assert!(is_sound(account.id, after), "the operation has checked floor and holds");
    Ok(Entry { account: account.id, version, job, cause, d_posted, d_held, posted, held })
}

pub(super) fn append(account: &mut Account, entry: &Entry) {
    account.version = entry.version;
    account.balance = Balance { posted: entry.posted, held: entry.held };
}

/// Leaves the account as it was before its newest entry.
#[expect(clippy::arithmetic_side_effects, reason = "next_entry added these without overflow")]
pub(super) fn remove(account: &mut Account, entry: &Entry) {
    account.version = entry.version - 1;
    account.balance = Balance { posted: entry.posted - entry.d_posted, held: entry.held - entry.d_held };
    debug_assert!(is_sound(account.id, account.balance), "every earlier balance was sound");
}

/// What is true of every balance that ever was. Postgres checks the same on every entry.
pub(super) const fn is_sound(account: AccountId, balance: Balance) -> bool {
    balance.is_storable() && balance.held >= 0 && (!account.has_floor() || balance.available() >= 0)
}
