//! What a query says of what is wanted, and how it is refused.

use axum::extract::{FromRequestParts, Query};
use axum::http::request::Parts;
use jobs::{Assets, UserId};
use ledger::Asset;
use serde::de::DeserializeOwned;

use crate::http::problem::Problem;

/// What the query says; 400 for one that says anything else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InQuery<T>(pub(crate) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for InQuery<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(wanted)) => Ok(Self(wanted)),
            Err(error) => Err(Problem::bad_request("query_invalid", error.body_text())),
        }
    }
}

/// The asset that a filter names.
///
/// # Errors
/// 422: there is no such asset.
pub(crate) fn asset_in_query<'a>(assets: &'a Assets, code: Option<&str>) -> Result<Option<&'a Asset>, Problem> {
    let asset = code.map(|code| {
        let unknown = || Problem::invalid("asset_unknown", "no such asset").field("asset");
        assets.by_code(code).map(|terms| &terms.asset).ok_or_else(unknown)
    });
    asset.transpose()
}

/// The person that a filter names; nobody need be registered under it.
///
/// # Errors
/// 422: it is not spelled as an id.
pub(crate) fn user_in_query(text: Option<&str>) -> Result<Option<UserId>, Problem> {
    let invalid = |_| Problem::invalid("filter_invalid", "user_id is not an id").field("user_id");
    text.map(str::parse).transpose().map_err(invalid)
}

/// One of the words that a filter may be.
///
/// # Errors
/// 422: it is none of them.
pub(crate) fn word_in_query<'a>(
    field: &str,
    text: Option<&'a str>,
    words: &[&str],
) -> Result<Option<&'a str>, Problem> {
    if text.is_some_and(|text| !words.contains(&text)) {
        let detail = format!("{field} is one of {}", words.join(", "));
        return Err(Problem::invalid("filter_invalid", detail).field(field));
    }
    Ok(text)
}
