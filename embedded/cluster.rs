//! A running private Postgres and what its owner can do with it.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task;

use crate::account::Account;
use crate::leash::Leash;
use crate::place::Place;
use crate::settings::{Home, Options, configuration};
use crate::{Error, archive, fetch, find, stale};

/// A running private Postgres. It ends with its owner: by [`Cluster::stop`], by being dropped, or
/// by the end of the owner's process, whatever ends it.
///
/// It is bound to no async runtime, so one cluster can serve all tests of a process.
#[derive(Debug)]
pub struct Cluster {
    data: PathBuf,
    sockets: PathBuf,
    postgres: PathBuf,
    server: Arc<Server>,
}

/// What the blocking threads share with the cluster.
struct Server {
    leash: Mutex<Option<Leash>>,
    /// Zero while no server runs.
    postmaster: AtomicU32,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("postmaster", &self.postmaster).finish_non_exhaustive()
    }
}

impl Cluster {
    /// Finds the binaries, makes the data directory unless there is one, and starts the server;
    /// returns once it accepts connections. The superuser is `postgres`, without a password; the
    /// directory of the socket lets nobody else in.
    ///
    /// # Errors
    ///
    /// [`Error::NotInstalled`] names the command that installs Postgres. [`Error::InUse`] means
    /// that another process owns the persistent directory. [`Error::Server`] carries the end of the
    /// server's log.
    pub async fn start(options: Options) -> Result<Cluster, Error> {
        let (account, wanted) = blocking({
            let options = options.clone();
            move || {
                let account = Account::choose()?;
                let wanted = match &options.home {
                    Home::Temporary => None,
                    Home::Persistent(asked) => Place::written_by(asked, account)?,
                };
                Ok((account, wanted))
            }
        })
        .await?;
        let binaries = match blocking(move || Ok(find::installed(wanted, account))).await? {
            Some(binaries) => binaries,
            None => match (fetch::binaries(wanted, account, options.progress).await, wanted, &options.home) {
                (Err(Error::NotInstalled { .. }), Some(major), Home::Persistent(home)) if major != archive::MAJOR => {
                    return Err(Error::VersionGone { home: home.clone(), major });
                }
                (binaries, ..) => binaries?,
            },
        };
        blocking(move || launch(&options, &binaries, account)).await
    }

    /// The connection URL of a user and a database, as sqlx and libpq take it.
    pub fn url(&self, user: &str, database: &str) -> String {
        format!("postgres://{}@{}/{}", percent(user), percent(&self.sockets.to_string_lossy()), percent(database))
    }

    /// The directory of the socket, for tools that take it as their host.
    pub fn socket_dir(&self) -> &Path {
        &self.sockets
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        &self.data
    }

    /// Another program of the server's installation, such as `pgbench`, if it is there.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        Some(self.postgres.with_file_name(name)).filter(|program| program.exists())
    }

    /// The process id of the postmaster that was started last; none after a crash or a halt that
    /// was ordered here. A postmaster that was killed from elsewhere is still named.
    pub fn postmaster_pid(&self) -> Option<u32> {
        match self.server.postmaster.load(Ordering::Acquire) {
            0 => None,
            pid => Some(pid),
        }
    }

    /// Kills the postmaster and all its children with SIGKILL, as a power cut would end them;
    /// returns when they are gone. [`Cluster::restart`] recovers.
    ///
    /// # Errors
    ///
    /// The leash is lost, or a process survives SIGKILL.
    pub async fn crash(&self) -> Result<(), Error> {
        self.with_leash(|leash| leash.crash().map(|()| 0)).await
    }

    /// Stops the server in good order and keeps the data; returns when it is gone.
    ///
    /// # Errors
    ///
    /// The leash is lost, or a process survives SIGKILL.
    pub async fn halt(&self) -> Result<(), Error> {
        self.with_leash(|leash| leash.halt().map(|()| 0)).await
    }

    /// Starts the server again on the same data, after stopping it if it still runs; returns when
    /// it accepts connections.
    ///
    /// # Errors
    ///
    /// As for [`Cluster::start`], with the end of the server's log.
    pub async fn restart(&self) -> Result<(), Error> {
        self.with_leash(Leash::start).await
    }

    /// Stops the server and waits until it is gone and, if temporary, all its files are.
    ///
    /// # Errors
    ///
    /// [`Error::Leash`] if something could not be removed.
    pub async fn stop(self) -> Result<(), Error> {
        blocking(move || match self.server.take() {
            Some(leash) => leash.release(),
            None => Ok(()),
        })
        .await
    }

    /// Runs an order that returns the new postmaster, or zero for none.
    async fn with_leash(
        &self,
        order: impl FnOnce(&mut Leash) -> Result<u32, Error> + Send + 'static,
    ) -> Result<(), Error> {
        let server = Arc::clone(&self.server);
        let home = self.data.clone();
        blocking(move || {
            let mut guard = server.leash.lock().unwrap_or_else(PoisonError::into_inner);
            let leash = guard.as_mut().ok_or_else(|| Error::Leash { home, reason: "it was let go".to_owned() })?;
            server.postmaster.store(0, Ordering::Release);
            let postmaster = order(leash)?;
            server.postmaster.store(postmaster, Ordering::Release);
            Ok(())
        })
        .await
    }
}

impl Server {
    fn take(&self) -> Option<Leash> {
        self.leash.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn launch(options: &Options, binaries: &find::Binaries, account: Account) -> Result<Cluster, Error> {
    stale::reclaim(account)?;
    let (place, lock) = match &options.home {
        Home::Temporary => Place::temporary(account)?,
        Home::Persistent(asked) => Place::persistent(asked, account)?,
    };
    let (data, sockets) = (place.data(), place.sockets.clone());
    let configuration = configuration(options, &sockets)?;
    let sync = options.fsync && options.home != Home::Temporary;
    let mut leash = Leash::fasten(place, lock, Some(binaries), configuration, sync, account)?;
    let postmaster = leash.initialise().and_then(|()| leash.start());
    match postmaster {
        Ok(postmaster) => Ok(Cluster {
            data,
            sockets,
            postgres: binaries.postgres.clone(),
            server: Arc::new(Server { leash: Mutex::new(Some(leash)), postmaster: AtomicU32::new(postmaster) }),
        }),
        Err(error) => {
            // The caller may try again at once and should not meet the remains of this attempt.
            if let Err(second) = leash.release() {
                tracing::warn!(error = %second, "a failed start could not be cleaned up");
            }
            Err(error)
        }
    }
}

/// Runs what blocks on a thread where it may.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::File {
                what: "finish the work on",
                path: PathBuf::from("a private Postgres"),
                source: io::Error::other(error),
            }),
        },
    }
}

/// Everything but what no part of a URL gives a meaning to is escaped: a socket's directory stands where a URL has
/// its host, and its slashes must not be read as a path.
fn percent(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else if write!(escaped, "%{byte:02X}").is_err() {
            // Writing to a string cannot fail.
            return escaped;
        }
    }
    escaped
}
