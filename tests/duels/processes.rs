use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{Db, IPN_SECRET, ended, until};

static NUMBER: AtomicU32 = AtomicU32::new(1);

/// A real process of the binary.
pub(super) struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// A worker that claims this many jobs at once.
    pub(super) async fn worker(db: &Db, batch: usize) -> Self {
        let url = db.url("holdfast_worker").await;
        Self::start(
            &["worker", "--lane", "ledger", "--verify-every", "0", "--batch", &batch.to_string()],
            "DATABASE_URL_WORKER",
            &url,
        )
    }

    /// The HTTP side on a free port, ready; and where it takes callbacks.
    pub(super) async fn web(db: &Db) -> (Self, String) {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
        let url = db.url("holdfast_api").await;
        let web = Self::start(&["web", "--listen", &address.to_string()], "DATABASE_URL_API", &url);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let ready = format!("http://{address}/readyz");
        until("the API is ready", async || client.get(&ready).send().await.is_ok_and(|it| it.status() == 200)).await;
        (web, format!("http://{address}/webhooks/nowpayments"))
    }

    fn start(arguments: &[&str], variable: &str, url: &str) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("holdfast-duel-{}-{number}.log", std::process::id()));
        let file = File::create(&log).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_holdfast"))
            .args(arguments)
            .env_remove("DATABASE_URL")
            .env_remove("HOLDFAST_LOG_FORMAT")
            // That somebody waited long, for a lock or on a busy machine, is no trouble. Who gives up says so himself.
            .env("HOLDFAST_LOG", "info,sqlx::query=error,sqlx::pool::acquire=error")
            .env(variable, url)
            .env("NOWPAYMENTS_IPN_SECRET", IPN_SECRET)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { child, log }
    }

    /// Asks it to stop and sees that it does so in good order. What it logged.
    pub(super) async fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        let status = ended(&mut self.child, &self.log).await;
        let log = std::fs::read_to_string(&self.log).unwrap();
        assert!(status.success(), "a process ended with {status}:\n{log}");
        log
    }
}

impl Drop for Process {
    /// A test that fails leaves no process behind.
    fn drop(&mut self) {
        if self.child.try_wait().ok().flatten().is_none() {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
        std::fs::remove_file(&self.log).unwrap();
    }
}
