use std::time::Duration;

use sqlx::PgPool;
use sqlx::migrate::{MigrateError, Migrator};

/// Every migration, compiled in.
pub static MIGRATIONS: Migrator = {
    let mut migrator = sqlx::migrate!("../migrations");
    // Poolers and distributed databases know no session advisory locks; two migrators at once
    // are settled by the key of the table that records what ran.
    migrator.locking = false;
    migrator
};

/// The schema that this binary was written for: the number of the newest migration.
pub const SCHEMA_VERSION: i32 = match i32::from_str_radix(env!("HOLDFAST_SCHEMA"), 10) {
    Ok(version) => version,
    Err(_) => 0,
};

/// How long a process waits for a migration that is under way.
const WAIT_FOR_MIGRATION: Duration = Duration::from_mins(1);

/// Why a binary does not run against a database.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// No migration has run, or only older ones.
    #[error("the database has schema {found}, this binary needs {SCHEMA_VERSION}; run `holdfast migrate`")]
    TooOld {
        /// 0 where there is none.
        found: i32,
    },
    /// The schema has moved on beyond this binary.
    #[error("the database needs a binary for schema {oldest_binary} or newer, this one is for {SCHEMA_VERSION}")]
    TooNew {
        /// The oldest schema number whose binary still runs.
        oldest_binary: i32,
    },
    /// The database did not answer.
    #[error("the database's schema could not be read")]
    Unreadable(#[source] sqlx::Error),
}

/// Runs the migrations that have not run, as the owner of the tables.
///
/// # Errors
/// [`MigrateError`]; whatever ran before the failing one stands.
pub async fn migrate(owner: &PgPool) -> Result<(), MigrateError> {
    let first = MIGRATIONS.run(owner).await;
    match first {
        // Another migrator was faster: its work stands, and ours is to see what is left.
        Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) if is_race(&error) => {
            MIGRATIONS.run(owner).await
        }
        other => other,
    }
}

fn is_race(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| code == "23505" || code == "42P07")
}

/// Checks that this binary may run against the schema, waiting for a migration that may be under
/// way: up to 60 s.
///
/// # Errors
/// [`SchemaError`]; the process must not start.
pub async fn await_schema(pool: &PgPool) -> Result<(), SchemaError> {
    let deadline = tokio::time::Instant::now().checked_add(WAIT_FOR_MIGRATION);
    let mut told = false;
    loop {
        let (found, oldest_binary) = window(pool).await?;
        if oldest_binary > SCHEMA_VERSION {
            return Err(SchemaError::TooNew { oldest_binary });
        }
        if found >= SCHEMA_VERSION {
            return Ok(());
        }
        if deadline.is_none_or(|deadline| tokio::time::Instant::now() >= deadline) {
            return Err(SchemaError::TooOld { found });
        }
        if !told {
            tracing::warn!(found, needed = SCHEMA_VERSION, "waiting up to 60 s for `holdfast migrate`");
            told = true;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Whether the schema has moved on beyond this binary while it ran.
///
/// # Errors
/// [`SchemaError::TooNew`]: the process must end. [`SchemaError::Unreadable`] says nothing.
pub async fn still_fits(pool: &PgPool) -> Result<(), SchemaError> {
    let (_, oldest_binary) = window(pool).await?;
    if oldest_binary > SCHEMA_VERSION { Err(SchemaError::TooNew { oldest_binary }) } else { Ok(()) }
}

/// Version and oldest binary; zeros where no migration has run.
async fn window(pool: &PgPool) -> Result<(i32, i32), SchemaError> {
    match sqlx::query!("select version, oldest_binary from schema").fetch_optional(pool).await {
        Ok(Some(row)) => Ok((row.version, row.oldest_binary)),
        Ok(None) => Ok((0, 0)),
        Err(sqlx::Error::Database(error)) if error.code().is_some_and(|code| code == "42P01") => Ok((0, 0)),
        Err(error) => Err(SchemaError::Unreadable(error)),
    }
}
