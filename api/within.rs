use std::io;
use std::time::Duration;

use tokio::time::timeout;

/// What the database answers within a time. Its own timeouts come first; this one is for a
/// network that has fallen silent.
pub(crate) async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    match timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(sqlx::Error::Io(io::ErrorKind::TimedOut.into())),
    }
}
