use std::future::Future;
use std::future::pending;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::app::{Background, Error};

/// How long a client may take to send the head of a request, and may keep an idle connection.
const HEAD_WITHIN: Duration = Duration::from_secs(30);
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
    let mut shutdown = pin!(shutdown);
    let result = loop {
        tokio::select! {
            () = &mut shutdown => break Ok(()),
            () = background.ended() => break Err(Error::TaskEnded),
            (stream, place) = accept(&listener, &room) => {
                let connection = graceful.watch(connection(stream, router.clone()));
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
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> (TcpStream, OwnedSemaphorePermit) {
    let Ok(place) = Arc::clone(room).acquire_owned().await else {
        // Nobody closes the semaphore.
        return pending().await;
    };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "a connection would not send without delay");
                }
                return (stream, place);
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

fn connection(stream: TcpStream, router: Router) -> http1::Connection<TokioIo<TcpStream>, TowerToHyperService<Router>> {
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WITHIN)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
}
