//! The texts that documents are made of, as the description of the API names them. Nothing is ever
//! one of these types: they stand where a field is a `String`, which says too little.

use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Defines a text: what it is, the pattern that it has and an example.
macro_rules! text {
    ($(#[doc = $doc:literal])* $name:ident, $pattern:expr, $example:expr) => {
        $(#[doc = $doc])*
        #[derive(Debug)]
        pub(crate) enum $name {}

        impl PartialSchema for $name {
            fn schema() -> RefOr<Schema> {
                let said = [$($doc),*].map(str::trim).join(" ");
                ObjectBuilder::new()
                    .schema_type(Type::String)
                    .description(Some(said))
                    .pattern(Some($pattern))
                    .examples([$example])
                    .into()
            }
        }

        impl ToSchema for $name {}
    };
}

text!(
    /// An id: opaque, and a string so that no digit is lost.
    Id,
    "^[1-9][0-9]{0,18}$",
    "4"
);
text!(
    /// The code of an asset.
    AssetCode,
    "^[a-z0-9]{2,20}$",
    "btc"
);
text!(
    /// An amount: decimal text with exactly as many places as the asset has.
    AmountText,
    "^(0|[1-9][0-9]*)(\\.[0-9]+)?$",
    "0.10000000"
);
text!(
    /// A balance or a change of one: decimal text with exactly as many places as the asset has, and
    /// a minus sign below zero.
    SignedAmountText,
    "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?$",
    "-0.10000000"
);
text!(
    /// A key of the client's own, which names one request of one kind for ever: printable ASCII
    /// characters, neither first nor last a space.
    KeyText,
    "^[!-~]([ -~]{0,253}[!-~])?$",
    "order-7-lock"
);
text!(
    /// A path on this server.
    PathText,
    "^/v1/",
    "/v1/jobs/4"
);
text!(
    /// A stable code, made for programs.
    CodeText,
    "^[a-z][a-z0-9_]*$",
    "insufficient_funds"
);
