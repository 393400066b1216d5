use std::fmt::Display;
use std::io::Write;

/// Prints a line on standard output.
///
/// Where nobody reads any more (`holdfast verify | head`) there is nobody to tell; the work goes
/// on, and the exit status still says how it ended.
pub(crate) fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        tracing::trace!("standard output is closed");
    }
}
