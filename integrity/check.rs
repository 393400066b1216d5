//! What a check is.

use std::fmt;

use serde::Serialize;

/// One thing that must be true, and the rows that say otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Stable.
    pub name: &'static str,
    /// What is true if nothing was found: one sentence.
    pub proves: &'static str,
    /// How many contradictions there are.
    pub count: i64,
    /// The first [`Check::ROWS_MAX`] of them, with the ids and figures.
    pub rows: Vec<String>,
}

impl Check {
    /// How many rows are shown at most; every statement stops there.
    pub const ROWS_MAX: usize = 20;

    /// What a statement has found.
    pub(crate) fn of(name: &'static str, proves: &'static str, findings: Vec<Finding>) -> Self {
        let count = findings.first().map_or(0, |finding| finding.total);
        Self { name, proves, count, rows: findings.into_iter().map(|finding| finding.row).collect() }
    }

    /// Whether nothing contradicts it.
    pub const fn is_clean(&self) -> bool {
        self.count == 0
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_clean() {
            return write!(f, "  ok    {:<32} {}", self.name, self.proves);
        }
        write!(f, "  FAIL  {:<32} {} Not so: {}", self.name, self.proves, self.count)?;
        for row in &self.rows {
            write!(f, "\n          {row}")?;
        }
        let shown = i64::try_from(self.rows.len()).unwrap_or(i64::MAX);
        if self.count > shown {
            write!(f, "\n          and {} more", self.count.saturating_sub(shown))?;
        }
        Ok(())
    }
}

/// One contradiction, and how many there are in all.
pub(crate) struct Finding {
    pub(crate) row: String,
    pub(crate) total: i64,
}

/// Runs a statement that yields `row!` and `total!`, at most [`Check::ROWS_MAX`] of them.
///
/// It ends in `limit (select 20)`. Where the server knows that 20 rows are asked for, it takes them to be found early
/// and walks through a whole table in the order of its key, page by page at random, to find none.
macro_rules! check {
    ($db:ident, $name:literal, $proves:literal, $sql:literal $(, $argument:expr)*) => {
        sqlx::query_as!(crate::check::Finding, $sql $(, $argument)*)
            .fetch_all($db)
            .await
            .map(|findings| crate::check::Check::of($name, $proves, findings))
    };
}
pub(crate) use check;
