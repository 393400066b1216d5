use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use super::site::Site;
use crate::harness::ended;

/// A real worker process.
pub(super) struct Worker {
    child: Child,
    log: PathBuf,
}

impl Worker {
    /// Starts one. Small batches, so that there is something to hit; every other one takes more, which are foreseen.
    pub(super) fn start(site: &Site, number: usize) -> Self {
        let log = site.log_file(number);
        let file = File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(["worker", "--lane", "ledger", "--batch", if number.is_multiple_of(2) { "64" } else { "400" }])
            .env("DATABASE_URL_WORKER", site.worker_url())
            .env("HOLDFAST_VERIFY_EVERY", "0")
            .env("NOWPAYMENTS_IPN_SECRET", crate::harness::IPN_SECRET)
            .env_remove("DATABASE_URL")
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Stops it where it stands.
    pub(super) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on.
    pub(super) fn wake(&self) {
        self.signal(Signal::CONT);
    }

    /// Ends it at whatever instruction it is.
    pub(super) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().unwrap();
    }

    /// Asks it to finish and sees that it does so in good order.
    pub(super) async fn terminate(&mut self) {
        self.signal(Signal::TERM);
        let status = ended(&mut self.child, &self.log).await;
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        assert!(status.success(), "a worker ended with {status}:\n{log}");
    }
}

impl Drop for Worker {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}
