//! What an operator sees: metrics, logs and traces of real processes.

mod collector;
mod exposition;
mod process;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use settlement::{Done, End, Watcher};
use tokio::net::TcpListener;

use crate::harness::{Db, IPN_SECRET, SUBMITTER, Site, lock, payment, register, until};

use collector::{Collector, Span};
use exposition::series;
use process::{Process, free_address};

/// A poisonous job has its batch rolled back and halved again and again, and still each job is told
/// of once, with what was committed.
#[tokio::test]
async fn whoever_watches_is_told_once_of_every_job() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 20]).await;
    let early = db.ask(lock(ids[0], ids[1], "btc", "1")).await;
    db.sql(&format!(
        "create function fail() returns trigger language plpgsql as $$ begin
            raise exception 'made to fail' using errcode = '23514'; end $$;
        create trigger fail before insert on app_user for each row when (new.id = {}) execute function fail()",
        ids[7]
    ))
    .await;
    let told: Arc<Mutex<Vec<Done>>> = Arc::default();
    let settler = db.settler().await.watched(Watcher::new({
        let told = Arc::clone(&told);
        move |committed| told.lock().unwrap().extend(committed.jobs)
    }));
    db.drain_with(&settler).await;
    let mut told = std::mem::take(&mut *told.lock().unwrap());
    told.retain(|done| !matches!(done.end, End::Postponed(_)));
    told.sort_by_key(|done| done.job_id);
    assert_eq!(told.iter().map(|done| done.job_id).collect::<Vec<_>>(), [ids.as_slice(), &[early]].concat());
    for (done, id) in told.iter().zip(&ids) {
        let end = if *id == ids[7] { End::Parked("poison") } else { End::Settled };
        assert_eq!((done.kind, done.end), ("user-register", end), "{done:?}");
    }
    assert_eq!(told[20].end, End::Rejected("insufficient_funds"));
    db.verified().await;
}

/// A caller's place in a trace of its own.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CALLER: &str = "00f067aa0ba902b7";

const NO_HEADER: (&str, &str) = ("accept", "*/*");

fn lock_of(ann: &Value, ben: &Value) -> Value {
    json!({ "seller_id": ann["user_id"], "buyer_id": ben["user_id"], "asset": "btc", "amount": "0.1", "maker": "seller" })
}

/// Puts a job into the queue that no worker can read.
async fn unreadable_job(db: &Db) -> i64 {
    let job = sqlx::query_scalar!(r#"select nextval('job_id') as "id!""#).fetch_one(&db.owner).await.unwrap();
    db.sql(&format!(
        "insert into job (id, kind, payload, submitted_by, received_at) values ({job}, 'release', '{{\"nonsense\":1}}', 100, clock());
        insert into request (submitter, kind, key, payload_hash, job_id)
            values (100, 'release', 'unreadable', sha256(''), {job});
        insert into outbox (job_id, lane, slot, subject, run_at) values ({job}, 'ledger', 0, {job}, clock())"
    ))
    .await;
    job
}

/// The lines of a JSON log.
fn lines(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}"))).collect()
}

