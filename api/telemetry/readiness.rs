use std::time::Duration;

use outbox::{Role, SCHEMA_VERSION, StartError, refuse_unsafe_server};
use sqlx::PgPool;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

/// How long an answer of `/readyz` serves everybody who asks: nobody needs a key to ask.
const FRESH: Duration = Duration::from_millis(500);
/// How long the database may take to be called ready.
const READY_WITHIN: Duration = Duration::from_secs(2);

/// The last answer of `/readyz`.
#[derive(Debug, Default)]
pub(crate) struct Readiness(Mutex<Option<(Instant, Option<String>)>>);

impl Readiness {
    /// Why the server cannot do its work, if it cannot.
    pub(crate) async fn why_not(&self, pool: &PgPool) -> Option<String> {
        let mut last = self.0.lock().await;
        match &*last {
            Some((at, why_not)) if at.elapsed() < FRESH => why_not.clone(),
            Some(_) | None => {
                let why_not = timeout(READY_WITHIN, why_not_ready(pool)).await;
                let why_not = why_not.unwrap_or_else(|_| Some("the database took too long".to_owned()));
                *last = Some((Instant::now(), why_not.clone()));
                why_not
            }
        }
    }
}

async fn why_not_ready(pool: &PgPool) -> Option<String> {
    let window = sqlx::query!("select version, oldest_binary from schema").fetch_one(pool).await;
    match window {
        Ok(window) if window.version < SCHEMA_VERSION => return Some(format!("the schema is at {}", window.version)),
        Ok(window) if window.oldest_binary > SCHEMA_VERSION => {
            return Some(format!("the schema needs a binary for {}", window.oldest_binary));
        }
        Ok(_) => {}
        Err(error) => return Some(error.to_string()),
    }
    match refuse_unsafe_server(pool, Role::Api).await {
        // A process refuses to start on a shifted clock; one that runs while a test shifts it is
        // as able as before.
        Ok(()) | Err(StartError::ShiftedClock(_)) => None,
        Err(error) => Some(error.to_string()),
    }
}
