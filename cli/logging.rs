use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::Log;
use crate::failure::Failure;

/// Logs go to standard error, so that standard output has only what was asked for.
///
/// # Errors
/// The filter does not read as one.
pub(crate) fn start(log: &Log, default: &str) -> Result<(), Failure> {
    let text = log.filter.as_deref().unwrap_or(default);
    let filter = EnvFilter::try_new(text).map_err(|error| {
        let message = format!("HOLDFAST_LOG is {text:?}, which is no filter; such as info or info,api=debug");
        Failure::cannot_start(anyhow::Error::new(error).context(message))
    })?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if log.json {
        // What a line is about, such as the request, is the innermost span and said once.
        builder.json().flatten_event(true).with_span_list(false).try_init()
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).with_target(false).try_init()
    };
    started.map_err(|error| Failure::cannot_start(anyhow::anyhow!("logging cannot start: {error}")))
}
