//! The owner's end of a leash: a child process that holds the server, and the pipe to it.

use std::ffi::OsStr;
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;

use crate::Error;
use crate::account::Account;
use crate::find::Binaries;
use crate::place::{Lifetime, Lock, Place, flags};

const SCRIPT: &str = include_str!("leash.sh");

/// Recovery after a crash can take this long on a slow disk.
const READY_MAX: Duration = Duration::from_mins(2);

/// How much of a log's end an error shows.
const LOG_BYTES_MAX: u64 = 4096;

/// The owner's end of a leash. Dropping it lets the server go as surely as releasing it, but
/// nobody waits for that.
///
/// Blocking throughout, on purpose: a cluster that one test of a process starts serves the others,
/// each of which has an async runtime of its own that ends with it.
pub(crate) struct Leash {
    place: Place,
    child: Option<Child>,
    orders: Option<ChildStdin>,
    replies: BufReader<ChildStdout>,
}

impl Leash {
    /// Starts a leash on a place. Without binaries it can only take the place away.
    pub(crate) fn fasten(
        place: Place,
        lock: Lock,
        binaries: Option<&Binaries>,
        configuration: String,
        sync: bool,
        account: Account,
    ) -> Result<Leash, Error> {
        let none = Path::new("");
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "holdfast-leash"])
            .args([&place.home, &place.sockets])
            .arg(binaries.map_or(none, |binaries| &binaries.initdb))
            .arg(binaries.map_or(none, |binaries| &binaries.postgres))
            .arg(match place.lifetime {
                Lifetime::Temporary => "temporary",
                Lifetime::Persistent => "persistent",
            })
            .arg(if sync { "on" } else { "off" })
            .arg(configuration);
        // Neither secrets nor PGOPTIONS and the like of the owner belong in the server.
        command
            .env_clear()
            .env("LC_ALL", "C")
            .env("PATH", search_path())
            // A signal that a terminal sends to the owner's group must not reach the server.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(lock.0));
        let mut child = account.run(&mut command).spawn().map_err(Error::file("run", "/bin/sh"))?;
        let (orders, replies) = (child.stdin.take(), child.stdout.take());
        let Some(replies) = replies else {
            return Err(lost(&place, "it has no output"));
        };
        Ok(Leash { place, child: Some(child), orders, replies: BufReader::new(replies) })
    }

    /// Makes the data directory unless there is one.
    pub(crate) fn initialise(&mut self) -> Result<(), Error> {
        self.order_done("initialise", "initdb")
    }

    /// Starts the server, after stopping one that may still run, and returns the postmaster's
    /// process id once it accepts connections.
    pub(crate) fn start(&mut self) -> Result<u32, Error> {
        self.order_done("start", "stopping the previous server")?;
        let began = Instant::now();
        loop {
            let reply = self.order("look")?;
            match reply.split_once(' ').unwrap_or((&reply, "")) {
                ("ready", pid) => {
                    return pid.parse().map_err(|_| lost(&self.place, &format!("it said {reply:?}")));
                }
                ("dead", "") => {
                    return Err(Error::Server { what: "starting Postgres", log: self.log_end() });
                }
                ("starting", "") if began.elapsed() > READY_MAX => {
                    return Err(Error::NotReady { seconds: READY_MAX.as_secs(), log: self.log_end() });
                }
                ("starting", "") => thread::sleep(Duration::from_millis(10)),
                _ => return Err(lost(&self.place, &format!("it said {reply:?}"))),
            }
        }
    }

    /// Stops the server in good order, and keeps the leash and the data.
    pub(crate) fn halt(&mut self) -> Result<(), Error> {
        self.order_done("halt", "stopping Postgres")
    }

    /// Kills every process of the server.
    pub(crate) fn crash(&mut self) -> Result<(), Error> {
        self.order_done("crash", "killing Postgres")
    }

    /// Lets go, and waits until the leash has stopped the server and cleaned up.
    pub(crate) fn release(mut self) -> Result<(), Error> {
        drop(self.orders.take());
        let Some(mut child) = self.child.take() else {
            return Ok(());
        };
        let status = child.wait().map_err(Error::file("wait for the leash of", &self.place.home))?;
        if status.success() { Ok(()) } else { Err(lost(&self.place, &format!("it could not clean up, {status}"))) }
    }

    fn order_done(&mut self, order: &str, what: &'static str) -> Result<(), Error> {
        let reply = self.order(order)?;
        match reply.as_str() {
            "done" => Ok(()),
            "failed" => Err(Error::Server { what, log: self.log_end() }),
            _ => Err(lost(&self.place, &format!("it said {reply:?}"))),
        }
    }

    fn order(&mut self, order: &str) -> Result<String, Error> {
        let place = &self.place;
        let orders = self.orders.as_mut();
        writeln!(orders.ok_or_else(|| lost(place, "it was let go"))?, "{order}")
            .map_err(|error| lost(place, &error.to_string()))?;
        let mut reply = String::new();
        self.replies.read_line(&mut reply).map_err(|error| lost(place, &error.to_string()))?;
        if reply.is_empty() {
            return Err(lost(place, "it ended"));
        }
        Ok(reply.trim_end().to_owned())
    }

    /// The end of the server's log, for an error message.
    fn log_end(&self) -> String {
        let path = self.place.log();
        let read = || {
            let mut file =
                OpenOptions::new().read(true).custom_flags(flags(OFlags::NOFOLLOW | OFlags::NONBLOCK)).open(&path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(LOG_BYTES_MAX)))?;
            let mut bytes = Vec::new();
            file.take(LOG_BYTES_MAX).read_to_end(&mut bytes)?;
            Ok::<_, std::io::Error>(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error| format!("({} cannot be read: {error})", path.display()))
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        drop(self.orders.take());
        let Some(mut child) = self.child.take() else {
            return;
        };
        // Only so that no zombie stays; the leash does its work unwatched.
        let waiter = thread::Builder::new().spawn(move || child.wait());
        if let Err(error) = waiter {
            tracing::debug!(%error, "nobody waits for a leash");
        }
    }
}

/// Where the script finds `sleep`, `rm` and `sed`: where the owner finds them.
#[expect(clippy::disallowed_methods, reason = "where programs are is said by PATH alone")]
fn search_path() -> std::ffi::OsString {
    std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned())
}

fn lost(place: &Place, reason: &str) -> Error {
    Error::Leash { home: place.home.clone(), reason: reason.to_owned() }
}
