use anyhow::Context;

use crate::config;
use crate::database::{open_as_owner, require_schema};
use crate::failure::Failure;
use crate::say::say;

/// `holdfast verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = config::help::OWNER)]
pub(crate) struct Arguments {
    /// Print the report as JSON, for a program: at, schema, checks, totals
    #[arg(long)]
    json: bool,
}

/// Checks the books and prints what was found.
///
/// # Errors
/// [`Failure::Told`] for a breach. Where the checks could not run, nothing is known, which is not
/// the same as clean: the process exits 2.
pub(crate) async fn run(arguments: Arguments) -> Result<(), Failure> {
    let url = config::owner_database()?;
    let pool = open_as_owner(&url, "holdfast verify").await?;
    require_schema(&pool).await?;
    let found = integrity::verify(&pool).await;
    let found = found.context("the checks could not run").map_err(Failure::cannot_start)?;
    pool.close().await;
    if arguments.json {
        let text = serde_json::to_string_pretty(&found).context("the report cannot be written");
        say(text.map_err(Failure::cannot_start)?);
    } else {
        say(found.to_string().trim_end());
    }
    if found.is_clean() { Ok(()) } else { Err(Failure::Told) }
}
