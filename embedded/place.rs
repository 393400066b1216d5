//! The directories of a cluster, and the lock that says whose they are.
//!
//! `/tmp` and `/var/tmp` are writable by everyone, so a directory there is created for its account
//! alone, under a name that nobody can foresee, and one that is found there is trusted only if it
//! is a real directory of that account that nobody else may enter.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use crate::Error;
use crate::account::Account;

/// What the operating system allows for the path of a socket: 104 bytes on macOS with its final
/// zero, a few more on Linux.
const SOCKET_BYTES_MAX: usize = 100;

/// How long a leash may take to end a server that has to write its last checkpoint.
const ENDING_MAX: Duration = Duration::from_mins(1);

/// How long a living owner may have let go of a cluster without its leash having noticed yet.
const NOTICE_MAX: Duration = Duration::from_millis(500);

/// The names of temporary homes begin with this, and nothing else does.
const TEMPORARY_PREFIX: &str = "holdfast-tmp-";

/// How long a cluster's home lives.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lifetime {
    /// As long as its owner.
    Temporary,
    /// Until someone removes it.
    Persistent,
}

/// The directories of one cluster.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) home: PathBuf,
    pub(crate) sockets: PathBuf,
    pub(crate) lifetime: Lifetime,
}

/// The lock on a home. The leash inherits it as its standard error and alone keeps it, so it is
/// held exactly as long as the leash lives; what the leash has to say goes into the file.
pub(crate) struct Lock(pub(crate) File);

impl Place {
    pub(crate) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    fn lock_file(&self) -> PathBuf {
        self.home.join("leash.log")
    }

    /// Makes a home that nobody has had before.
    pub(crate) fn temporary(account: Account) -> Result<(Place, Lock), Error> {
        loop {
            let id = format!("{:012x}", rand::random::<u64>() >> 16);
            let place = Place {
                home: large_files().join(format!("{TEMPORARY_PREFIX}{id}")),
                sockets: sockets(&id)?,
                lifetime: Lifetime::Temporary,
            };
            if !create_private(&place.home, account)? {
                continue;
            }
            // Between its creation and its locking, a home looks like a dead owner's and another
            // process may have begun to remove it. Such a home is left to that process.
            match place.try_lock(account)? {
                Some(lock) if create_private(&place.sockets, account)? => {
                    return Ok((place, lock));
                }
                Some(_) | None => {}
            }
        }
    }

    /// Opens or makes a home that outlives its owner, and waits for the server of a dead owner to
    /// be gone from it.
    pub(crate) fn persistent(asked: &Path, account: Account) -> Result<(Place, Lock), Error> {
        let (asked, home, id) = kept(asked, account)?;
        if account.dropped {
            open_private(&home, account)?;
            let pointer = asked.join("location");
            fs::write(&pointer, format!("{}\n", home.display())).map_err(Error::file("write", pointer))?;
        }
        // The directory must not be committed by accident, wherever it is put.
        let ignore = asked.join(".gitignore");
        fs::write(&ignore, "*\n").map_err(Error::file("write", ignore))?;
        let place = Place { home, sockets: sockets(&id)?, lifetime: Lifetime::Persistent };
        let lock = place.lock_in_time(account)?;
        open_private(&place.sockets, account)?;
        let old = place.home.join("postgres.log.old");
        match fs::rename(place.log(), &old) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(Error::file("write", old)(source)),
            _ => Ok((place, lock)),
        }
    }

    /// The major version that wrote the data of a persistent home, if there are any.
    pub(crate) fn written_by(asked: &Path, account: Account) -> Result<Option<u32>, Error> {
        let (_, home, _) = kept(asked, account)?;
        let path = home.join("data").join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim_end().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::file("read", path)(source)),
        }
    }

    /// Takes the lock of a temporary home whose leash is gone: nobody else will remove it.
    ///
    /// Returns none for a home that is in use, and for one that this account has no business with.
    pub(crate) fn abandoned(home: &Path, account: Account) -> Option<(Place, Lock)> {
        let id = home.file_name()?.to_str()?.strip_prefix(TEMPORARY_PREFIX)?;
        if id.len() != 12 || !id.bytes().all(|c| c.is_ascii_hexdigit()) {
            return None;
        }
        check_private(home, account).ok()?;
        let place = Place { home: home.to_owned(), sockets: sockets(id).ok()?, lifetime: Lifetime::Temporary };
        let lock = place.try_lock(account).ok()??;
        Some((place, lock))
    }

    fn lock_in_time(&self, account: Account) -> Result<Lock, Error> {
        let began = Instant::now();
        loop {
            if let Some(lock) = self.try_lock(account)? {
                return Ok(lock);
            }
            let holder = Holder::read(&self.lock_file());
            if !holder.ending && began.elapsed() > NOTICE_MAX && holder.lives() {
                return Err(Error::InUse { home: self.home.clone(), pid: holder.pid });
            }
            if began.elapsed() > ENDING_MAX {
                return Err(Error::StillEnding { home: self.home.clone(), seconds: ENDING_MAX.as_secs() });
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Takes the lock if it is free, and writes down who holds it.
    fn try_lock(&self, account: Account) -> Result<Option<Lock>, Error> {
        let path = self.lock_file();
        let opened = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .custom_flags(flags(OFlags::NOFOLLOW))
            .open(&path);
        let mut file = match opened {
            Ok(file) => file,
            // Whoever removes an abandoned home has got further than this process.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.lifetime == Lifetime::Temporary => {
                return Ok(None);
            }
            Err(source) => return Err(Error::file("open", path)(source)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(source)) => return Err(Error::file("lock", path)(source)),
        }
        // A lock on a file that has been removed meanwhile keeps nobody out.
        let held = file.metadata().map_err(Error::file("read", &path))?;
        match fs::symlink_metadata(&path) {
            Ok(found) if found.ino() == held.ino() && found.dev() == held.dev() => {}
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::file("read", path)(source)),
        }
        account.give(&path)?;
        file.set_len(0)
            .and_then(|()| file.seek(SeekFrom::Start(0)))
            .and_then(|_| writeln!(file, "owner {}", std::process::id()))
            .map_err(Error::file("write", path))?;
        Ok(Some(Lock(file)))
    }
}

