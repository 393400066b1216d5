//! What an owner can choose about a cluster, and the configuration file that follows from it.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::Error;

/// Where a cluster's data lives, and for how long.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Home {
    /// A new directory under `/var/tmp`, removed when the owner ends.
    Temporary,
    /// A directory that outlives its owner, created when missing; one owner at a time.
    ///
    /// A root owner cannot let Postgres write into an arbitrary directory, so its data lives in
    /// `/var/tmp/holdfast-kept-<hash of the path>` and this directory holds a file `location` that
    /// says so. Cleaners of `/var/tmp` may remove what was not used for a month.
    Persistent(PathBuf),
}

/// What an owner can choose about a cluster.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where the data lives.
    pub home: Home,
    /// Whether commits reach the disk before they are acknowledged. Only a test that never
    /// survives its machine may say no.
    pub fsync: bool,
    /// Further lines of `postgresql.conf`, by name and unquoted value. They win over the defaults,
    /// except over those that keep the cluster private.
    pub settings: Vec<(String, String)>,
    /// Whether a download shows a progress bar on standard error.
    pub progress: bool,
}

impl Options {
    /// A cluster that is gone when its owner is, with fsync on.
    pub fn temporary() -> Options {
        Options { home: Home::Temporary, fsync: true, settings: Vec::new(), progress: false }
    }

    /// A cluster that survives its owner in `directory`, with fsync on.
    pub fn persistent(directory: impl Into<PathBuf>) -> Options {
        Options { home: Home::Persistent(directory.into()), ..Options::temporary() }
    }

    /// Adds a line of `postgresql.conf`.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Options {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Gives up durability against a power cut for speed.
    #[must_use]
    pub fn without_fsync(mut self) -> Options {
        self.fsync = false;
        self
    }
}

/// The whole configuration file: it replaces the one that `initdb` wrote, so that the settings of a
/// persistent cluster are those of today's owner and not of the first.
pub(crate) fn configuration(options: &Options, sockets: &Path) -> Result<String, Error> {
    let name = sockets.file_name().unwrap_or_default().to_string_lossy();
    let sockets = sockets.to_string_lossy();
    let fsync = if options.fsync { "on" } else { "off" };
    let defaults = [
        ("max_connections", "100"),
        ("shared_buffers", "128MB"),
        ("fsync", fsync),
        ("logging_collector", "off"),
        ("log_min_messages", "warning"),
        ("log_timezone", "UTC"),
        ("timezone", "UTC"),
        ("lc_messages", "C"),
    ];
    // What the leash and the owner rely on.
    let fixed = [
        ("listen_addresses", ""),
        ("unix_socket_directories", sockets.as_ref()),
        ("unix_socket_permissions", "0700"),
        ("port", "5432"),
        ("cluster_name", name.as_ref()),
    ];
    let mut text = String::new();
    for (name, value) in defaults {
        line(&mut text, name, value)?;
    }
    for (name, value) in &options.settings {
        line(&mut text, name, value)?;
    }
    for (name, value) in fixed {
        line(&mut text, name, value)?;
    }
    Ok(text)
}

/// A later line of the same name wins, as Postgres reads it.
fn line(text: &mut String, name: &str, value: &str) -> Result<(), Error> {
    let sound = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
    if name.is_empty() || !name.chars().all(sound) || value.contains(['\n', '\r', '\0']) {
        return Err(Error::Setting { name: name.to_owned() });
    }
    let quoted = value.replace('\\', "\\\\").replace('\'', "''");
    writeln!(text, "{name} = '{quoted}'").map_err(|_| Error::Setting { name: name.to_owned() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Options, configuration};
    use std::path::Path;

    #[test]
    fn a_setting_of_the_owner_wins_unless_it_would_open_the_cluster() {
        let options =
            Options::temporary().without_fsync().with("shared_buffers", "1GB").with("search_path", r"it's \ here");
        let text = configuration(&options, Path::new("/tmp/holdfast-1")).unwrap();
        let last = |name: &str| {
            let start = format!("{name} = ");
            text.lines().rev().find_map(|line| line.strip_prefix(&start))
        };
        assert_eq!(last("unix_socket_directories"), Some("'/tmp/holdfast-1'"));
        assert_eq!(last("cluster_name"), Some("'holdfast-1'"));
        assert_eq!(last("listen_addresses"), Some("''"));
        assert_eq!(last("fsync"), Some("'off'"));
        assert_eq!(last("shared_buffers"), Some("'1GB'"));
        assert_eq!(last("search_path"), Some(r"'it''s \\ here'"));
    }

    #[test]
    fn a_setting_cannot_smuggle_in_another_line() {
        for (name, value) in [("fsync = off\nport", "1"), ("", "1"), ("port", "1\nfsync = off")] {
            let options = Options::temporary().with(name, value);
            assert!(configuration(&options, Path::new("/tmp/s")).is_err());
        }
    }
}
