use std::future::Future;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulConnection, GracefulShutdown};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

use crate::app::{Background, Error};
use crate::http::peer::Peer;

/// The largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// The time until the next try when the process has no room for another connection.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);

/// Serves until `shutdown` resolves; then stops accepting, answers those who wait for an outcome
/// with 202, finishes what is in flight within the limits' grace, and commits what was asked for.
///
/// # Errors
/// [`Error::TaskEnded`]: the process must end, to be started again.
pub async fn serve(
    listener: TcpListener,
    app: (Router, Background),
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error> {
    let (router, mut background) = app;
    let room = Arc::new(Semaphore::new(background.limits.connections_max));
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let within = Within { head: background.limits.head_within, write: background.limits.write_within };
    let mut shutdown = pin!(shutdown);
    let result = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            () = background.ended() => break Err(Error::TaskEnded),
            (stream, peer, place) = accept(&listener, &room) => {
                let connection = graceful.watch(connection(stream, peer, router.clone(), within));
                connections.spawn(async move {
                    if let Err(error) = connection.await {
                        tracing::debug!(%error, "a connection ended early");
                    }
                    drop(place);
                });
            }
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a connection's task failed");
            },
        }
    };
    drop(listener);
    background.stop_waiting();
    let grace = background.limits.grace;
    if timeout(grace, graceful.shutdown()).await.is_err() {
        tracing::warn!(still_open = connections.len(), "connections were cut off at the end of the grace time");
    }
    connections.shutdown().await;
    drop(router);
    background.stop().await;
    result
}

/// The next connection, once there is room for one.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, Peer, OwnedSemaphorePermit) {
    let Ok(place) = Arc::clone(room).acquire_owned().await else {
        // Nobody closes the semaphore.
        return pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, address)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection would not send without delay");
                }
                return (stream, Peer::at(address.ip()), place);
            }
            // The client's fault, and only this client's.
            Err(error) if is_of_the_client(error.kind()) => {}
            // Out of descriptors or memory: those who are served will give some back.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_AGAIN).await;
            }
        }
    }
}

fn is_of_the_client(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused)
}

/// What a connection has time for.
#[derive(Clone, Copy, Debug)]
struct Within {
    head: Duration,
    write: Duration,
}

fn connection(
    stream: TcpStream,
    peer: Peer,
    router: Router,
    within: Within,
) -> impl GracefulConnection<Error = hyper::Error> + Send + 'static {
    let service = router.map_request(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        request
    });
    // Whoever takes nothing of an answer must not keep what it is made of.
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(within.write));
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(within.head)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Box::pin(stream)), TowerToHyperService::new(service))
}
