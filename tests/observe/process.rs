use std::fmt::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, RequestBuilder};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use simulators::nowpayments::sign;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::harness::{Db, IPN_SECRET, until};

/// Longest time that a process may take to stop.
const PATIENCE: Duration = Duration::from_mins(1);

/// A process of the binary whose log is kept.
pub(super) struct Process {
    child: Child,
    /// Where it serves its metrics, and the API if it is a web.
    pub(super) base: String,
    log: Arc<Mutex<String>>,
    reading: JoinSet<()>,
}

impl Process {
    /// The API, ready.
    pub(super) async fn web(db: &Db, variables: &[(&str, &str)]) -> Self {
        let address = free_address();
        let url = db.url("holdfast_api").await;
        let arguments = format!("web --listen {address}");
        let web = Self::start(&arguments, &address, variables, ("DATABASE_URL_API", &url));
        until("the API is ready", async || web.client().get("/readyz").await.is_some_and(|(status, _)| status == 200))
            .await;
        web
    }

    /// A worker of the ledger lane that serves its metrics.
    pub(super) async fn worker(db: &Db, variables: &[(&str, &str)]) -> Self {
        let address = free_address();
        let url = db.url("holdfast_worker").await;
        let arguments = format!("worker --verify-every 0 --metrics {address}");
        let worker = Self::start(&arguments, &address, variables, ("DATABASE_URL_WORKER", &url));
        until("the worker is ready", async || worker.client().get("/metrics").await.is_some()).await;
        worker
    }

    fn start(arguments: &str, address: &str, variables: &[(&str, &str)], database: (&str, &str)) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdfast"));
        // Whatever this machine says of collectors and proxies is not meant for the test.
        command.env_clear().envs([database, ("NOWPAYMENTS_IPN_SECRET", IPN_SECRET)]).envs(variables.iter().copied());
        command.args(arguments.split_whitespace()).kill_on_drop(true);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let log = Arc::new(Mutex::new(String::new()));
        let mut reading = JoinSet::new();
        let kept = Arc::clone(&log);
        reading.spawn(async move {
            while let Some(line) = lines.next_line().await.unwrap() {
                writeln!(kept.lock().unwrap(), "{line}").unwrap();
            }
        });
        Self { child, base: format!("http://{address}"), log, reading }
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub(super) fn client(&self) -> Caller {
        Caller { http: Client::builder().no_proxy().build().unwrap(), base: self.base.clone(), key: None }
    }

    /// SIGTERM, it exits 0, and this is all that it logged.
    pub(super) async fn stop(mut self) -> String {
        let pid = i32::try_from(self.child.id().unwrap()).unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        let status = timeout(PATIENCE, self.child.wait()).await.expect("it does not stop").unwrap();
        assert_eq!(status.code(), Some(0), "{}", self.log());
        while self.reading.join_next().await.is_some() {}
        self.log()
    }
}

/// Who asks a process for something.
pub(super) struct Caller {
    http: Client,
    base: String,
    key: Option<String>,
}

impl Caller {
    pub(super) fn with_key(self, key: &str) -> Self {
        Self { key: Some(key.to_owned()), ..self }
    }

    /// What is there, with its status; `None` if nobody answers.
    pub(super) async fn get(&self, path: &str) -> Option<(u16, String)> {
        let answer = self.authorized(self.http.get(format!("{}{path}", self.base))).send().await.ok()?;
        let status = answer.status().as_u16();
        Some((status, answer.text().await.unwrap()))
    }

    /// The text of the metrics.
    pub(super) async fn metrics(&self) -> String {
        let answer = self.authorized(self.http.get(format!("{}/metrics", self.base))).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        assert_eq!(answer.headers()[CONTENT_TYPE], "text/plain; version=0.0.4");
        answer.text().await.unwrap()
    }

    /// Asks for a job and waits for what comes of it; with one more header line.
    pub(super) async fn post(&self, path: &str, key: &str, body: &Value, header: (&str, &str)) -> (u16, Value) {
        let request = self.authorized(self.http.post(format!("{}{path}", self.base))).json(body);
        let request = request.header("idempotency-key", key).header("prefer", "wait=20").header(header.0, header.1);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// A callback of the payment provider, signed. The status that it is answered with.
    pub(super) async fn deliver(&self, body: &str) -> u16 {
        let request = self.http.post(format!("{}/webhooks/nowpayments", self.base)).body(body.to_owned());
        let request = request.header(CONTENT_TYPE, "application/json");
        let answer = request.header("x-nowpayments-sig", sign(IPN_SECRET, body.as_bytes())).send().await.unwrap();
        answer.status().as_u16()
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        match &self.key {
            Some(key) => request.bearer_auth(key),
            None => request,
        }
    }
}

pub(super) fn free_address() -> String {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().to_string()
}
