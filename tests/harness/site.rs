use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ::api::{Config, Limits, app, key_hash, new_key, serve};
use outbox::Ears;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Client, Method};
use serde_json::{Value, json};
use settlement::Settler;
use simulators::nowpayments::{Payment, sign};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::contract::check;
use super::{Db, IPN_SECRET, SUBMITTER, ipn_secrets, payment, until};

/// Longest time that a call may take: longer than the longest wait that a client may prefer.
const ANSWERED_WITHIN: Duration = Duration::from_mins(1);

static KEY: AtomicU64 = AtomicU64::new(1);

/// The HTTP side of a database on a port of its own, as one process of it would be, and a client.
pub(crate) struct Site {
    /// Where it listens, such as `127.0.0.1:40001`.
    pub(crate) address: String,
    /// The key that calls are made with unless they say otherwise.
    pub(crate) secret: String,
    http: Client,
    shutdown: oneshot::Sender<()>,
    serving: JoinSet<()>,
    working: JoinSet<()>,
}

impl Site {
    /// A site with a key that may submit and read, and nobody who works.
    pub(crate) async fn new(db: &Db) -> Self {
        let pool = db.pool("holdfast_api", 8).await;
        Self::with(db, Config::new(pool, ipn_secrets())).await
    }

    /// A site and a worker, so that whoever waits for an outcome gets one.
    pub(crate) async fn working(db: &Db) -> Self {
        let mut site = Self::new(db).await;
        site.employ(db).await;
        site
    }

    /// A site with other limits.
    pub(crate) async fn limited(db: &Db, limits: Limits) -> Self {
        let pool = db.pool("holdfast_api", 8).await;
        Self::with(db, Config { limits, ..Config::new(pool, ipn_secrets()) }).await
    }

    /// A site that is configured otherwise.
    pub(crate) async fn with(db: &Db, config: Config) -> Self {
        let app = app(config).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (shutdown, told) = oneshot::channel();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            // A site that is dropped is shut down too.
            let told = async { drop(told.await) };
            serve(listener, app, told).await.unwrap();
        });
        let secret = db.key(SUBMITTER, &["submit", "read"]).await;
        let http = Client::builder().no_proxy().timeout(ANSWERED_WITHIN).build().unwrap();
        Self { address, secret, http, shutdown, serving, working: JoinSet::new() }
    }

    /// Adds a worker of the ledger lane that runs until the site is gone.
    pub(crate) async fn employ(&mut self, db: &Db) {
        let settler = db.settler_on(db.pool("holdfast_worker", 2).await, 256).await;
        self.put_to_work(db, settler).await;
    }

    /// Adds a worker of the operators' lane that runs until the site is gone.
    pub(crate) async fn employ_operator(&mut self, db: &Db) {
        let settler = db.operate_settler().await;
        self.put_to_work(db, settler).await;
    }

    async fn put_to_work(&mut self, db: &Db, settler: Settler) {
        let mut ears = Ears::new(db.worker.clone(), settler.lane(), Duration::from_millis(50));
        ears.listen().await;
        self.working.spawn(async move {
            loop {
                match settler.claim().await.unwrap() {
                    Some(batch) => drop(settler.settle(batch).await.unwrap()),
                    None => ears.wait().await,
                }
            }
        });
    }

    /// Shuts the site down in order, and returns when it has.
    pub(crate) async fn stop(mut self) {
        self.shutdown.send(()).unwrap();
        self.serving.join_next().await.unwrap().unwrap();
    }

    /// A call with the key of this site.
    pub(crate) fn call(&self, method: Method, path: &str) -> Call {
        let url = format!("http://{}{path}", self.address);
        let call = Call { http: self.http.clone(), method, url, headers: HeaderMap::new(), body: None };
        call.bearer(Some(&self.secret))
    }

    /// A GET with the key of this site.
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path).answer().await
    }

    /// What a GET that succeeds finds.
    pub(crate) async fn found(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// A POST of a JSON value under a fresh idempotency key.
    pub(crate) fn post(&self, path: &str, body: &Value) -> Call {
        self.post_text(path, &body.to_string())
    }

    /// A POST of a text under a fresh idempotency key.
    pub(crate) fn post_text(&self, path: &str, body: &str) -> Call {
        self.call(Method::POST, path).key(&fresh_key()).body("application/json", body.to_owned())
    }

    /// A POST that is waited for and settles. Its job.
    pub(crate) async fn settled(&self, path: &str, body: &Value) -> i64 {
        let answer = self.post(path, body).wait(20).answer().await;
        assert_eq!((answer.status, answer.body["state"].as_str()), (200, Some("settled")), "{path} {body}: {answer:?}");
        answer.job()
    }

    /// Registers people. Their ids.
    pub(crate) async fn people<const N: usize>(&self) -> [i64; N] {
        let mut ids = [0; N];
        for id in &mut ids {
            *id = self.settled("/v1/users", &json!({})).await;
        }
        ids
    }

    /// The provider calls back with a body and its signature.
    pub(crate) fn hook(&self, body: &[u8]) -> Call {
        let call = self.call(Method::POST, "/webhooks/nowpayments").bearer(None);
        call.body("application/json", body.to_vec()).header("x-nowpayments-sig", &sign(IPN_SECRET, body))
    }

    /// The provider tells of a payment, and it is taken.
    pub(crate) async fn told(&self, payment: &Payment) {
        let answer = self.hook(payment.body().as_bytes()).answer().await;
        assert_eq!((answer.status, &answer.body), (200, &json!({ "status": "stored" })), "{answer:?}");
    }

    /// Gives a person money by a callback, and returns when it is credited.
    pub(crate) async fn fund(&self, user: i64, asset: &str, amount: &str) {
        let before = self.balance(user, asset).await;
        self.told(&payment(user, asset, amount)).await;
        until("the money is credited", async || self.balance(user, asset).await != before).await;
    }

    /// What a person has of an asset: `available 0.4 of 0.9, owed 0`; `nothing` without accounts.
    pub(crate) async fn balance(&self, user: i64, asset: &str) -> String {
        let document = self.found(&format!("/v1/users/{user}/balances")).await;
        assert_eq!(document["user_id"], user.to_string());
        let balances = document["balances"].as_array().unwrap();
        let Some(balance) = balances.iter().find(|balance| balance["asset"] == asset) else {
            return "nothing".to_owned();
        };
        let part = |name: &str| balance[name].as_str().unwrap().to_owned();
        assert_eq!(minor(&part("posted")), minor(&part("held")) + minor(&part("available")));
        format!("available {} of {}, owed {}", part("available"), part("posted"), part("owed"))
    }
}

