use axum::http::HeaderValue;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::openapi::OpenApi;

use crate::openapi::document::complete;
use crate::openapi::page::{STYLE, page};

/// The description of the API as it is served.
#[derive(Debug)]
pub(crate) struct Description {
    /// An `OpenAPI` 3.1 document as JSON text.
    pub(crate) text: String,
    /// The same as a page to read.
    pub(crate) page: String,
    /// What lets a browser use the one style of the page and nothing else.
    pub(crate) policy: HeaderValue,
}

impl Description {
    /// The description of what the handlers say of themselves.
    ///
    /// # Errors
    /// It cannot be written down.
    pub(crate) fn of(described: OpenApi) -> Result<Self, String> {
        let text = complete(described).to_json().map_err(|error| error.to_string())?;
        let document: Value = serde_json::from_str(&text).map_err(|error| error.to_string())?;
        let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
        let policy = format!(
            "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        let policy = HeaderValue::from_str(&policy).map_err(|error| error.to_string())?;
        Ok(Self { page: page(&document).into_string(), text, policy })
    }
}
