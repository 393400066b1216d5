pub(crate) mod answers;
pub(crate) mod document;
pub(crate) mod page;
pub(crate) mod page_text;
pub(crate) mod params;
