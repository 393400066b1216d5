//! A database that goes away while a process starts.

use std::net::Ipv4Addr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};
use tokio::task::JoinSet;

use crate::cli::processes::Background;
use crate::harness::Db;

/// The connection, counted from 0, that is closed before anybody answers on it: the one after the look whether there is
/// an answer.
const LOST: usize = 1;

/// It answers and goes away again: whoever starts waits for it, as for one that does not answer yet.
#[tokio::test]
async fn a_process_that_starts_waits_for_a_database_that_went_away_again() {
    let db = Db::new().await;
    let options = db.api.connect_options();
    let socket = options.get_socket().unwrap().join(format!(".s.PGSQL.{}", options.get_port()));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut between = JoinSet::new();
    between.spawn(async move {
        let mut connections = JoinSet::new();
        for number in 0_usize.. {
            let (mut client, _) = listener.accept().await.unwrap();
            if number == LOST {
                continue;
            }
            let mut server = UnixStream::connect(&socket).await.unwrap();
            connections.spawn(async move { copy_bidirectional(&mut client, &mut server).await });
        }
    });
    let url = format!("postgres://holdfast_api@127.0.0.1:{port}/{}?sslmode=disable", db.name);
    let web = Background::web(&url).await;
    web.stops_in_good_order().await;
    db.verified().await;
}
