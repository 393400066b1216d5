use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use embedded::{Cluster, Options};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::postgres::PgPoolOptions;
use sqlx::{AssertSqlSafe, raw_sql};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::harness::{Db, until};

/// Longest time that a command may take.
const PATIENCE: Duration = Duration::from_mins(2);

/// Everything that the binary reads from its environment.
const VARIABLES: [&str; 21] = [
    "DATABASE_URL",
    "DATABASE_URL_API",
    "DATABASE_URL_WORKER",
    "NOWPAYMENTS_IPN_SECRET",
    "NOWPAYMENTS_IPN_SECRET_PREVIOUS",
    "HOLDFAST_LISTEN",
    "HOLDFAST_RATE_BURST",
    "HOLDFAST_RATE_PER_SECOND",
    "HOLDFAST_LOG",
    "HOLDFAST_LOG_FORMAT",
    "HOLDFAST_KEY",
    "HOLDFAST_URL",
    "HOLDFAST_VERIFY_EVERY",
    "PORT",
    "HOLDFAST_METRICS_LISTEN",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_EXPORTER",
];

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// Status 2, nothing on standard output, and a reason that says this.
    pub(crate) fn refuses_to_start(&self, command: &str, told: &str) {
        assert_eq!((self.code, self.stdout.as_str()), (2, ""), "{command}: {}", self.stderr);
        assert!(self.stderr.starts_with("error: "), "{command}: {}", self.stderr);
        assert!(self.stderr.contains(told), "{command} does not say {told:?}: {}", self.stderr);
        assert!(!self.stderr.contains("backtrace"), "{command}: {}", self.stderr);
    }
}

fn command(arguments: &str, variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
    for name in VARIABLES {
        command.env_remove(name);
    }
    command.args(arguments.split_whitespace()).envs(variables.iter().copied()).kill_on_drop(true);
    command
}

/// Runs `holdfast` with these arguments and variables to its end.
pub(crate) async fn holdfast(arguments: &str, variables: &[(&str, &str)]) -> Ran {
    let output = command(arguments, variables).stdin(Stdio::null()).output();
    let output = timeout(PATIENCE, output).await.unwrap_or_else(|_| panic!("holdfast {arguments} hangs")).unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Ran { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

/// A process that runs until it is told to stop.
pub(crate) struct Background {
    child: Child,
    base: String,
}

impl Background {
    pub(crate) fn start(arguments: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_in(Path::new("."), arguments, variables)
    }

    fn start_in(directory: &Path, arguments: &str, variables: &[(&str, &str)]) -> Self {
        crate::harness::timed();
        let mut command = command(arguments, variables);
        command.current_dir(directory);
        let child = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, base: String::new() }
    }

    /// The API on a free port, ready.
    pub(crate) async fn web(url: &str) -> Self {
        let address = free_address();
        let variables = [("DATABASE_URL_API", url)];
        let web = Self::start(&format!("web --without-webhooks --listen {address}"), &variables);
        web.ready_at(&address).await
    }

    /// Everything in one process, ready.
    pub(crate) async fn bare(home: &Kept) -> Self {
        let address = free_address();
        Self::start_in(&home.0, &format!("--listen {address}"), &[]).ready_at(&address).await
    }

    async fn ready_at(self, address: &str) -> Self {
        let ready = Self { base: format!("http://{address}"), ..self };
        until("the API is ready", async || ready.get("/readyz", "").await == 200).await;
        ready
    }

    /// The status that a path is answered with; 0 when nobody answers.
    pub(crate) async fn get(&self, path: &str, key: &str) -> u16 {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let answer = client.get(format!("{}{path}", self.base)).bearer_auth(key).send().await;
        answer.map_or(0, |answer| answer.status().as_u16())
    }

    /// Lets its standard input end.
    pub(crate) fn drop_leash(&mut self) {
        drop(self.child.stdin.take());
    }

    /// SIGTERM, and it exits 0.
    pub(crate) async fn stops_in_good_order(self) {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        self.ends_with(0).await;
    }

    pub(crate) async fn ends_with(mut self, code: i32) {
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it does not stop").unwrap();
        assert_eq!(status.code(), Some(code), "{status}");
    }
}

fn free_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}

/// A directory that a process keeps its data in, gone when this is.
pub(crate) struct Kept(PathBuf);

impl Kept {
    pub(crate) fn new() -> Self {
        let path = std::env::temp_dir().join(format!("holdfast-bare-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.0.join(".holdfast").join(name)).unwrap().trim().to_owned()
    }

    /// Who may read the secrets.
    pub(crate) fn modes(&self) -> [u32; 2] {
        ["dev_key", "dev_ipn_secret"]
            .map(|name| fs::metadata(self.0.join(".holdfast").join(name)).unwrap().mode() & 0o777)
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Where root cannot own a server, its data lie elsewhere.
        if let Ok(location) = fs::read_to_string(self.0.join(".holdfast/location")) {
            fs::remove_dir_all(location.trim()).unwrap();
        }
        fs::remove_dir_all(&self.0).unwrap();
    }
}

impl Db {
    /// The owner's address of a database beside this one that nobody has migrated.
    pub(crate) async fn empty_sibling(&self) -> String {
        let name = format!("{}_empty", self.name);
        raw_sql(AssertSqlSafe(format!("create database {name}"))).execute(&self.owner).await.unwrap();
        self.url("postgres").await.replace(&self.name, &name)
    }
}

/// A migrated server that may lose what it acknowledged.
pub(crate) async fn unfsynced() -> Cluster {
    let server = Cluster::start(Options::temporary().without_fsync()).await.unwrap();
    let pool = PgPoolOptions::new().connect_lazy(&server.url("postgres", "postgres")).unwrap();
    outbox::migrate(&pool).await.unwrap();
    pool.close().await;
    server
}
