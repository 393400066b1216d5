//! What a batch may ask for, as the description of the API states it.

use jobs::{Kind, LockEscrow, Refund, Release, TradeEvent, UserRegister, WithdrawalRequest};
use serde_json::json;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, ArrayBuilder, ObjectBuilder, OneOfBuilder, SchemaType, Type,
};
use utoipa::openapi::{Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::documents::texts::KeyText;
use crate::endpoints::jobs::commands::batch::{Batch, JOBS_MAX};

/// The name of a kind and the name of what it carries.
struct Item {
    kind: &'static str,
    payload: String,
}

/// Defines what clients may ask for by the name of a kind.
macro_rules! items {
    ($($kind:ident),+ $(,)?) => {
        fn items() -> Vec<Item> {
            vec![$(Item { kind: <$kind as Kind>::NAME, payload: <$kind as ToSchema>::name().into_owned() }),+]
        }

        /// What the payloads are, and what they are made of.
        fn payloads(schemas: &mut Vec<(String, RefOr<Schema>)>) {
            $(
                schemas.push((<$kind as ToSchema>::name().into_owned(), <$kind as PartialSchema>::schema()));
                <$kind as ToSchema>::schemas(schemas);
            )+
        }
    };
}

items![UserRegister, LockEscrow, TradeEvent, Release, Refund, WithdrawalRequest];

impl PartialSchema for Batch<'_> {
    fn schema() -> RefOr<Schema> {
        let one = items().into_iter().fold(OneOfBuilder::new(), |one_of, Item { kind, payload }| {
            let item = ObjectBuilder::new()
                .title(Some(kind))
                .property("kind", ObjectBuilder::new().schema_type(Type::String).enum_values(Some([kind])))
                .property("key", Ref::from_schema_name(KeyText::name()))
                .property("payload", Ref::from_schema_name(payload))
                .required("kind")
                .required("key")
                .required("payload")
                .additional_properties(Some(AdditionalProperties::FreeForm(false)));
            one_of.item(item)
        });
        let any = AnyOfBuilder::new()
            .item(one)
            .item(ObjectBuilder::new().schema_type(SchemaType::AnyValue).description(Some("Answered `invalid`")))
            .description(Some("A job under a key of its own. Anything else is answered by itself"));
        let jobs = ArrayBuilder::new().items(any).min_items(Some(1)).max_items(Some(JOBS_MAX));
        ObjectBuilder::new()
            .property("jobs", jobs)
            .required("jobs")
            .additional_properties(Some(AdditionalProperties::FreeForm(false)))
            .examples([json!({ "jobs": [
                { "kind": "user-register", "key": "ann", "payload": {} },
                { "kind": "user-register", "key": "ben", "payload": {} },
            ] })])
            .into()
    }
}

impl ToSchema for Batch<'_> {
    fn name() -> std::borrow::Cow<'static, str> {
        "Batch".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((KeyText::name().into_owned(), KeyText::schema()));
        payloads(schemas);
    }
}
