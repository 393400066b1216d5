use std::time::Duration;

use anyhow::{Context, anyhow};
use outbox::{Role, StartError, connect_options};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool};
use tokio::time::{Instant, sleep, timeout};

use crate::failure::Failure;
use crate::stop::Stop;

/// How long a process waits for a database that does not answer when it starts.
const WAIT: Duration = Duration::from_mins(1);
/// How long one attempt to connect may take.
const ATTEMPT: Duration = Duration::from_secs(10);
/// The time between two attempts.
const PAUSE: Duration = Duration::from_millis(500);
/// The log tells of every tenth attempt.
const TELL_EVERY: u32 = 10;

/// Why a process does not start whose database answered the first time.
const UNANSWERING: &str = "the database does not answer";
const UNPREPARED: &str = "what comes before the work could not be done";

/// Opens a pool for a process that serves, makes sure that it is safe to work with, and has `prepare` do with it what
/// comes before the work. It waits up to 60 s for a server that does not answer yet, or no longer; `None` means that it
/// was told to stop.
///
/// # Errors
/// The process must not start.
pub(crate) async fn open<T>(
    (url, name): (&str, &str),
    role: Role,
    connections: u32,
    stop: &Stop,
    prepare: impl AsyncFn(PgPool) -> Result<T, sqlx::Error>,
) -> Result<Option<(PgPool, T)>, Failure> {
    let options = connect_options(url, name).map_err(Failure::cannot_start)?;
    let open = async {
        let began = Instant::now();
        loop {
            await_answer(&options, began).await?;
            let (error, end) = match outbox::open(options.clone(), role, connections).await {
                Ok(pool) => match prepare(pool.clone()).await {
                    Ok(prepared) => return Ok((pool, prepared)),
                    Err(error) => (error, UNPREPARED),
                },
                Err(StartError::Unreachable(error)) => (error, UNANSWERING),
                Err(refused) => return Err(Failure::cannot_start(refused)),
            };
            // It answered, and went away again.
            if !passes(&error) || began.elapsed() >= WAIT {
                return Err(Failure::cannot_start(anyhow!(error).context(end)));
            }
            tracing::warn!(%error, for_at_most = ?WAIT.saturating_sub(began.elapsed()), "the database went away; waiting for it");
            sleep(PAUSE).await;
        }
    };
    tokio::select! {
        opened = open => opened.map(Some),
        () = stop.ordered() => Ok(None),
    }
}

/// Returns when the server answers, for which a process has waited since `began`.
async fn await_answer(options: &PgConnectOptions, began: Instant) -> Result<(), Failure> {
    for attempt in 0_u32.. {
        let Err(error) = answers(options).await else {
            break;
        };
        if began.elapsed() >= WAIT || !passes(&error) {
            return Err(Failure::cannot_start(unanswered(options, error)));
        }
        if attempt.is_multiple_of(TELL_EVERY) {
            let for_at_most = WAIT.saturating_sub(began.elapsed());
            tracing::warn!(%error, ?for_at_most, "the database does not answer; waiting for it");
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn answers(options: &PgConnectOptions) -> Result<(), sqlx::Error> {
    match timeout(ATTEMPT, PgConnection::connect_with(options)).await {
        Ok(connected) => connected?.close().await,
        Err(_elapsed) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}

/// Whether waiting can help: not where the server answered that it will not have us.
fn passes(error: &sqlx::Error) -> bool {
    let Some(answer) = error.as_database_error() else {
        return matches!(error, sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::PoolTimedOut);
    };
    // A wrong password or login, an unknown database, no right to connect.
    !answer.code().is_some_and(|code| code.starts_with("28") || code == "3D000" || code == "42501")
}

/// Names the server and never the password.
fn unanswered(options: &PgConnectOptions, error: sqlx::Error) -> anyhow::Error {
    let place = options.get_socket().map_or_else(
        || format!("{}:{}", options.get_host(), options.get_port()),
        |directory| directory.display().to_string(),
    );
    let database = options.get_database().unwrap_or_else(|| options.get_username());
    anyhow!(error).context(format!(
        "the database {database} at {place} cannot be reached as {}; check the address and that the server runs",
        options.get_username()
    ))
}

/// Opens a pool for an operator's command, as the owner of the tables. It waits for nothing and
/// limits no statement.
///
/// # Errors
/// The command cannot begin.
pub(crate) async fn open_as_owner(url: &str, name: &str) -> Result<PgPool, Failure> {
    let options = url.parse::<PgConnectOptions>().context("DATABASE_URL is not a postgres URL");
    let options = options.map_err(Failure::cannot_start)?.application_name(name).options([("timezone", "UTC")]);
    answers(&options).await.map_err(|error| Failure::cannot_start(unanswered(&options, error)))?;
    Ok(PgPoolOptions::new().max_connections(2).acquire_timeout(ATTEMPT).connect_lazy_with(options))
}

/// Opens a pool for looking only. A look that takes long is given up.
///
/// # Errors
/// The command cannot begin.
pub(crate) async fn open_to_read(url: &str, name: &str) -> Result<PgPool, Failure> {
    let options = url.parse::<PgConnectOptions>().context("DATABASE_URL is not a postgres URL");
    let settings = [("timezone", "UTC"), ("statement_timeout", "5s"), ("default_transaction_read_only", "on")];
    let options = options.map_err(Failure::cannot_start)?.application_name(name).options(settings);
    answers(&options).await.map_err(|error| Failure::cannot_start(unanswered(&options, error)))?;
    Ok(PgPoolOptions::new().max_connections(1).acquire_timeout(ATTEMPT).connect_lazy_with(options))
}

/// The versions that a database's schema has to do with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Schema {
    /// The number of the newest migration; 0 where none has run.
    pub(crate) version: i32,
    /// The oldest schema number whose binary still runs.
    pub(crate) oldest_binary: i32,
}

/// Reads which migrations a database has.
///
/// # Errors
/// Any error of the database.
pub(crate) async fn schema(pool: &PgPool) -> Result<Schema, sqlx::Error> {
    match sqlx::query_as!(Schema, "select version, oldest_binary from schema").fetch_optional(pool).await {
        Ok(found) => Ok(found.unwrap_or_default()),
        // There is no such table.
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01") => Ok(Schema::default()),
        Err(error) => Err(error),
    }
}

/// Refuses a database that has no schema which this binary knows.
///
/// # Errors
/// It says what to do.
pub(crate) async fn require_schema(pool: &PgPool) -> Result<(), Failure> {
    let found = schema(pool).await.context("the schema cannot be read").map_err(Failure::cannot_start)?;
    if found.version < outbox::SCHEMA_VERSION {
        return Err(Failure::configuration(format!(
            "the database has schema {}, this binary needs {}; run `holdfast migrate`",
            found.version,
            outbox::SCHEMA_VERSION
        )));
    }
    if found.oldest_binary > outbox::SCHEMA_VERSION {
        return Err(Failure::configuration(format!(
            "the database needs a binary for schema {} or newer, this one is for {}",
            found.oldest_binary,
            outbox::SCHEMA_VERSION
        )));
    }
    Ok(())
}
