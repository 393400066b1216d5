//! What endpoints answer, as the description of the API states it: groups to name in a handler's
//! `responses(…)`. What every endpoint answers is added in `openapi`, once for all.

use std::collections::BTreeMap;

use jobs::Reason;
use serde_json::json;
use utoipa::openapi::extensions::ExtensionsBuilder;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{Content, Header, Ref, RefOr};
use utoipa::{IntoResponses, ToSchema};

use crate::documents::job::JobDocument;

/// The extension that names codes: of a response those that its status ever has, of an operation those that it
/// answers with, by status.
pub(crate) const CODES: &str = "x-codes";

/// Responses by status.
pub(crate) type Answers = BTreeMap<String, RefOr<Response>>;

/// The headers that tell of a job.
pub(crate) const TOLD: [(&str, &str); 3] = [
    ("Location", "The job, such as /v1/jobs/4"),
    ("Idempotency-Replayed", "`true` if the key had been used for this very request"),
    ("Preference-Applied", "The wait that was granted, such as wait=30"),
];
/// The codes of a body that cannot be read as JSON text.
const UNREADABLE: [&str; 2] = ["body_incomplete", "json_malformed"];
/// The codes of a key for a request that is none.
const NO_KEY: [&str; 2] = ["idempotency_key_malformed", "idempotency_key_missing"];
/// The codes of a payload that breaks a rule by itself: what [`jobs::Invalid`] carries, and what
/// cannot be stored or was asked for otherwise before.
const INVALID: [&str; 20] = [
    "amount_malformed",
    "amount_negative",
    "amount_out_of_range",
    "amount_too_fine",
    "amount_too_small",
    "amount_zero",
    "asset_unknown",
    "field_missing",
    "field_unexpected",
    "idempotency_conflict",
    "kyc_range",
    "minutes_range",
    "nothing_set",
    "pause_unknown",
    "payload_invalid",
    "reason_length",
    "self_trade",
    "text_form",
    "text_not_storable",
    "user_unknown",
];

/// A problem document with one of these codes. What all those of a status have in common, the document says once
/// for all ([`crate::openapi::problems`]).
pub(crate) fn problem(description: &str, codes: &[&str]) -> Response {
    let codes = ExtensionsBuilder::new().add(CODES, codes).build();
    ResponseBuilder::new().description(description).extensions(Some(codes)).build()
}

/// The same, as an entry of a group.
pub(crate) fn refusal(status: u16, description: &str, codes: &[&str]) -> (String, RefOr<Response>) {
    (status.to_string(), problem(description, codes).into())
}

/// A header of an answer.
pub(crate) fn header(description: &str, kind: Type) -> Header {
    let schema = ObjectBuilder::new().schema_type(kind);
    HeaderBuilder::new().schema(Some(schema)).description(Some(description)).build()
}

/// Adds the headers that every answer with a status has, whatever was asked.
pub(crate) fn add_headers(status: &str, answer: &mut Response) {
    let mut add = |name: &str, said: &str, kind: Type| {
        answer.headers.insert(name.to_owned(), header(said, kind).into());
    };
    add("X-Request-Id", "Names the request in the logs", Type::String);
    if matches!(status, "429" | "503") {
        add("Retry-After", "Seconds after which to try again", Type::Integer);
    }
    if status == "429" {
        add("RateLimit", "What is left, and the seconds until it is whole again", Type::String);
        add("RateLimit-Policy", "The burst, and the seconds in which it comes back", Type::String);
    }
    if matches!(status, "409" | "422") {
        for (name, said) in TOLD {
            add(name, said, Type::String);
        }
    }
    if status == "401" {
        add("WWW-Authenticate", "How to say who you are", Type::String);
    }
}

/// Why a body is not even read: what every endpoint with a body answers.
fn unread(bytes_max: usize) -> [(String, RefOr<Response>); 3] {
    let too_large = format!("The body has more than {bytes_max} bytes");
    [
        refusal(408, "The body did not arrive in time", &["body_timeout"]),
        refusal(413, &too_large, &["body_too_large"]),
        refusal(415, "Content-Type does not say application/json", &["content_type_unsupported"]),
    ]
}

/// What a POST that asks for one job answers.
#[derive(Debug)]
pub(crate) enum Submitted {}

impl IntoResponses for Submitted {
    fn responses() -> Answers {
        let reasons = |about_state: bool| {
            let those = Reason::ALL.into_iter().filter(move |reason| reason.is_about_state() == about_state);
            those.map(Reason::code)
        };
        let mut conflicts: Vec<&str> = reasons(true).chain(["rejected"]).collect();
        let mut invalid: Vec<&str> = reasons(false).chain(INVALID).collect();
        for codes in [&mut conflicts, &mut invalid] {
            codes.sort_unstable();
            codes.dedup();
        }
        let mut answers = Answers::from([
            ("200".to_owned(), job("Waited for, and settled", "settled").into()),
            ("202".to_owned(), job("Recorded for good; it is done later", "queued").into()),
            refusal(400, "The request cannot be read, or lacks its key", &[UNREADABLE, NO_KEY].concat()),
            refusal(409, "Waited for, and refused because of the state of things", &conflicts),
            refusal(
                422,
                "A rule forbids what the request says, or its key was used for another request; with `job` and \
                 Location if the job was recorded, waited for and refused",
                &invalid,
            ),
        ]);
        answers.extend(unread(crate::http::body::BODY_BYTES_MAX));
        answers
    }
}

