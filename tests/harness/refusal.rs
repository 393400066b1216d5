use sqlx::Error;

/// How Postgres refused: the code and, where one is named, the constraint or the trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// SQLSTATE.
    pub(crate) code: String,
    /// What refused; empty for a missing right.
    pub(crate) constraint: String,
    /// In Postgres' words.
    pub(crate) message: String,
}

/// How the database refused.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Error>) -> Refusal {
    match result {
        Err(Error::Database(error)) => Refusal {
            code: error.code().unwrap_or_default().into_owned(),
            constraint: error.constraint().unwrap_or_default().to_owned(),
            message: error.message().to_owned(),
        },
        other => panic!("the database did not refuse: {other:?}"),
    }
}