/// A key that nothing was asked under.
pub(crate) fn fresh_key() -> String {
    format!("http-{:06}", KEY.fetch_add(1, Ordering::Relaxed))
}

/// Minor units out of the text of an amount in its asset's scale.
pub(crate) fn minor(amount: &str) -> i128 {
    amount.replace('.', "").parse().unwrap()
}

/// A request that is being put together.
#[derive(Debug)]
pub(crate) struct Call {
    http: Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Option<Body>,
}

impl Call {
    /// With this API key, or with none.
    pub(crate) fn bearer(mut self, secret: Option<&str>) -> Self {
        self.headers.remove(AUTHORIZATION);
        match secret {
            Some(secret) => self.header("authorization", &format!("Bearer {secret}")),
            None => self,
        }
    }

    /// Under this idempotency key and no other.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.headers.remove("idempotency-key");
        self.header("idempotency-key", key)
    }

    /// Under no idempotency key.
    pub(crate) fn without_key(mut self) -> Self {
        self.headers.remove("idempotency-key");
        self
    }

    /// Without the signature of a callback.
    pub(crate) fn without_signature(mut self) -> Self {
        self.headers.remove("x-nowpayments-sig");
        self
    }

    /// Waits for the outcome for that many seconds.
    pub(crate) fn wait(self, seconds: u32) -> Self {
        self.header("prefer", &format!("wait={seconds}"))
    }

    /// With one header line more.
    pub(crate) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
        self
    }

    /// With this body, and a content type unless it is empty.
    pub(crate) fn body(mut self, content_type: &str, body: impl Into<Body>) -> Self {
        self.headers.remove(CONTENT_TYPE);
        self.body = Some(body.into());
        if content_type.is_empty() { self } else { self.header("content-type", content_type) }
    }

    /// Sends it. Whatever it answers has the headers of every answer, and if it is a refusal, a
    /// problem document with all of its members.
    pub(crate) async fn answer(self) -> Answer {
        let Self { http, method, url, headers, body } = self;
        let sent = body.as_ref().and_then(Body::as_bytes).map(<[u8]>::to_vec);
        let mut request = http.request(method.clone(), &url).headers(headers);
        if let Some(body) = body {
            request = request.body(body);
        }
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let text = response.text().await.unwrap();
        let is_json = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().ends_with(b"json"));
        let body = match serde_json::from_str(&text) {
            Ok(body) => body,
            Err(_) if !is_json => Value::String(text),
            Err(error) => panic!("{url} answered {status} {text}: {error}"),
        };
        let answer = Answer { status, headers, body };
        answer.check();
        let path = url.trim_start_matches("http://").find('/').map_or("/", |at| &url["http://".len() + at..]);
        check(&method, path, sent.as_deref(), &answer);
        answer
    }
}

