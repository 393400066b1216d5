use std::io::IsTerminal;

use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::Log;
use crate::failure::Failure;

/// Logs go to standard error, so that standard output has only what was asked for.
///
/// # Errors
/// The filter does not read as one.
pub(crate) fn start(log: &Log, default: &str) -> Result<(), Failure> {
    let text = log.filter.as_deref().unwrap_or(default);
    let filter = text.parse::<Targets>().map_err(|error| {
        let message = format!("HOLDFAST_LOG is {text:?}, which is no filter; such as info or info,api=debug");
        Failure::cannot_start(anyhow::Error::new(error).context(message))
    })?;
    let registry = tracing_subscriber::registry().with(filter);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let started = if log.json {
        // What a line is about, such as the request, is the innermost span and said once.
        registry.with(lines.json().flatten_event(true).with_span_list(false)).try_init()
    } else {
        registry.with(lines.with_ansi(std::io::stderr().is_terminal()).with_target(false)).try_init()
    };
    started.map_err(|error| Failure::cannot_start(anyhow::anyhow!("logging cannot start: {error}")))
}
