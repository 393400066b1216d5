//! The headers that requests carry, as the description of the API states them.

use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Ref, Required};
use utoipa::{IntoParams, ToSchema};

use crate::documents::texts::KeyText;

/// The headers of a POST that asks for one job.
#[derive(Debug)]
pub(crate) enum Asking {}

impl IntoParams for Asking {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ParameterBuilder::new()
            .name("Idempotency-Key")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some(
                "Names this request for ever. The same request under the same key is answered with the same job; \
                 another one is refused with 422",
            ))
            .schema(Some(Ref::from_schema_name(KeyText::name())))
            .example(Some("order-7-lock".into()))
            .build();
        let prefer = header(
            "Prefer",
            "`wait=N` waits up to N seconds, at most 30, for what comes of the job. Anything else is ignored",
            "wait=5",
        );
        vec![key, prefer, trace_parent()]
    }
}

/// The headers of a batch, whose keys are in its body.
#[derive(Debug)]
pub(crate) enum AskingMany {}

impl IntoParams for AskingMany {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        vec![trace_parent()]
    }
}

/// The header of a callback, by which it is known.
#[derive(Debug)]
pub(crate) enum Signature {}

impl IntoParams for Signature {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let signature = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9a-fA-F]{128}$"));
        let signature = ParameterBuilder::new()
            .name("x-nowpayments-sig")
            .parameter_in(ParameterIn::Header)
            .required(Required::True)
            .description(Some("HMAC-SHA-512 of the body under the IPN secret, in hexadecimal digits"))
            .schema(Some(signature))
            .example(Some("00".repeat(64).into()))
            .build();
        vec![signature]
    }
}

/// The header of every request.
pub(crate) fn request_id() -> Parameter {
    header(
        "X-Request-Id",
        "Names this one request in logs and in its answer. Taken if it is 1 to 64 of A-Z a-z 0-9 . _ -; any other is \
         replaced by one of the server's",
        "checkout-7f3a",
    )
}

fn trace_parent() -> Parameter {
    header(
        "traceparent",
        "The W3C trace context that the job is to belong to. One that is not of version 00 is ignored",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
    )
}

/// A header that may be left out, and that no value of is refused.
fn header(name: &str, description: &str, example: &str) -> Parameter {
    ParameterBuilder::new()
        .name(name)
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(description))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some(example.into()))
        .build()
}
