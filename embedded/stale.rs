//! Takes away what a dead owner left because its leash was killed with it.

use std::fs;
use std::path::PathBuf;

use crate::Error;
use crate::account::Account;
use crate::leash::Leash;
use crate::place::{Place, large_files};

/// Removes the temporary homes whose leash is gone, and the servers that still live in them.
///
/// Each is put on a leash whose owner has already ended: what it does then is what the first leash
/// would have done. A home that resists is left for the next start and does not keep this one from
/// its work.
pub(crate) fn reclaim(account: Account) -> Result<(), Error> {
    let root = large_files();
    let entries = fs::read_dir(&root).map_err(Error::file("list", &root))?;
    let homes: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    for home in homes {
        let Some((place, lock)) = Place::abandoned(&home, account) else {
            continue;
        };
        tracing::info!(home = %home.display(), "removing what a dead owner left");
        let removed = Leash::fasten(place, lock, None, String::new(), true, account).and_then(Leash::release);
        if let Err(error) = removed {
            tracing::warn!(home = %home.display(), %error, "could not remove what a dead owner left");
        }
    }
    Ok(())
}
