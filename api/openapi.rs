//! The description of the API: what endpoints say of themselves, completed, as a document and as a page.

pub(crate) mod answers;
pub(crate) mod description;
pub(crate) mod document;
pub(crate) mod page;
pub(crate) mod page_text;
pub(crate) mod params;
pub(crate) mod problems;
