//! A real web process, and a client that costs little beside it: requests are bytes made beforehand,
//! and of an answer no more is read than is asked for.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use crate::load::IPN_SECRET;
use crate::server::Server;

/// Longest time until a process answers.
const PATIENCE: Duration = Duration::from_secs(30);
/// A connection that nobody has used for this long is left: servers close those.
const IDLE: Duration = Duration::from_secs(15);
/// Headers of an answer, at most.
const HEADERS_MAX: usize = 32;

/// A process that serves HTTP; ended when dropped.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    process: Child,
}

impl Site {
    /// Starts a program, told by the function where to listen, and waits until it does.
    pub(crate) async fn start(program: &mut Command, listen: impl FnOnce(&mut Command, SocketAddr)) -> Result<Self> {
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        listen(program, address);
        let process = program.stdin(Stdio::null()).spawn().context("starting a server")?;
        let mut site = Self { address, process };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(address).await.is_err() {
            ensure!(site.process.try_wait()?.is_none(), "a server ended at once");
            ensure!(Instant::now() < deadline, "a server does not listen");
            sleep(Duration::from_millis(5)).await;
        }
        Ok(site)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        if self.process.kill().is_ok() && self.process.wait().is_err() {
            eprintln!("a server could not be waited for");
        }
    }
}

/// Holdfast's web process.
pub(crate) struct Web {
    pub(crate) site: Site,
    key: String,
}

impl Web {
    pub(crate) async fn start(server: &Server) -> Result<Self> {
        let (key, hash) = api::new_key();
        sqlx::query("insert into api_key (principal_id, secret_hash, scopes) values (100, $1, '{submit,read}')")
            .bind(hash.to_vec())
            .execute(&server.owner)
            .await?;
        let mut program = Command::new(server.program.as_path());
        program
            .env("DATABASE_URL_API", server.api_url())
            .env("NOWPAYMENTS_IPN_SECRET", IPN_SECRET)
            .env("HOLDFAST_LOG", "warn")
            .env("HOLDFAST_RATE_PER_SECOND", "1000000")
            .env_remove("DATABASE_URL");
        let listen = |program: &mut Command, address: SocketAddr| {
            program.args(["web", "--listen", &address.to_string()]);
        };
        Ok(Self { site: Site::start(&mut program, listen).await?, key })
    }

    /// A POST under a key, with further headers, each ended by CR and LF.
    pub(crate) fn post(&self, path: &str, key: &str, headers: &str, body: &str) -> Vec<u8> {
        post(path, &format!("authorization: Bearer {}\r\nidempotency-key: {key}\r\n{headers}", self.key), body)
    }
}

/// A POST of JSON.
pub(crate) fn post(path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n{headers}\r\n{body}"
    )
    .into_bytes()
}

/// An answer; its body is what the connection has read last.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    pub(crate) body: &'a [u8],
}

/// A connection that is kept.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads the answer.
    pub(crate) async fn call(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        timeout(PATIENCE, self.exchange(request)).await.context("no answer in time")?
    }

    async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let (status, start, end) = loop {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
            if let Some(head) = head(&self.buffer)? {
                break head;
            }
        };
        while self.buffer.len() < end {
            ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the connection was closed");
        }
        Ok(Answer { status, body: self.buffer.get(start..end).unwrap_or_default() })
    }
}

/// The status, and where the body begins and ends; none while the head is not whole.
fn head(bytes: &[u8]) -> Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut answer = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = answer.parse(bytes)? else { return Ok(None) };
    let length = answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"));
    let Some(length) = length else { bail!("an answer does not say how long it is") };
    let length: usize = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some((answer.code.context("an answer without a status")?, start, start.saturating_add(length))))
}

/// Connections that nobody uses at the moment.
#[derive(Clone)]
pub(crate) struct Idle {
    address: SocketAddr,
    connections: Arc<Mutex<Vec<(Connection, Instant)>>>,
}

impl Idle {
    /// Opens that many.
    pub(crate) async fn open(address: SocketAddr, count: usize) -> Result<Self> {
        let idle = Self { address, connections: Arc::default() };
        for _ in 0..count {
            idle.give(Connection::open(address).await?);
        }
        Ok(idle)
    }

    /// One of them, or a new one.
    pub(crate) async fn take(&self) -> Result<Connection> {
        let idle = self.connections.lock().unwrap_or_else(PoisonError::into_inner).pop();
        match idle {
            Some((connection, since)) if since.elapsed() < IDLE => Ok(connection),
            _ => Connection::open(self.address).await,
        }
    }

    pub(crate) fn give(&self, connection: Connection) {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).push((connection, Instant::now()));
    }
}

/// Tells from a thread of its own when each of so many is due, since the timers of the runtime are
/// coarser than what is measured. Whoever falls behind is told of all that were due meanwhile.
pub(crate) fn schedule(apart: Duration, count: u64) -> tokio::sync::mpsc::UnboundedReceiver<(u64, Instant)> {
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    std::thread::spawn(move || {
        let (began, nanos) = (Instant::now(), u64::try_from(apart.as_nanos()).unwrap_or(u64::MAX));
        for number in 0..count {
            let due = began + Duration::from_nanos(number.saturating_mul(nanos));
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if sender.send((number, due)).is_err() {
                return;
            }
        }
    });
    receiver
}
