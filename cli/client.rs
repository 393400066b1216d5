use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{RequestBuilder, Response};
use serde_json::Value;

/// Longest time that an answer may take; longer than any wait that is asked for.
const PATIENCE: Duration = Duration::from_mins(1);

/// A client of the HTTP API, as a submitter would write one.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
    key: String,
}

/// What the API answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// Whether the key had been used for the same request before.
    pub(crate) replayed: bool,
    /// The JSON body; null where there is none.
    pub(crate) body: Value,
}

impl Client {
    /// A client for the server at `base`, such as `http://127.0.0.1:8080`.
    ///
    /// # Errors
    /// The HTTP library cannot start.
    pub(crate) fn new(base: String, key: String) -> Result<Self> {
        // What a proxy would make of an address of this machine is not wanted.
        let http = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build()?;
        Ok(Self { http, base, key })
    }

    /// The address of the server.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// The key.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// Asks for something under a key, and for that many seconds waits for what comes of it.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn post(&self, path: &str, key: &str, wait_s: Option<u8>, body: &Value) -> Result<Answer> {
        let mut request = self.authorized(self.http.post(self.url(path))).header("Idempotency-Key", key).json(body);
        if let Some(seconds) = wait_s {
            request = request.header("Prefer", format!("wait={seconds}"));
        }
        answer(request).await.with_context(|| format!("POST {path}"))
    }

    /// Asks for many jobs at once. The answers are in the order of the jobs.
    ///
    /// # Errors
    /// No answer came, or it was not 202.
    pub(crate) async fn batch(&self, jobs: &[Value]) -> Result<Vec<Value>> {
        let path = "/v1/jobs:batch";
        let request = self.authorized(self.http.post(self.url(path))).json(&serde_json::json!({ "jobs": jobs }));
        let mut answer = answer(request).await.with_context(|| format!("POST {path}"))?;
        match answer.body.get_mut("jobs").map(Value::take) {
            Some(Value::Array(answers)) if answer.status == 202 && answers.len() == jobs.len() => Ok(answers),
            _ => Err(answer.unexpected(path)),
        }
    }

    /// Reads something.
    ///
    /// # Errors
    /// No answer came, or it was not 200.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        let answer = answer(self.authorized(self.http.get(self.url(path)))).await;
        let answer = answer.with_context(|| format!("GET {path}"))?;
        if answer.status == 200 { Ok(answer.body) } else { Err(answer.unexpected(path)) }
    }

    /// Reads something, whatever the answer is.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn look(&self, path: &str) -> Result<Answer> {
        let answer = answer(self.authorized(self.http.get(self.url(path)))).await;
        answer.with_context(|| format!("GET {path}"))
    }

    /// Delivers a callback of the payment provider.
    ///
    /// # Errors
    /// No answer came.
    pub(crate) async fn callback(&self, body: String, signature: &str) -> Result<Answer> {
        let path = "/webhooks/nowpayments";
        let request = self.http.post(self.url(path)).header(CONTENT_TYPE, "application/json");
        let request = request.header("x-nowpayments-sig", signature).body(body);
        answer(request).await.with_context(|| format!("POST {path}"))
    }

    /// Whether the server says that it is ready.
    pub(crate) async fn is_ready(&self) -> bool {
        self.http.get(self.url("/readyz")).send().await.is_ok_and(|response| response.status().is_success())
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    fn authorized(&self, request: RequestBuilder) -> RequestBuilder {
        request.header(AUTHORIZATION, format!("Bearer {}", self.key))
    }
}

impl Answer {
    /// The job that it tells of: the body itself, or what a problem encloses.
    pub(crate) fn job(&self) -> Option<&Value> {
        if self.body.get("kind").is_some() { Some(&self.body) } else { self.body.get("job") }
    }

    /// The code of a problem.
    pub(crate) fn code(&self) -> &str {
        text(&self.body, "code")
    }

    /// The id of the job.
    ///
    /// # Errors
    /// It tells of none.
    pub(crate) fn id(&self) -> Result<i64> {
        self.job().and_then(|job| id(job, "id")).ok_or_else(|| self.unexpected("a request for a job"))
    }

    /// What to say of an answer that does not fit.
    pub(crate) fn unexpected(&self, what: &str) -> anyhow::Error {
        anyhow!("{what} was answered {} {}", self.status, self.body)
    }
}

/// A member that is text; empty where there is none.
pub(crate) fn text<'a>(value: &'a Value, member: &str) -> &'a str {
    value.get(member).and_then(Value::as_str).unwrap_or_default()
}

/// A member that is an id.
pub(crate) fn id(value: &Value, member: &str) -> Option<i64> {
    text(value, member).parse().ok()
}

async fn answer(request: RequestBuilder) -> Result<Answer> {
    let response: Response = request.send().await?;
    let status = response.status().as_u16();
    let replayed = response.headers().contains_key("Idempotency-Replayed");
    let body = response.bytes().await?;
    let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
    Ok(Answer { status, replayed, body })
}
