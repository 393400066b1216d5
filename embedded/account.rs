//! The account that the server runs as: the owner's own, or for root an unprivileged one.

use std::fs;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::Error;

/// In the order of preference. An account of Postgres' own is shared with fewer strangers than
/// `nobody`; macOS puts an underscore before the names of its services.
const NAMES: [&str; 3] = ["postgres", "_postgres", "nobody"];

/// The account that the server runs as.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Account {
    pub(crate) uid: u32,
    gid: u32,
    /// Whether the owner is root and everything has to be handed over to this account.
    pub(crate) dropped: bool,
}

impl Account {
    pub(crate) fn choose() -> Result<Account, Error> {
        let uid = rustix::process::geteuid();
        if !uid.is_root() {
            return Ok(Account { uid: uid.as_raw(), gid: rustix::process::getegid().as_raw(), dropped: false });
        }
        let passwd = Path::new("/etc/passwd");
        let text = fs::read_to_string(passwd).map_err(Error::file("read", passwd))?;
        unprivileged(&text).ok_or_else(|| Error::NoAccount { names: NAMES.join(", ") })
    }

    /// Makes the command run as this account, in `/`, where every account may be.
    pub(crate) fn run(self, command: &mut Command) -> &mut Command {
        if self.dropped {
            command.uid(self.uid).gid(self.gid);
        }
        command.current_dir("/")
    }

    /// Hands a file or directory over to this account. A link is not followed.
    pub(crate) fn give(self, path: &Path) -> Result<(), Error> {
        if self.dropped {
            lchown(path, Some(self.uid), Some(self.gid)).map_err(Error::file("hand over", path))?;
        }
        Ok(())
    }
}

fn unprivileged(passwd: &str) -> Option<Account> {
    NAMES.iter().find_map(|name| {
        passwd.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            (uid != 0).then_some(Account { uid, gid, dropped: true })
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{Account, unprivileged};

    #[test]
    fn postgres_comes_before_nobody_and_root_never() {
        let both = "root:x:0:0::/:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n\
                    postgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";
        let account = |uid, gid| Account { uid, gid, dropped: true };
        assert_eq!(unprivileged(both), Some(account(101, 104)));
        assert_eq!(unprivileged("nobody:*:-2:-2::/:/bin/false\nnobody:*:99:98::/:/bin/false"), Some(account(99, 98)));
        assert_eq!(unprivileged("postgres:x:0:0::/:/bin/sh"), None);
        assert_eq!(unprivileged("postgresql:x:7:7::/:/bin/sh"), None);
    }
}
