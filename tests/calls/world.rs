//! A server on the loopback that sends, and the client that calls it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jobs::Reply;
use settlement::{Caller, PlannedCall};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use super::kind::{Answer, Request};

/// How the server answers what it is asked to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Manner {
    /// It sends and says so.
    #[default]
    Good,
    /// It does not send, and says so in an error of its own.
    Refuses,
    /// It sends, and answers with an error of somebody in between.
    Fails,
    /// The same, of another sort.
    Forbids,
    /// It sends and never answers.
    Hangs,
}

#[derive(Debug, Default)]
struct Seen {
    manner: Manner,
    calls: HashMap<i64, u32>,
    sent: HashMap<i64, u32>,
}

/// The server, which goes with this.
#[derive(Debug)]
pub(super) struct World {
    pub(super) base: String,
    seen: Arc<Mutex<Seen>>,
    _serving: JoinSet<()>,
}

impl World {
    pub(super) async fn new() -> Self {
        let seen = Arc::<Mutex<Seen>>::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new()
            .route("/sends/{id}", post(send))
            .route("/sends/{id}", get(look))
            .with_state(Arc::clone(&seen));
        let mut serving = JoinSet::new();
        serving.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { base, seen, _serving: serving }
    }

    /// From now on it answers so.
    pub(super) fn behaves(&self, manner: Manner) {
        self.seen.lock().unwrap().manner = manner;
    }

    /// How often it was asked to send something, and how often it sent it.
    pub(super) fn seen(&self, id: i64) -> (u32, u32) {
        let seen = self.seen.lock().unwrap();
        let of = |counts: &HashMap<i64, u32>| counts.get(&id).copied().unwrap_or_default();
        (of(&seen.calls), of(&seen.sent))
    }
}

/// What was sent under a number is not sent again.
async fn send(State(seen): State<Arc<Mutex<Seen>>>, Path(id): Path<i64>) -> Response {
    let manner = {
        let mut seen = seen.lock().unwrap();
        *seen.calls.entry(id).or_default() += 1;
        if seen.manner != Manner::Refuses {
            seen.sent.insert(id, 1);
        }
        seen.manner
    };
    match manner {
        Manner::Good => Json(Answer { sent: 1 }).into_response(),
        Manner::Refuses => (StatusCode::UNPROCESSABLE_ENTITY, r#"{"code":"not_today"}"#).into_response(),
        Manner::Fails => (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response(),
        Manner::Forbids => (StatusCode::FORBIDDEN, "<html>who are you?</html>").into_response(),
        Manner::Hangs => std::future::pending().await,
    }
}

async fn look(State(seen): State<Arc<Mutex<Seen>>>, Path(id): Path<i64>) -> Json<Answer> {
    Json(Answer { sent: seen.lock().unwrap().sent.get(&id).copied().unwrap_or_default() })
}

/// Calls the server.
#[derive(Debug)]
pub(super) struct Http {
    client: reqwest::Client,
    base: String,
}

impl Http {
    pub(super) fn new(base: &str) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, base: base.to_owned() }
    }

    async fn ask(&self, request: &str) -> reqwest::Result<Reply<String>> {
        let request = match serde_json::from_str(request).unwrap() {
            Request::Send(id) => self.client.post(format!("{}/sends/{id}", self.base)),
            Request::Look(id) => self.client.get(format!("{}/sends/{id}", self.base)),
        };
        let response = request.send().await?;
        let (status, body) = (response.status(), response.text().await?);
        Ok(match status.as_u16() {
            200 => Reply::Answered(body),
            422 if body == r#"{"code":"not_today"}"# => Reply::Refused("not_today".to_owned()),
            _ => Reply::Unknown(format!("{status}: {body}")),
        })
    }
}

impl Caller for Http {
    fn call<'a>(&'a self, planned: &'a PlannedCall) -> BoxFuture<'a, Reply<String>> {
        let asked = self.ask(planned.request());
        asked.map(|reply| reply.unwrap_or_else(|error| Reply::Unknown(error.to_string()))).boxed()
    }
}
