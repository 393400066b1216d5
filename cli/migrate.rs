use anyhow::Context;
use outbox::SCHEMA_VERSION;
use sqlx::PgPool;

use crate::config;
use crate::database::{Schema, open_as_owner, schema};
use crate::failure::Failure;
use crate::say::say;

/// Brings the schema up to date and says what was done.
///
/// # Errors
/// The database cannot be reached, or a migration fails; what ran before it stands.
pub(crate) async fn run() -> Result<(), Failure> {
    let url = config::owner_database()?;
    let pool = open_as_owner(&url, "holdfast migrate").await?;
    let before = schema(&pool).await.context("the schema cannot be read")?;
    if before.version > SCHEMA_VERSION {
        return newer(before);
    }
    outbox::migrate(&pool).await.with_context(|| format!("migrating from schema {} failed", before.version))?;
    let after = schema(&pool).await.context("the schema cannot be read")?;
    if after == before {
        say(format_args!("schema {}, nothing to do", after.version));
    } else {
        say(format_args!("schema {} -> {}", before.version, after.version));
    }
    if let Some(advice) = logins(&pool).await? {
        say(advice);
    }
    pool.close().await;
    Ok(())
}

/// A rollback runs `migrate` too: a newer schema is right as long as this binary may use it.
fn newer(found: Schema) -> Result<(), Failure> {
    if found.oldest_binary > SCHEMA_VERSION {
        return Err(Failure::Failed(anyhow::anyhow!(
            "the database needs a binary for schema {} or newer, this one is for {SCHEMA_VERSION}",
            found.oldest_binary
        )));
    }
    say(format_args!(
        "schema {}, newer than this binary's {SCHEMA_VERSION} and fit for it, nothing to do",
        found.version
    ));
    Ok(())
}

/// What an operator has left to do so that `web` and `worker` can log in: give the two roles
/// passwords. Nothing where the server is reached through a socket of this machine, which usually
/// asks for none, and nothing where both have one.
async fn logins(pool: &PgPool) -> Result<Option<String>, Failure> {
    let seen = sqlx::query!(
        r#"
        select inet_server_addr() is null as "local!",
            has_table_privilege('pg_catalog.pg_authid', 'select') as "may_see!"
        "#
    )
    .fetch_one(pool)
    .await?;
    if seen.local {
        return Ok(None);
    }
    let missing = if seen.may_see {
        sqlx::query_scalar!(
            r#"
            select rolname::text as "name!" from pg_authid
            where rolname in ('holdfast_api', 'holdfast_worker') and rolpassword is null order by rolname
            "#
        )
        .fetch_all(pool)
        .await?
    } else {
        vec!["holdfast_api".to_owned(), "holdfast_worker".to_owned()]
    };
    if missing.is_empty() {
        return Ok(None);
    }
    let lines: Vec<String> = missing.iter().map(|role| format!("  alter role {role} password '…';")).collect();
    let when = if seen.may_see { "these logins have no password yet" } else { "unless they have passwords already" };
    Ok(Some(format!(
        "{when}; give them one:\n{}\nthen set DATABASE_URL_API and DATABASE_URL_WORKER to the addresses of \
         holdfast_api and holdfast_worker",
        lines.join("\n")
    )))
}