/// A job document as an answer.
fn job(description: &str, state: &str) -> ResponseBuilder {
    let finished = (state == "settled").then_some("2026-01-05T12:00:00.012345Z");
    let run_at = (state == "queued").then_some("2026-01-05T12:00:00.004321Z");
    let mut example = json!({
        "id": "1", "kind": "user-register", "state": state, "attempts": i32::from(state == "settled"),
        "received_at": "2026-01-05T12:00:00.004321Z", "finished_at": finished, "run_at": run_at, "user_id": "1",
        "links": { "self": "/v1/jobs/1", "balances": "/v1/users/1/balances" },
    });
    if let Some(members) = example.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    let mut content = Content::new(Some(Ref::from_schema_name(JobDocument::name())));
    content.example = Some(example);
    told(ResponseBuilder::new().description(description).content("application/json", content))
}

/// With the headers that tell of a job.
fn told(response: ResponseBuilder) -> ResponseBuilder {
    TOLD.into_iter().fold(response, |response, (name, said)| response.header(name, header(said, Type::String)))
}

/// What whoever asks for too much is answered.
#[derive(Debug)]
pub(crate) enum Limited {}

impl IntoResponses for Limited {
    fn responses() -> Answers {
        Answers::from([refusal(429, "More than the rate of the principal, or of the address", &["rate_limited"])])
    }
}

/// What a batch answers.
#[derive(Debug)]
pub(crate) enum Batched {}

impl IntoResponses for Batched {
    fn responses() -> Answers {
        let mut answers = Answers::from([
            refusal(400, "The request cannot be read", &UNREADABLE),
            refusal(
                422,
                "It is no batch of 1 to 1000 jobs; a job that is not valid is answered by itself",
                &["batch_size", "payload_invalid", "text_not_storable"],
            ),
        ]);
        answers.extend(unread(crate::http::body::BATCH_BYTES_MAX));
        answers
    }
}

/// What a list answers to a query that it does not take.
#[derive(Debug)]
pub(crate) enum QueryRefused {}

impl IntoResponses for QueryRefused {
    fn responses() -> Answers {
        Answers::from([
            refusal(400, "The query cannot be read", &["query_invalid"]),
            refusal(
                422,
                "There is nothing such as the filter names, or no such place in this list",
                &["asset_unknown", "cursor_invalid", "filter_invalid"],
            ),
        ])
    }
}

/// What an export answers to a query that it does not take.
#[derive(Debug)]
pub(crate) enum ExportRefused {}

impl IntoResponses for ExportRefused {
    fn responses() -> Answers {
        Answers::from([
            refusal(400, "The query cannot be read", &["query_invalid"]),
            refusal(422, "There is nothing such as the query names", &["asset_unknown", "filter_invalid"]),
        ])
    }
}

/// What the list of jobs answers to a query that it does not take.
#[derive(Debug)]
pub(crate) enum JobsQueryRefused {}

impl IntoResponses for JobsQueryRefused {
    fn responses() -> Answers {
        Answers::from([
            refusal(400, "The query cannot be read", &["query_invalid"]),
            refusal(422, "There is no such kind, or no such place in this list", &["cursor_invalid", "kind_unknown"]),
        ])
    }
}

/// What a server that cannot do its work answers.
#[derive(Debug)]
pub(crate) enum NotReady {}

impl IntoResponses for NotReady {
    fn responses() -> Answers {
        Answers::from([refusal(503, "It cannot, just now", &["not_ready", "timeout"])])
    }
}

/// What the webhook of the payment provider answers when it takes nothing.
#[derive(Debug)]
pub(crate) enum CallbackRefused {}

impl IntoResponses for CallbackRefused {
    fn responses() -> Answers {
        let malformed = [
            "body_incomplete",
            "duplicate_key",
            "not_json",
            "not_utf8",
            "signature_length",
            "signature_not_hex",
            "too_deep",
        ];
        let not_now =
            ["database_unavailable", "no_secret", "overloaded", "stopping", "timeout", "webhooks_not_configured"];
        Answers::from([
            refusal(400, "The request is malformed", &malformed),
            refusal(401, "Nothing shows that the provider sent it", &["mismatch", "missing_signature"]),
            refusal(408, "The body did not arrive in time", &["body_timeout"]),
            refusal(413, "The body is too large", &["body_too_large", "body_too_long"]),
            refusal(503, "Not available just now; the provider sends it again", &not_now),
        ])
    }
}

/// What is answered of something that was refused long ago.
#[derive(Debug)]
pub(crate) enum PayloadDropped {}

impl IntoResponses for PayloadDropped {
    fn responses() -> Answers {
        let description = "It was refused, and what was asked is dropped because of its age; the job is still there";
        Answers::from([refusal(410, description, &["payload_dropped"])])
    }
}

/// Defines the 404 of an endpoint.
macro_rules! unknown {
    ($($name:ident: $code:literal, $description:literal;)+) => {
        $(
            #[doc = concat!("404: ", $description)]
            #[derive(Debug)]
            pub(crate) enum $name {}

            impl IntoResponses for $name {
                fn responses() -> Answers {
                    Answers::from([refusal(404, $description, &[$code])])
                }
            }
        )+
    };
}

unknown! {
    JobUnknown: "job_unknown", "No such job";
    TradeUnknown: "trade_unknown", "No such trade";
    UserUnknown: "user_unknown", "No such user is registered";
    WithdrawalUnknown: "withdrawal_unknown", "No such withdrawal";
}