/// What a lock file says of the one who holds it.
struct Holder {
    pid: u32,
    ending: bool,
}

impl Holder {
    /// A file that says nothing yet is that of an owner at its very beginning.
    fn read(path: &Path) -> Holder {
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(4096).read_to_string(&mut text));
        if let Err(error) = read {
            tracing::debug!(%error, path = %path.display(), "cannot read who holds the lock");
        }
        let pid = text.lines().find_map(|line| line.strip_prefix("owner ")?.parse().ok());
        Holder { pid: pid.unwrap_or(0), ending: text.lines().any(|line| line == "ending") }
    }

    fn lives(&self) -> bool {
        let pid = i32::try_from(self.pid).ok();
        pid.and_then(rustix::process::Pid::from_raw)
            .is_none_or(|pid| rustix::process::test_kill_process(pid) != Err(rustix::io::Errno::SRCH))
    }
}

/// Where the homes are: a directory that outlives a reboot and is not in memory.
pub(crate) fn large_files() -> PathBuf {
    let usual = Path::new("/var/tmp");
    if usual.is_dir() { usual } else { Path::new("/tmp") }.to_owned()
}

/// The directory that was asked for, created when missing; the home that stands for it; and an id
/// that is the same at every start, so that a client's saved address stays right.
fn kept(asked: &Path, account: Account) -> Result<(PathBuf, PathBuf, String), Error> {
    fs::create_dir_all(asked).map_err(Error::file("create", asked))?;
    let asked = fs::canonicalize(asked).map_err(Error::file("resolve", asked))?;
    let mut id = hex::encode(Sha256::digest(asked.as_os_str().as_bytes()));
    id.truncate(12);
    let home = if account.dropped { large_files().join(format!("holdfast-kept-{id}")) } else { asked.clone() };
    Ok((asked, home, id))
}

fn sockets(id: &str) -> Result<PathBuf, Error> {
    let directory = Path::new("/tmp").join(format!("holdfast-{id}"));
    let path = directory.join(".s.PGSQL.5432");
    if path.as_os_str().len() > SOCKET_BYTES_MAX {
        return Err(Error::SocketPath { path, bytes_max: SOCKET_BYTES_MAX });
    }
    Ok(directory)
}

/// Creates a directory for one account alone; false if the name is taken.
fn create_private(path: &Path, account: Account) -> Result<bool, Error> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => account.give(path).map(|()| true),
        Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(source) => Err(Error::file("create", path)(source)),
    }
}

fn open_private(path: &Path, account: Account) -> Result<(), Error> {
    if create_private(path, account)? {
        return Ok(());
    }
    check_private(path, account)?;
    account.give(path)
}

/// Root's own directories pass as well: they are an account's that was interrupted on its way.
fn check_private(path: &Path, account: Account) -> Result<(), Error> {
    let found = fs::symlink_metadata(path).map_err(Error::file("read", path))?;
    let reason = if !found.is_dir() {
        "it is a file or a link"
    } else if found.uid() != account.uid && !(account.dropped && found.uid() == 0) {
        "it belongs to another user"
    } else if found.mode() & 0o077 != 0 {
        "other users may enter it"
    } else {
        return Ok(());
    };
    Err(Error::Untrusted { path: path.to_owned(), reason })
}

/// The flags as the standard library takes them.
pub(crate) fn flags(flags: OFlags) -> i32 {
    flags.bits().cast_signed()
}
