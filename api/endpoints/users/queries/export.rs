//! Exports: what is too long for a page, as a file that is made while it is read.

use std::io;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use futures_util::stream;
use jobs::{Assets, UserId};
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;

use crate::documents::texts::AssetCode;
use crate::endpoints::users::queries::export_rows::{Rows, Span};
use crate::endpoints::users::queries::transactions::{Row, show};
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::http::query::InQuery;
use crate::http::query::asset_in_query;
use crate::openapi::answers::{ExportRefused, UserUnknown};
use crate::state::Api;

/// How many rows are written at once: what a reader that stalls leaves waiting here.
const ROWS_AT_ONCE: usize = 500;

const HEADER: [&str; 14] = [
    "id",
    "at",
    "asset",
    "account",
    "what",
    "posted_change",
    "held_change",
    "posted",
    "held",
    "available",
    "job_id",
    "job_kind",
    "trade_id",
    "withdrawal_id",
];

/// What of a person's transactions is asked for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only this asset.
    #[param(value_type = Option<AssetCode>, nullable = false)]
    asset: Option<String>,
    /// Not before this time, such as `2026-01-01T00:00:00Z`.
    #[param(value_type = Option<DateTime<Utc>>, nullable = false)]
    from: Option<String>,
    /// Before this time.
    #[param(value_type = Option<DateTime<Utc>>, nullable = false)]
    to: Option<String>,
}

/// Export transactions
///
/// What happened to a person's money, as a file. All of it, newest first, as it was when it was
/// asked for: what comes meanwhile is left out. Rows are read while they are sent. If that fails
/// midway the connection is closed before the end of the body, so that what arrived cannot be
/// taken for the whole: a client that does not check that the body is complete must not trust
/// it. A client that takes nothing for 30 seconds is cut off.
///
/// Text that a spreadsheet would take for a formula has an apostrophe before it.
#[utoipa::path(
    get, path = "/v1/users/{id}/transactions.csv", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Wanted),
    responses(
        (status = 200, description = "A line of names, and one for each transaction", body = String,
            content_type = "text/csv",
            headers(("Content-Disposition" = String, description = "A name for the file"))),
        ExportRefused, UserUnknown,
    ),
)]
pub(crate) async fn get_transactions_csv(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Response, Problem> {
    let assets = api.assets.current().await;
    let asset = asset_in_query(&assets, wanted.asset.as_deref())?.map(|asset| asset.id);
    let span = Span { from: time("from", wanted.from.as_deref())?, to: time("to", wanted.to.as_deref())? };
    if let (Some(from), Some(to)) = (span.from, span.to)
        && from >= to
    {
        return Err(Problem::invalid("filter_invalid", "to must be later than from").field("to"));
    }
    require_user(&api.pool, id).await?;
    let permit = api.exports.begin()?;
    let rows = Rows::open(api.exports.pool.clone(), id, asset, span).await?;
    let mut export = Export { rows, assets, user: id, _permit: permit };
    // What can be refused is refused before anything is sent.
    let mut first = line(&HEADER).map_err(|error| Problem::internal(&error))?;
    let rest = match export.more().await? {
        Some(more) => {
            first.extend(more);
            Some(export)
        }
        None => None,
    };
    let rest = stream::unfold(rest, next);
    let body = Body::from_stream(stream::StreamExt::chain(stream::iter([Ok(Bytes::from(first))]), rest));
    let name = format!("attachment; filename=\"transactions-{id}.csv\"");
    let name = HeaderValue::from_str(&name).map_err(|error| Problem::internal(&error))?;
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8")),
        (header::CONTENT_DISPOSITION, name),
    ];
    Ok((StatusCode::OK, headers, body).into_response())
}

/// A time that a filter names.
fn time(field: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Problem> {
    let invalid = |_| {
        let detail = format!("{field} is a time such as 2026-01-01T00:00:00Z");
        Problem::invalid("filter_invalid", detail).field(field)
    };
    let time = text.map(DateTime::parse_from_rfc3339).transpose().map_err(invalid)?;
    Ok(time.map(|time| time.to_utc()))
}

/// An export that is under way. Nothing of it runs unless its reader takes something.
struct Export {
    rows: Rows,
    assets: Assets,
    user: UserId,
    _permit: OwnedSemaphorePermit,
}

impl Export {
    /// The next lines; `None` after the last one.
    async fn more(&mut self) -> Result<Option<Vec<u8>>, sqlx::Error> {
        let rows = self.rows.next(ROWS_AT_ONCE).await?;
        if rows.is_empty() {
            return Ok(None);
        }
        let mut writer = writer();
        for row in rows {
            write(&mut writer, row, &self.assets)?;
        }
        writer.into_inner().map(Some).map_err(|error| sqlx::Error::Encode(error.to_string().into()))
    }
}

/// What a body does next. After an error it says nothing more, and the connection is closed without
/// the end of the body.
async fn next(export: Option<Export>) -> Option<(io::Result<Bytes>, Option<Export>)> {
    let mut export = export?;
    match export.more().await {
        Ok(Some(lines)) => Some((Ok(lines.into()), Some(export))),
        Ok(None) => None,
        Err(error) => {
            tracing::error!(%error, user_id = export.user.0, "an export was cut off");
            Some((Err(io::Error::other(error)), None))
        }
    }
}

fn writer() -> csv::Writer<Vec<u8>> {
    csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(Vec::new())
}

fn line(fields: &[&str]) -> io::Result<Vec<u8>> {
    let mut writer = writer();
    writer.write_record(fields)?;
    writer.into_inner().map_err(|error| io::Error::other(error.to_string()))
}

fn write(writer: &mut csv::Writer<Vec<u8>>, row: Row, assets: &Assets) -> Result<(), sqlx::Error> {
    let row = show(row, assets)?;
    let text = |text: &str| no_formula(text);
    // Amounts are numbers that we have written, a minus sign included, and stay numbers.
    let fields = [
        text(&row.id),
        row.at.text(),
        text(&row.asset),
        text(&row.account),
        text(&row.what),
        row.change.posted,
        row.change.held,
        row.balance.posted,
        row.balance.held,
        row.balance.available,
        text(&row.job_id),
        text(&row.job_kind),
        // CSV has no null: what a job is not about is an empty field.
        text(row.trade_id.as_deref().unwrap_or("")),
        text(row.withdrawal_id.as_deref().unwrap_or("")),
    ];
    writer.write_record(fields).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// The text, so that no spreadsheet takes it for a formula.
fn no_formula(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']) { format!("'{text}") } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{HEADER, line, no_formula};

    #[test]
    fn nothing_is_a_formula() {
        for bad in ["=1+1", "+1", "-3-1", "@sum(a1)", "\tx", "\r=1", "\n=1"] {
            assert_eq!(no_formula(bad), format!("'{bad}"));
        }
        for good in ["", "3-1", "btc", "a=b", "'x"] {
            assert_eq!(no_formula(good), good);
        }
    }

    #[test]
    fn what_would_end_a_field_is_quoted() {
        let text = String::from_utf8(line(&["a,b", "say \"x\"", "two\nlines", "plain"]).unwrap()).unwrap();
        assert_eq!(text, "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\",plain\r\n");
        assert_eq!(line(&HEADER).unwrap().split(|byte| *byte == b',').count(), HEADER.len());
    }
}
