use std::fmt::Write;
use std::process::ExitCode;

/// Why a command did not do what it was asked for, and with that how the process exits.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It cannot start: the call or the configuration is wrong. Exit status 2.
    CannotStart(anyhow::Error),
    /// Something went wrong on the way. Exit status 1.
    Failed(anyhow::Error),
    /// What it found is bad, and it has said so already. Exit status 1.
    Told,
}

impl Failure {
    /// For `map_err` where a process must not start.
    pub(crate) fn cannot_start(error: impl Into<anyhow::Error>) -> Self {
        Self::CannotStart(error.into())
    }

    /// The configuration is wrong: says what, and what to do.
    pub(crate) fn configuration(message: impl Into<String>) -> Self {
        Self::CannotStart(anyhow::Error::msg(message.into()))
    }

    /// The error that it is, for a caller who passes it on as one.
    pub(crate) fn into_error(self) -> anyhow::Error {
        match self {
            Self::CannotStart(error) | Self::Failed(error) => error,
            Self::Told => anyhow::anyhow!("what went wrong was told before"),
        }
    }

    /// Tells a person on standard error, and the caller by the status.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Self::CannotStart(error) => {
                eprintln!("{}", chain(error));
                ExitCode::from(2)
            }
            Self::Failed(error) => {
                eprintln!("{}", chain(error));
                ExitCode::FAILURE
            }
            Self::Told => ExitCode::FAILURE,
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Failed(error.into())
    }
}

/// The error and its causes, a line each. Some libraries repeat the cause in their own message;
/// what was just said is not said again.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut last = error.to_string();
    let mut text = format!("error: {last}");
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        if !last.ends_with(&cause) {
            // Writing to a string cannot fail.
            if write!(text, "\n  caused by: {cause}").is_err() {
                return text;
            }
            last = cause;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context;

    use super::chain;

    #[test]
    fn every_cause_has_its_line_and_none_is_said_twice() {
        let refused = || Err::<(), _>(std::io::Error::other("connection refused"));
        let twice = refused().map_err(|error| anyhow::anyhow!("talking to the server: {error}"));
        for (error, told) in [
            (anyhow::anyhow!("no"), "error: no"),
            (
                refused().context("the server does not answer").unwrap_err(),
                "error: the server does not answer\n  caused by: connection refused",
            ),
            (
                refused().context("talking to the server: connection refused").context("cannot start").unwrap_err(),
                "error: cannot start\n  caused by: talking to the server: connection refused",
            ),
            (twice.unwrap_err(), "error: talking to the server: connection refused"),
        ] {
            assert_eq!(chain(&error), told);
        }
    }
}
