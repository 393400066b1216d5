use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::config::ForChild;

/// How long a process may take to stop in good order.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// How many lines of a log are shown when something went wrong.
const LOG_LINES: usize = 15;

/// Starts processes of this very binary.
#[derive(Debug)]
pub(crate) struct Starter {
    binary: PathBuf,
    config: ForChild,
    /// Whether they log to standard error.
    verbose: bool,
    /// What they log otherwise, by name.
    logs: Vec<(String, File)>,
}

/// A process that ends with this one: its standard input is the leash.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    pub(crate) pid: u32,
}

impl Starter {
    pub(crate) fn new(config: ForChild, verbose: bool) -> Result<Self> {
        let binary = std::env::current_exe().context("the path of this binary is unknown")?;
        Ok(Self { binary, config, verbose, logs: Vec::new() })
    }

    /// Starts `holdfast` with these arguments.
    pub(crate) fn start(&mut self, name: &str, arguments: &[&str]) -> Result<Process> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--leashed").stdin(Stdio::piped()).stdout(Stdio::null());
        for variable in &self.config.unset {
            command.env_remove(variable);
        }
        for (variable, value) in &self.config.set {
            command.env(variable, value);
        }
        if !self.verbose {
            let log = log_file().context("a log cannot be written")?;
            command.stderr(log.try_clone()?);
            self.logs.push((name.to_owned(), log));
        }
        // Ctrl-C in a terminal reaches this process alone, so that it can stop the others in order.
        let child = command.process_group(0).kill_on_drop(true).spawn();
        let child = child.with_context(|| format!("cannot start {}", self.binary.display()))?;
        let pid = child.id().context("a process ended at once")?;
        Ok(Process { child, pid })
    }

    /// Shows the end of every log on standard error.
    pub(crate) fn show_logs(&mut self) {
        for (name, log) in &mut self.logs {
            let mut text = String::new();
            if let Err(error) = log.rewind().and_then(|()| log.read_to_string(&mut text)) {
                text = format!("cannot be read: {error}");
            }
            let lines: Vec<&str> = text.lines().collect();
            eprintln!("--- the end of what {name} logged:");
            for line in lines.iter().skip(lines.len().saturating_sub(LOG_LINES)) {
                eprintln!("{line}");
            }
        }
    }
}

/// A file in the temporary directory that has no name any more: whoever holds it can write and
/// read it, and it is gone with the last of them, however they end.
fn log_file() -> io::Result<File> {
    let path = std::env::temp_dir().join(format!("holdfast-demo-{:016x}", rand::random::<u64>()));
    let file = OpenOptions::new().read(true).append(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(path)?;
    Ok(file)
}

impl Process {
    /// How it ended, if it did.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw).context("no process id")?;
        kill_process(pid, signal).with_context(|| format!("process {} takes no signal", self.pid))
    }

    /// Ends it with SIGKILL, and waits until it is gone.
    pub(crate) async fn kill(mut self) -> Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Lets go of the leash, and waits until it has stopped in good order.
    pub(crate) async fn stop(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        // One that was interrupted in the act of being killed cannot stop before it goes on.
        self.signal(Signal::CONT)?;
        match timeout(STOP_WITHIN, self.child.wait()).await {
            Ok(status) if status.as_ref().is_ok_and(ExitStatus::success) => Ok(()),
            Ok(status) => Err(anyhow!("process {} ended badly: {}", self.pid, status?)),
            Err(_elapsed) => {
                self.child.kill().await?;
                Err(anyhow!("process {} did not stop within {STOP_WITHIN:?} and was killed", self.pid))
            }
        }
    }
}
