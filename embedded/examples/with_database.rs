//! Runs a command against a database that has just been migrated, in a cluster of its own:
//!
//! ```text
//! cargo run --example with_database -- [--migrations DIR] [--fsync] COMMAND [ARGUMENTS...]
//! ```
//!
//! The command finds the database in `DATABASE_URL` and, with `SQLX_OFFLINE=false`, sqlx asks it.
//! Neither this program nor what it depends on holds a query that is checked at compile time, so
//! refreshing the offline data never needs offline data that is still right.
//!
//! Without `-p embedded` it shares what it is built from with the other targets.
//!
//! `--fsync` makes commits reach the disk, without which no process of Holdfast starts.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use embedded::{Cluster, Options};
use sqlx::migrate::Migrator;
use sqlx::{Connection, PgConnection};
use tokio::process::Command;

const DATABASE: &str = "holdfast";

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let mut arguments = env::args_os().skip(1).peekable();
    let mut migrations = PathBuf::from("migrations");
    if arguments.next_if(|first| first == "--migrations").is_some() {
        migrations = arguments.next().context("--migrations needs a directory")?.into();
    }
    let fsync = arguments.next_if(|next| next == "--fsync").is_some();
    let Some(program) = arguments.next() else {
        bail!("usage: with_database [--migrations DIR] [--fsync] COMMAND [ARGUMENTS...]");
    };

    let mut options = Options::temporary();
    (options.fsync, options.progress) = (fsync, true);
    let cluster = Cluster::start(options).await?;
    let url = cluster.url("postgres", DATABASE);
    let mut server = PgConnection::connect(&cluster.url("postgres", "postgres")).await?;
    sqlx::raw_sql("create database holdfast").execute(&mut server).await?;
    server.close().await?;

    let mut migrator =
        Migrator::new(migrations.as_path()).await.with_context(|| format!("reading {}", migrations.display()))?;
    migrator.set_locking(false);
    let mut database = PgConnection::connect(&url).await?;
    migrator.run(&mut database).await.context("migrating")?;
    database.close().await?;

    let mut command = Command::new(&program);
    command.args(arguments).env("DATABASE_URL", &url).env("SQLX_OFFLINE", "false");
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_this_package(name)) {
        command.env_remove(name);
    }
    let status = command.status().await.with_context(|| format!("running {}", program.display()))?;
    cluster.stop().await?;
    // A command that a signal ended has no code.
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(code.map_or(ExitCode::FAILURE, ExitCode::from))
}

/// Whether cargo has told this process about its package. A cargo that it starts would take it for a change, and build
/// again what asks for such variables, and all that rests on that.
fn is_of_this_package(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_"))
}
