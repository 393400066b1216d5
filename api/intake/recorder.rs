use std::time::Duration;

use chrono::{DateTime, Utc};
use outbox::{Ask, Recorded, Trouble};
use sqlx::PgConnection;

use crate::intake::gather::{Gathered, Gatherer};
use crate::intake::line::Line;

/// Records what requests ask for.
pub(crate) type Recorder = Gatherer<Ask>;

/// What became of an ask.
#[derive(Clone, Debug)]
pub(crate) enum Written {
    /// Committed, now or before; and when it was received, if that is now.
    Recorded(Recorded, Option<DateTime<Utc>>),
    /// It alone cannot be stored: text that jsonb refuses.
    NotStorable,
    /// It alone breaks a constraint, which no request should be able to.
    Broken(String),
    /// The database did not answer. It may or may not be recorded; the key tells, when it is sent
    /// again.
    Unavailable(String),
}

/// One statement, which is its own transaction; its jobs are dated at its beginning.
impl Gathered for Ask {
    type Written = Written;

    const STATEMENT_TIMEOUT: &'static str = "5s";
    const ROUND_MAX: usize = 1_000;
    const BESIDE_AFTER: Duration = Duration::ZERO;
    const COMMIT_WITHIN: Duration = Duration::from_secs(8);

    async fn commit(db: &mut PgConnection, all: &[Self]) -> Result<Vec<Written>, sqlx::Error> {
        let (recorded, at) = outbox::record(db, all).await?;
        Ok(recorded.into_iter().map(|each| Written::Recorded(each, at)).collect())
    }

    async fn failed(&self, _: &mut Line, error: &sqlx::Error) -> Written {
        unrecorded(error)
    }

    fn lane(&self, written: &Written) -> Option<&'static str> {
        matches!(written, Written::Recorded(Recorded::New(_), _)).then_some(self.lane)
    }
}

/// Class 22 is text or a number that cannot be stored; the constraints of class 23 are checked
/// before, so a violation is a fault of ours.
fn unrecorded(error: &sqlx::Error) -> Written {
    let text_refused =
        error.as_database_error().and_then(sqlx::error::DatabaseError::code).is_some_and(|code| code.starts_with("22"));
    match outbox::trouble(error) {
        Trouble::Data if text_refused => Written::NotStorable,
        Trouble::Data => Written::Broken(error.to_string()),
        Trouble::Weather => Written::Unavailable(error.to_string()),
    }
}