#[tokio::test]
async fn metrics_and_logs_tell_what_happened_and_no_secret() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["submit", "read"]).await;
    let logs = [("HOLDFAST_LOG", "debug"), ("HOLDFAST_LOG_FORMAT", "json")];
    let (web, worker) = (Process::web(&db, &logs).await, Process::worker(&db, &logs).await);
    let caller = web.client().with_key(&secret);
    let traced = format!("00-{TRACE}-{CALLER}-01");
    let (status, ann) = caller.post("/v1/users", "ann", &json!({}), ("traceparent", &traced)).await;
    assert_eq!(status, 200, "{ann}");
    let (_, ben) = caller.post("/v1/users", "ben", &json!({}), NO_HEADER).await;
    let (status, refused) = caller.post("/v1/trades", "t", &lock_of(&ann, &ben), NO_HEADER).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("insufficient_funds")), "{refused}");
    let unsigned = caller.post("/webhooks/nowpayments", "-", &json!({}), NO_HEADER).await;
    assert_eq!(unsigned.0, 401, "{unsigned:?}");
    let parked = unreadable_job(&db).await;
    until("it is parked", async || db.outcome(parked).await == "parked unreadable").await;
    // Traces are off: the job has the caller's context as it came.
    let stored = sqlx::query_scalar!("select trace_parent from job where trace_parent is not null");
    assert_eq!(stored.fetch_all(&db.owner).await.unwrap(), [Some(traced)]);

    let found = series(&caller.metrics().await);
    for (name, value) in [
        (r#"holdfast_http_requests_total{method="POST",route="/v1/users",status="200"}"#, "2"),
        (r#"holdfast_http_requests_total{method="POST",route="/v1/trades",status="409"}"#, "1"),
        (r#"holdfast_http_request_duration_seconds_count{method="POST",route="/v1/users"}"#, "2"),
        (r#"holdfast_webhooks_refused_total{code="missing_signature"}"#, "1"),
        ("holdfast_enqueue_commit_jobs_count", "3"),
        ("holdfast_enqueue_waiting_jobs", "0"),
        (r#"holdfast_queue_read_ok{part="depth"}"#, "1"),
        (r#"holdfast_queue_read_ok{part="outline"}"#, "1"),
        (r#"holdfast_queue_read_ok{part="kinds"}"#, "1"),
        (r#"holdfast_queue_jobs{lane="ledger",state="due"}"#, "0"),
        (r#"holdfast_queue_kind_jobs{kind="release",lane="ledger",state="due"}"#, "0"),
        (r#"holdfast_queue_oldest_due_age_seconds{lane="ledger"}"#, "0"),
        (r#"holdfast_queue_parked_jobs{reason="unreadable"}"#, "1"),
        (r#"holdfast_workers_alive{lane="ledger"}"#, "1"),
        (r#"holdfast_workers_alive{lane="provider"}"#, "0"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name} in {found:#?}");
    }
    let found = series(&worker.client().metrics().await);
    for (name, value) in [
        (r#"holdfast_jobs_ended_total{kind="user-register",status="settled"}"#, "2"),
        (r#"holdfast_jobs_ended_total{kind="lock-escrow",status="rejected"}"#, "1"),
        (r#"holdfast_jobs_rejected_total{kind="lock-escrow",reason="insufficient_funds"}"#, "1"),
        (r#"holdfast_jobs_ended_total{kind="release",status="parked"}"#, "1"),
        (r#"holdfast_jobs_parked_total{reason="unreadable"}"#, "1"),
        (r#"holdfast_settle_latency_seconds_count{kind="user-register"}"#, "2"),
        ("holdfast_settle_batch_jobs_sum", "4"),
    ] {
        assert_eq!(found.get(name).map(String::as_str), Some(value), "{name} in {found:#?}");
    }

    let (web, worker) = (web.stop().await, worker.stop().await);
    for (told, whose) in [(&web, "web"), (&worker, "worker")] {
        for hidden in [secret.as_str(), IPN_SECRET] {
            assert!(!told.contains(hidden), "the log of the {whose} has a secret");
        }
    }
    let requests: Vec<Value> = lines(&web).into_iter().filter(|line| line["target"] == "holdfast::http").collect();
    let posted: Vec<&Value> = requests.iter().filter(|line| line["span"]["route"] == "/v1/users").collect();
    assert_eq!(posted.len(), 2, "{web}");
    for line in posted {
        assert_eq!((&line["level"], &line["status"]), (&json!("INFO"), &json!(200)), "{line}");
        assert_eq!(
            (&line["span"]["principal"], &line["span"]["method"]),
            (&json!(SUBMITTER), &json!("POST")),
            "{line}"
        );
        assert!(line["ms"].is_number() && line["span"]["request_id"].is_string(), "{line}");
    }
    let worker = lines(&worker);
    let told: Vec<&Value> = worker.iter().filter(|line| line["level"] == "ERROR").collect();
    assert_eq!(told.len(), 1, "{told:#?}");
    assert_eq!((&told[0]["job_id"], &told[0]["kind"]), (&json!(parked), &json!("release")), "{told:#?}");
    assert!(worker.iter().any(|line| line["message"] == "batch committed" && line["level"] == "DEBUG"), "{worker:#?}");
    db.verified().await;
}

/// What a worker holds cannot be noted: it settles nothing, says why, and counts it as that alone.
#[tokio::test]
async fn a_note_that_fails_is_counted_under_its_own_name() {
    let db = Db::new().await;
    db.sql("revoke update (holding) on worker_run from holdfast_worker").await;
    let worker = Process::worker(&db, &[]).await;
    let job = db.ask(register(None)).await;
    let weather = async || {
        let found = series(&worker.client().metrics().await);
        found.into_iter().filter(|(name, _)| name.starts_with("holdfast_weather_retries_total")).collect::<Vec<_>>()
    };
    until("a note has failed", async || !weather().await.is_empty()).await;
    let named = r#"holdfast_weather_retries_total{what="noting what is held"}"#;
    assert!(weather().await.iter().all(|(name, _)| name == named), "{:?}", weather().await);
    assert_eq!(db.outcome(job).await, "queued");
    db.sql("grant update (holding) on worker_run to holdfast_worker").await;
    until("the job is settled", async || db.outcome(job).await == "settled").await;
    let log = worker.stop().await;
    assert!(log.contains(r#"what="noting what is held""#), "{log}");
    db.verified().await;
}

#[tokio::test]
async fn metrics_of_the_web_need_a_key_that_may_read() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let submitter = db.key(SUBMITTER, &["submit"]).await;
    let get = |secret: Option<&str>| site.call(reqwest::Method::GET, "/metrics").bearer(secret).answer();
    assert_eq!(get(None).await.refusal(), "401 unauthenticated");
    assert_eq!(get(Some(&submitter)).await.refusal(), "403 scope_missing");
}

#[tokio::test]
async fn gauges_of_the_queue_follow_the_queue() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["read"]).await;
    let web = Process::web(&db, &[]).await;
    let caller = web.client().with_key(&secret);
    let gauge = async |name: &str| series(&caller.metrics().await).get(name).cloned().unwrap_or_default();
    let registrations =
        |state: &str| format!(r#"holdfast_queue_kind_jobs{{kind="user-register",lane="ledger",state="{state}"}}"#);
    let late = db.ask(register(None)).await;
    let soon = db.ask(register(None)).await;
    db.sql(&format!("update outbox set run_at = clock() + interval '1 hour' where job_id = {late}")).await;
    db.sql(&format!("update outbox set run_at = clock() - interval '1 hour' where job_id = {soon}")).await;
    until("both are seen", async || {
        gauge(&registrations("due")).await == "1" && gauge(&registrations("scheduled")).await == "1"
    })
    .await;
    for state in ["due", "scheduled"] {
        assert_eq!(gauge(&format!(r#"holdfast_queue_jobs{{lane="ledger",state="{state}"}}"#)).await, "1");
    }
    let age = gauge(r#"holdfast_queue_oldest_due_age_seconds{lane="ledger"}"#).await;
    assert_eq!(age.split('.').next().map(|whole| whole.parse::<u32>().unwrap() / 60), Some(60), "{age}");
    db.pass("1 hour").await;
    db.drain().await;
    until("they are gone", async || {
        gauge(&registrations("due")).await == "0" && gauge(&registrations("scheduled")).await == "0"
    })
    .await;
    web.stop().await;
    db.verified().await;
}

/// Where the schema records when the books were last checked, that is shown too.
#[tokio::test]
async fn the_last_check_of_the_books_is_shown_where_it_is_recorded() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["operate"]).await;
    let web = Process::web(&db, &[]).await;
    let caller = web.client().with_key(&secret);
    let check = async || {
        let found = series(&caller.metrics().await);
        ["age_seconds", "clean"].map(|name| found.get(&format!("holdfast_verify_{name}")).cloned())
    };
    assert_eq!(check().await, [None, None]);
    db.sql(
        "create table if not exists verification
            (job_id bigint, at timestamptz, clean boolean, checks integer, failed jsonb, took_ms bigint);
        grant select on verification to holdfast_api;
        insert into verification (job_id, at, clean, checks, failed, took_ms)
            values (1, clock() - interval '2 hours', false, 40, '[{}]', 5)",
    )
    .await;
    until("it is shown", async || check().await[1].as_deref() == Some("0")).await;
    let [age, _] = check().await;
    assert_eq!(age.unwrap().split('.').next().map(|whole| whole.parse::<u32>().unwrap() / 60), Some(120));
    web.stop().await;
}

/// One span of each name and service.
fn only<'a>(spans: &'a [Span], service: &str, name: &str, trace: &str) -> &'a Span {
    let found: Vec<&Span> =
        spans.iter().filter(|span| span.service == service && span.name == name && span.trace == trace).collect();
    let [span] = found.as_slice() else { panic!("{service} {name} {trace} in {spans:#?}") };
    span
}

#[tokio::test]
async fn a_trace_leads_from_the_caller_to_the_request_to_its_job() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["submit", "read"]).await;
    let collector = Collector::start().await;
    // Nothing is sent before the processes stop: what arrives has been flushed.
    let variables =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "600000")];
    let (web, worker) = (Process::web(&db, &variables).await, Process::worker(&db, &variables).await);
    let caller = web.client().with_key(&secret);
    let parent = format!("00-{TRACE}-{CALLER}-01");
    let (_, ann) = caller.post("/v1/users", "ann", &json!({}), ("traceparent", &parent)).await;
    let (_, ben) = caller.post("/v1/users", "ben", &json!({}), NO_HEADER).await;
    let (status, refused) = caller.post("/v1/trades", "t", &lock_of(&ann, &ben), NO_HEADER).await;
    assert_eq!(status, 409, "{refused}");
    // Nobody asked for this one through the web, so it belongs to no trace.
    db.fund(ann["user_id"].as_str().unwrap().parse().unwrap(), "btc", "1").await;
    web.stop().await;
    worker.stop().await;

    let spans = collector.spans();
    assert_eq!(spans.len(), 6, "three requests and their jobs, no look at readiness: {spans:#?}");
    let request = only(&spans, "holdfast-web", "POST /v1/users", TRACE);
    assert_eq!((request.parent.as_str(), request.attribute("http.response.status_code").as_str()), (CALLER, "200"));
    let job = only(&spans, "holdfast-worker", "user-register", TRACE);
    assert_eq!(job.parent, request.id);
    assert!(job.took_ns > 0 && job.took_ns < request.took_ns, "{job:?} {request:?}");
    let told = ["id", "outcome", "attempt", "reason"].map(|key| job.attribute(&format!("holdfast.job.{key}")));
    assert_eq!(told, [ann["id"].as_str().unwrap(), "settled", "0", ""]);
    let stored = sqlx::query_scalar!("select trace_parent from job order by id limit 1");
    let stored = stored.fetch_one(&db.owner).await.unwrap().unwrap();
    assert_eq!(stored, format!("00-{TRACE}-{}-01", request.id));

    let refusing = spans.iter().find(|span| span.name == "POST /v1/trades").unwrap();
    assert_eq!((refusing.parent.as_str(), refusing.trace == TRACE), ("", false), "{refusing:?}");
    let refused = only(&spans, "holdfast-worker", "lock-escrow", &refusing.trace);
    assert_eq!(
        (&refused.parent, refused.attribute("holdfast.job.reason")),
        (&refusing.id, "insufficient_funds".to_owned())
    );
    db.verified().await;
}

#[tokio::test]
async fn a_callback_and_its_credit_are_one_trace() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["submit", "read"]).await;
    let collector = Collector::start().await;
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "20")];
    let (web, worker) = (Process::web(&db, &variables).await, Process::worker(&db, &variables).await);
    let caller = web.client().with_key(&secret);
    let (_, ann) = caller.post("/v1/users", "ann", &json!({}), NO_HEADER).await;
    let body = payment(ann["user_id"].as_str().unwrap().parse().unwrap(), "btc", "0.5").body();
    let taken = caller.deliver(&body).await;
    assert_eq!(taken, 200);
    let span = |name: &'static str| collector.spans().into_iter().find(|span| span.name == name);
    until("both spans arrive", async || {
        span("POST /webhooks/nowpayments").is_some() && span("deposit-credit").is_some()
    })
    .await;
    let (hook, credit) = (span("POST /webhooks/nowpayments").unwrap(), span("deposit-credit").unwrap());
    assert_eq!((credit.trace, credit.parent), (hook.trace, hook.id));
    web.stop().await;
    worker.stop().await;
    db.verified().await;
}

#[tokio::test]
async fn a_dead_collector_costs_one_warning() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["submit", "read"]).await;
    let nobody = format!("http://{}", free_address());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", nobody.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "5")];
    let (web, worker) = (Process::web(&db, &variables).await, Process::worker(&db, &variables).await);
    let caller = web.client().with_key(&secret);
    for name in ["a", "b", "c", "d"] {
        let (status, answer) = caller.post("/v1/users", name, &json!({}), NO_HEADER).await;
        assert_eq!(status, 200, "{answer}");
    }
    let warning = "the collector of traces does not take them";
    until("the loss is told", async || web.log().contains(warning) && worker.log().contains(warning)).await;
    let began = Instant::now();
    for log in [web.stop().await, worker.stop().await] {
        assert_eq!(log.matches(warning).count(), 1, "{log}");
    }
    assert!(began.elapsed() < Duration::from_secs(15), "stopping took {:?}", began.elapsed());
    db.verified().await;
}

/// One that takes the connection and never answers.
#[tokio::test]
async fn a_silent_collector_holds_nobody_up() {
    let db = Db::new().await;
    let secret = db.key(SUBMITTER, &["submit", "read"]).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("OTEL_BSP_SCHEDULE_DELAY", "5")];
    let (web, worker) = (Process::web(&db, &variables).await, Process::worker(&db, &variables).await);
    let caller = web.client().with_key(&secret);
    let (status, answer) = caller.post("/v1/users", "a", &json!({}), NO_HEADER).await;
    assert_eq!(status, 200, "{answer}");
    // Somebody is waiting for its answer from now on.
    let sent = silent.accept().await.unwrap();
    let (status, answer) = caller.post("/v1/users", "b", &json!({}), NO_HEADER).await;
    assert_eq!(status, 200, "{answer}");
    for process in [web, worker] {
        let began = Instant::now();
        process.stop().await;
        assert!(began.elapsed() < Duration::from_secs(4), "stopping took {:?}", began.elapsed());
    }
    drop(sent);
    db.verified().await;
}