/// What came back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    fn check(&self) {
        let id = self.header("x-request-id").unwrap_or_default();
        assert!(!id.is_empty(), "{self:?}");
        assert_eq!(self.header("x-content-type-options"), Some("nosniff"), "{self:?}");
        assert_eq!(self.header("cache-control"), Some("no-store"), "{self:?}");
        assert_eq!(self.header("referrer-policy"), Some("no-referrer"), "{self:?}");
        assert_eq!(self.header("x-frame-options"), Some("DENY"), "{self:?}");
        assert!(self.header("content-security-policy").unwrap().starts_with("default-src 'none'; "), "{self:?}");
        assert_eq!(self.header("server"), None, "{self:?}");
        if self.status < 400 {
            let kind = self.header("content-type").unwrap();
            let kinds = [
                "application/json",
                "text/html; charset=utf-8",
                "text/plain; version=0.0.4",
                "text/csv; charset=utf-8",
            ];
            assert!(kinds.contains(&kind), "{self:?}");
            return;
        }
        assert_eq!(self.header("content-type"), Some("application/problem+json"), "{self:?}");
        let text = |member: &str| self.body[member].as_str().unwrap_or_else(|| panic!("no {member}: {self:?}"));
        assert_eq!(text("type"), format!("urn:holdfast:problem:{}", text("code")));
        assert!(!text("title").is_empty() && !text("detail").is_empty(), "{self:?}");
        assert_eq!((self.body["status"].as_u64(), text("request_id")), (Some(self.status.into()), id));
        let retryable = self.status >= 500 || matches!(self.status, 408 | 429);
        assert_eq!(self.body["retryable"], retryable, "{self:?}");
    }

    /// A header that is there once.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.headers.get_all(name).iter();
        let line = lines.next()?;
        assert!(lines.next().is_none(), "{name} is there twice: {self:?}");
        line.to_str().ok()
    }

    /// The job of a job document, or of the problem that its rejection is.
    pub(crate) fn job(&self) -> i64 {
        let document = if self.body["job"].is_object() { &self.body["job"] } else { &self.body };
        let id: i64 = document["id"].as_str().unwrap_or_else(|| panic!("no job: {self:?}")).parse().unwrap();
        assert_eq!(self.header("location"), Some(format!("/v1/jobs/{id}").as_str()), "{self:?}");
        id
    }

    /// Status, code and the field that is at fault: `422 amount_zero amount`.
    pub(crate) fn refusal(&self) -> String {
        let code = self.body["code"].as_str().unwrap_or("no problem");
        let field = self.body["field"].as_str().unwrap_or_default();
        format!("{} {code} {field}", self.status).trim_end().to_owned()
    }
}

/// How many rows there are of what the API writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traces {
    pub(crate) requests: i64,
    pub(crate) jobs: i64,
    pub(crate) queued: i64,
    pub(crate) callbacks: i64,
}

impl Db {
    /// A key of a principal's with these scopes.
    pub(crate) async fn key(&self, principal: i64, scopes: &[&str]) -> String {
        let (secret, hash) = new_key();
        assert_eq!(hash, key_hash(&secret));
        let scopes: Vec<String> = scopes.iter().map(|&scope| scope.to_owned()).collect();
        sqlx::query!(
            "insert into api_key (principal_id, secret_hash, scopes) values ($1, $2, $3)",
            principal,
            hash.as_slice(),
            &scopes,
        )
        .execute(&self.owner)
        .await
        .unwrap();
        secret
    }

    /// How many connections of the API wait for a lock.
    pub(crate) async fn recorders_waiting(&self) -> i64 {
        sqlx::query_scalar!(
            r#"
            select count(*) as "n!" from pg_stat_activity
            where datname = current_database() and usename = 'holdfast_api' and wait_event_type = 'Lock'
            "#
        )
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }

    /// What the API has written so far.
    pub(crate) async fn traces(&self) -> Traces {
        sqlx::query_as!(
            Traces,
            r#"
            select (select count(*) from request) as "requests!", (select count(*) from job) as "jobs!",
                (select count(*) from outbox) as "queued!", (select count(*) from ipn_inbox) as "callbacks!"
            "#
        )
        .fetch_one(&self.owner)
        .await
        .unwrap()
    }
}
