//! Times as answers carry them.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A moment as RFC 3339 in UTC with exactly six digits of a second, which is all that Postgres
/// keeps: of two such texts the later one is the greater one, and in every document, list and file a
/// moment is the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(DateTime<Utc>);

impl Time {
    pub(crate) fn text(self) -> String {
        self.0.to_rfc3339_opts(SecondsFormat::Micros, true)
    }
}

impl From<DateTime<Utc>> for Time {
    fn from(time: DateTime<Utc>) -> Self {
        Self(time)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text())
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A moment in UTC, always with six digits of a second."))
            .examples(["2026-01-05T12:00:00.012345Z"])
            .into()
    }
}

impl ToSchema for Time {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use chrono::DateTime;

    use super::Time;

    #[test]
    fn a_time_has_six_digits_whatever_they_are() {
        for (micros, text) in [
            (0, "2026-01-05T12:00:00.000000Z"),
            (5_000, "2026-01-05T12:00:00.005000Z"),
            (12_345, "2026-01-05T12:00:00.012345Z"),
        ] {
            let time = DateTime::from_timestamp_micros(1_767_614_400_000_000 + micros).unwrap();
            assert_eq!(serde_json::to_value(Time::from(time)).unwrap(), text);
        }
    }
}
