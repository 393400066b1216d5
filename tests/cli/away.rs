//! A database that goes away while a process starts.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::task::JoinSet;

use crate::cli::processes::Background;
use crate::harness::{Db, register, until};

/// What the connection that is lost was asked: nothing yet, which schema there is, and which assets.
const ASKED_BY_WEB: [&str; 3] = ["", "oldest_binary", "two_approvals_above"];

/// The same of a worker, which begins a run before it works.
const ASKED_BY_WORKER: [&str; 3] = ["", "oldest_binary", "insert into worker_run"];

/// Stands between a process and a server. One connection after the first, which only looks whether there is an answer,
/// is lost when this is asked on it, once.
struct Between {
    port: u16,
    has_cut: Arc<AtomicBool>,
    _connections: JoinSet<()>,
}

impl Between {
    async fn of(db: &Db, asked: &'static str) -> Self {
        let options = db.api.connect_options();
        let socket = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (port, has_cut) = (listener.local_addr().unwrap().port(), Arc::new(AtomicBool::new(false)));
        let mut accepting = JoinSet::new();
        let cut = Arc::clone(&has_cut);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            for number in 0_usize.. {
                let (client, _) = listener.accept().await.unwrap();
                let (cut, socket) = (Arc::clone(&cut), socket.clone());
                connections.spawn(async move { relay(client, &socket, asked, number > 0, &cut).await });
            }
        });
        Self { port, has_cut, _connections: accepting }
    }

    fn url(&self, db: &Db, role: &str) -> String {
        format!("postgres://{role}@127.0.0.1:{}/{}?sslmode=disable", self.port, db.name)
    }
}

/// Hands on what either side says, until one of them ends or the client asks what the connection is lost with.
async fn relay(mut client: TcpStream, socket: &Path, asked: &str, may_cut: bool, has_cut: &AtomicBool) {
    let is_cut = |piece: &[u8]| {
        let is_asked = piece.windows(asked.len().max(1)).any(|window| window.starts_with(asked.as_bytes()));
        may_cut && is_asked && !has_cut.swap(true, Ordering::Relaxed)
    };
    let mut server = UnixStream::connect(socket).await.unwrap();
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) = (client.split(), server.split());
    let forth = async {
        let mut piece = [0; 8_192];
        loop {
            match from_client.read(&mut piece).await {
                Ok(length) if length > 0 && !is_cut(&piece[..length]) => {
                    to_server.write_all(&piece[..length]).await?;
                }
                Ok(_) | Err(_) => return std::io::Result::Ok(()),
            }
        }
    };
    // Either side may end when it likes.
    tokio::select! {
        _ = forth => {}
        _ = copy(&mut from_server, &mut to_client) => {}
    }
}

/// It answers and goes away again: whoever starts waits for it, as for one that does not answer yet.
#[tokio::test]
async fn a_web_that_starts_waits_for_a_database_that_went_away_again() {
    let db = Db::new().await;
    for asked in ASKED_BY_WEB {
        let between = Between::of(&db, asked).await;
        let web = Background::web(&between.url(&db, "holdfast_api")).await;
        assert!(between.has_cut.load(Ordering::Relaxed), "{asked}: no connection was lost");
        web.stops_in_good_order().await;
    }
    db.verified().await;
}

#[tokio::test]
async fn a_worker_that_starts_waits_for_a_database_that_went_away_again() {
    let db = Db::new().await;
    for asked in ASKED_BY_WORKER {
        let between = Between::of(&db, asked).await;
        let url = between.url(&db, "holdfast_worker");
        let worker =
            Background::start("worker --without-webhooks --verify-every 0", &[("DATABASE_URL_WORKER", url.as_str())]);
        let job = db.ask(register(None)).await;
        until("the worker settles", async || db.outcome(job).await == "settled").await;
        assert!(between.has_cut.load(Ordering::Relaxed), "{asked}: no connection was lost");
        worker.stops_in_good_order().await;
    }
    db.verified().await;
}
