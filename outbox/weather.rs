/// What kind of trouble an error of the database is (RULES 7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The data cannot be stored, now or ever: some job of the batch is at fault.
    Data,
    /// The world is not as it should be: the whole batch is tried again, and no job is blamed.
    Weather,
}

/// Tells data from weather. What is not known to be data is weather: a job is never parked for
/// something that might pass.
#[expect(clippy::wildcard_enum_match_arm, reason = "the enum is open, and what is unknown is weather")]
pub fn trouble(error: &sqlx::Error) -> Trouble {
    match error {
        sqlx::Error::Database(error) => match error.code() {
            Some(code) if is_data(&code) => Trouble::Data,
            Some(_) | None => Trouble::Weather,
        },
        // RowNotFound: a settling statement did not hit the rows that it meant to. That is a race
        // that was lost, or rows that contradict each other; halving serves both.
        sqlx::Error::Encode(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::RowNotFound => Trouble::Data,
        _ => Trouble::Weather,
    }
}

/// Classes 22 (data exception) and 23 (integrity constraint), and P0001 (a raise without a code).
fn is_data(code: &str) -> bool {
    code.starts_with("22") || code.starts_with("23") || code == "P0001"
}
