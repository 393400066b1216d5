use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};

/// Defines an id that is a number in the database and an opaque string in JSON.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl FromStr for $name {
            type Err = NotAnId;

            fn from_str(text: &str) -> Result<Self, NotAnId> {
                parse_id(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl serde::de::Visitor<'_> for Text {
                    type Value = i64;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("an id as a string")
                    }
                    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<i64, E> {
                        parse_id(text).map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text).map(Self)
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
                id_schema().into()
            }
        }

        impl utoipa::ToSchema for $name {}
    };
}

id!(
    /// A person of the exchange: the id of the user-register job that made them.
    UserId
);
id!(
    /// A trade: the id of the lock-escrow job that opened it.
    TradeId
);
id!(
    /// A withdrawal: the id of the withdrawal-request job that made it.
    WithdrawalId
);
id!(
    /// A callback as it lies in the inbox.
    InboxId
);
id!(
    /// A job that another job is about.
    JobRef
);
id!(
    /// Who submits: a person or a service, whatever key they use.
    PrincipalId
);

impl PrincipalId {
    /// Holdfast itself, which causes follow-up jobs.
    pub const HOLDFAST: Self = Self(1);
    /// The payment provider, which causes deposit-credit through signed callbacks.
    pub const NOWPAYMENTS: Self = Self(2);
}

/// What names a payment at a provider: the provider and its own id for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PaymentKey {
    /// The provider, as stored.
    pub provider: &'static str,
    /// The provider's id, plain digits.
    pub payment_id: String,
}

/// The text is not an id that Holdfast gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an id")]
pub struct NotAnId;

/// What [`parse_id`] takes, but for the numbers of 19 digits that are above the largest id.
fn id_schema() -> Object {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some("An id: opaque, and a string so that no digit is lost"))
        .pattern(Some("^[1-9][0-9]{0,18}$"))
        .examples(["1"])
        .build()
}

/// Plain digits without a leading zero, as ids are printed; so one id has one spelling.
fn parse_id(text: &str) -> Result<i64, NotAnId> {
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !plain || text.starts_with('0') {
        return Err(NotAnId);
    }
    text.parse().map_err(|_| NotAnId)
}
