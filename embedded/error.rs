//! What can go wrong with a private Postgres, worded for the person who started it.

use std::io;
use std::path::PathBuf;

/// Why a private Postgres could not be found, fetched, started or stopped.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Nothing is installed, nothing is cached and no archive could be used.
    #[error(
        "no usable Postgres {oldest} or newer is installed, {reason}; install one:\n  \
         Debian, Ubuntu: sudo apt-get install postgresql\n  \
         Fedora:         sudo dnf install postgresql-server\n  \
         macOS:          brew install postgresql@17"
    )]
    NotInstalled {
        /// The oldest major version that would do.
        oldest: u32,
        /// What was tried instead of an installed one.
        reason: String,
        /// Why the last download failed, when one was tried.
        source: Option<Box<Error>>,
    },
    /// A persistent cluster was written by a version that is not installed any more.
    #[error("{home} holds data of Postgres {major}, which is not installed: install it, or move the directory away to begin anew", home = home.display())]
    VersionGone {
        /// The cluster's home.
        home: PathBuf,
        /// The major version that wrote it.
        major: u32,
    },
    /// An archive could not be downloaded.
    #[error("could not download {url}")]
    Download {
        /// The address that was asked.
        url: String,
        /// What the HTTP client reported.
        source: reqwest::Error,
    },
    /// A download did not end where every archive does.
    #[error("{url} is larger than {bytes_max} bytes")]
    TooLarge {
        /// The address that was asked.
        url: String,
        /// The largest archive that is accepted, in bytes.
        bytes_max: u64,
    },
    /// What was downloaded is not what was pinned. Nothing of it was unpacked.
    #[error("{url} has the SHA-256 {found}, expected {expected}")]
    Checksum {
        /// The address that was asked.
        url: String,
        /// The hash of what arrived, in hexadecimal.
        found: String,
        /// The pinned hash, in hexadecimal.
        expected: String,
    },
    /// Root needs an account to give to Postgres, and there is none.
    #[error("Postgres does not run as root, and none of the accounts {names} exists")]
    NoAccount {
        /// The names that were looked up.
        names: String,
    },
    /// The directory is another owner's, and that owner lives.
    #[error("{home} is in use by process {pid}", home = home.display())]
    InUse {
        /// The cluster's home.
        home: PathBuf,
        /// The process that owns the running cluster.
        pid: u32,
    },
    /// A previous owner is gone, but its server did not end in time.
    #[error("the previous server in {home} has not ended after {seconds} s", home = home.display())]
    StillEnding {
        /// The cluster's home.
        home: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// A directory that should be private is a link, another user's, or open to others.
    #[error("{path} is not a private directory of this user: {reason}", path = path.display())]
    Untrusted {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The path of the socket would not fit what the operating system allows.
    #[error("the socket path {path} is longer than {bytes_max} bytes", path = path.display())]
    SocketPath {
        /// The path of the socket file.
        path: PathBuf,
        /// The longest path allowed, in bytes.
        bytes_max: usize,
    },
    /// A setting's name or value cannot stand in a configuration file.
    #[error("the setting {name:?} cannot stand in postgresql.conf")]
    Setting {
        /// The name as given.
        name: String,
    },
    /// `initdb` or `postgres` gave up.
    #[error("{what} failed; the end of its log:\n{log}")]
    Server {
        /// Which step failed.
        what: &'static str,
        /// The last lines of the log.
        log: String,
    },
    /// Postgres neither accepted connections nor ended in time.
    #[error("Postgres did not accept connections within {seconds} s; the end of its log:\n{log}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The last lines of the log.
        log: String,
    },
    /// The leash ended or answered what it should not: the cluster is beyond control.
    #[error("the leash of {home} is lost: {reason}", home = home.display())]
    Leash {
        /// The cluster's home.
        home: PathBuf,
        /// What was seen.
        reason: String,
    },
    /// The operating system refused something.
    #[error("could not {what} {path}", path = path.display())]
    File {
        /// What was tried, as a verb.
        what: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Error {
    /// The context of a failed file operation, for `map_err`.
    pub(crate) fn file(what: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Error {
        let path = path.into();
        move |source| Error::File { what, path, source }
    }
}
