//! The binary as an operator meets it: what it refuses, what it says, how it exits and stops.

mod away;
pub(crate) mod processes;
mod upgrade;

use serde_json::Value;

use crate::harness::{Db, IPN_SECRET, register, until};

use processes::{Background, Kept, Ran, holdfast, unfsynced};

const OWNER: &str = "DATABASE_URL";
const API: &str = "DATABASE_URL_API";
const WORKER: &str = "DATABASE_URL_WORKER";
const SECRET: &str = "NOWPAYMENTS_IPN_SECRET";
const PREVIOUS: &str = "NOWPAYMENTS_IPN_SECRET_PREVIOUS";
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
/// Nobody listens there.
const NOWHERE: &str = "postgres://holdfast_api@127.0.0.1:1/holdfast";

#[tokio::test]
async fn without_a_database_nothing_starts_that_needs_one() {
    for command in [
        "web",
        "worker",
        "migrate",
        "verify",
        "retain --months 3 --dry-run",
        "key list",
        "key revoke 1",
        "key create --name a --scope read",
    ] {
        let ran = holdfast(command, &[(SECRET, "secret")]).await;
        ran.refuses_to_start(command, "DATABASE_URL");
        assert!(ran.stderr.contains("holdfast demo"), "{command} does not say how to try it: {}", ran.stderr);
    }
}

/// Which person a principal is decides what they may not approve, so it is said once.
#[tokio::test]
async fn a_principal_may_be_named_as_one_of_the_people() {
    let db = Db::new().await;
    let [ann, ben] = db.people().await;
    let url = db.url("postgres").await;
    let create = async |user: i64| {
        holdfast(&format!("key create --name desk --scope operate --user {user}"), &[(OWNER, &url)]).await
    };
    let nobody = create(999_999).await;
    assert!(nobody.code == 1 && nobody.stderr.contains("no user 999999 is registered"), "{nobody:?}");
    for _ in 0..2 {
        let made = create(ann).await;
        assert_eq!(made.code, 0, "{made:?}");
    }
    let other = create(ben).await;
    assert!(other.code == 1 && other.stderr.contains("somebody else already"), "{other:?}");
    let twice = holdfast(&format!("key create --name other --scope operate --user {ann}"), &[(OWNER, &url)]).await;
    assert!(twice.code == 1 && twice.stderr.contains("one person, one principal"), "{twice:?}");
    let named = sqlx::query_scalar!("select user_id from principal where name = 'desk'");
    assert_eq!(named.fetch_one(&db.owner).await.unwrap(), Some(ann));
}

/// Arguments, variables, and what is said of them.
type Case = (&'static str, &'static [(&'static str, &'static str)], &'static str);

#[tokio::test]
async fn a_configuration_that_cannot_be_meant_is_refused() {
    let cases: &[Case] = &[
        ("web", &[(API, NOWHERE)], "NOWPAYMENTS_IPN_SECRET is not set"),
        ("web", &[(API, NOWHERE), (SECRET, "")], "NOWPAYMENTS_IPN_SECRET is set but empty"),
        ("web", &[(API, NOWHERE), (SECRET, " ")], "NOWPAYMENTS_IPN_SECRET is set but empty"),
        ("web", &[(API, NOWHERE), (PREVIOUS, "old")], "without NOWPAYMENTS_IPN_SECRET"),
        ("web", &[(API, NOWHERE), (SECRET, "new"), (PREVIOUS, "")], "NOWPAYMENTS_IPN_SECRET_PREVIOUS is set but empty"),
        ("web --without-webhooks", &[(API, NOWHERE), (SECRET, "secret")], "--without-webhooks is given"),
        ("web", &[(API, "mysql://u:hidden@h/d"), (SECRET, "secret")], "is no address of a Postgres"),
        ("web", &[(API, ""), (SECRET, "secret")], "DATABASE_URL_API is set but empty"),
        ("web", &[(API, NOWHERE), (SECRET, "secret"), ("PORT", "http")], "PORT is \"http\""),
        ("web", &[(API, NOWHERE), (SECRET, "secret"), ("HOLDFAST_LISTEN", "here")], "HOLDFAST_LISTEN is \"here\""),
        ("web", &[(API, NOWHERE), (SECRET, "secret"), ("HOLDFAST_RATE_BURST", "0")], "HOLDFAST_RATE_BURST is \"0\""),
        ("key create --name a --scope read --expires 3w", &[(OWNER, NOWHERE)], "such as 24h or 365d"),
        ("web", &[(API, NOWHERE), (SECRET, "secret"), ("HOLDFAST_LOG", "=?=")], "HOLDFAST_LOG is"),
        ("web", &[(API, NOWHERE), (SECRET, "secret"), ("HOLDFAST_LOG_FORMAT", "xml")], "HOLDFAST_LOG_FORMAT is"),
        ("web", &[(COLLECTOR, "http://c"), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "by http/protobuf only"),
        (
            "worker",
            &[(COLLECTOR, "http://c"), ("OTEL_TRACES_EXPORTER", "zipkin")],
            "OTEL_TRACES_EXPORTER is \"zipkin\"",
        ),
        ("web", &[(COLLECTOR, "nowhere")], "traces cannot be sent"),
        ("worker --metrics here", &[], "invalid value 'here'"),
        (
            "worker",
            &[(WORKER, NOWHERE), (SECRET, "secret"), ("HOLDFAST_METRICS_LISTEN", "9464")],
            "HOLDFAST_METRICS_LISTEN is \"9464\"",
        ),
        ("web --listen here", &[(API, NOWHERE), (SECRET, "secret")], "invalid value 'here'"),
        ("worker", &[(WORKER, NOWHERE)], "NOWPAYMENTS_IPN_SECRET is not set"),
        ("worker", &[(WORKER, NOWHERE), (SECRET, "")], "NOWPAYMENTS_IPN_SECRET is set but empty"),
        ("worker --lane notify", &[(WORKER, NOWHERE)], "no kind of job uses the lane notify yet"),
        ("worker --verify-every soon", &[(WORKER, NOWHERE)], "--verify-every is \"soon\", which is no time"),
        ("worker", &[(WORKER, NOWHERE), ("HOLDFAST_VERIFY_EVERY", "1 week")], "HOLDFAST_VERIFY_EVERY is \"1 week\""),
        ("worker", &[(WORKER, NOWHERE), ("HOLDFAST_VERIFY_EVERY", "")], "HOLDFAST_VERIFY_EVERY is set but empty"),
        ("worker --lane fast", &[], "invalid value 'fast'"),
        ("worker --batch 0", &[], "invalid value '0'"),
        ("verify", &[(OWNER, NOWHERE)], "cannot be reached"),
        ("migrate", &[(OWNER, NOWHERE)], "cannot be reached"),
        ("key list", &[(OWNER, NOWHERE)], "cannot be reached"),
        ("key create --name a --scope all", &[(OWNER, NOWHERE)], "invalid value 'all'"),
        ("", &[(OWNER, NOWHERE)], "DATABASE_URL is set"),
        ("", &[(SECRET, "")], "NOWPAYMENTS_IPN_SECRET is set"),
        ("demo", &[(WORKER, NOWHERE)], "DATABASE_URL_WORKER is set"),
        ("demo --jobs 5", &[], "invalid value '5'"),
        ("frobnicate", &[], "unrecognized subcommand"),
    ];
    for (command, variables, told) in cases {
        let ran = holdfast(command, variables).await;
        ran.refuses_to_start(command, told);
        assert!(!ran.stderr.contains("hidden"), "a password is shown: {}", ran.stderr);
    }
}

#[tokio::test]
async fn a_server_that_will_not_have_us_is_not_waited_for() {
    let db = Db::new().await;
    let (api, worker) = (db.url("holdfast_api").await, db.url("nobody_at_all").await);
    let no_database = api.replace(&db.name, "no_such_database");
    let ran = holdfast("web", &[(API, &no_database), (SECRET, "secret")]).await;
    ran.refuses_to_start("web", "\"no_such_database\" does not exist");
    let ran = holdfast("worker", &[(WORKER, &worker), (SECRET, "secret")]).await;
    ran.refuses_to_start("worker", "\"nobody_at_all\" does not exist");
}

#[tokio::test]
async fn a_login_with_more_or_less_than_its_rights_is_refused() {
    let db = Db::new().await;
    let [owner, api, worker] =
        [db.url("postgres").await, db.url("holdfast_api").await, db.url("holdfast_worker").await];
    for (command, name, url, told) in [
        ("web", OWNER, &owner, "is a superuser"),
        ("worker", OWNER, &owner, "is a superuser"),
        ("web", API, &worker, "may write the ledger"),
        ("worker", WORKER, &api, "lacks"),
    ] {
        let ran = holdfast(command, &[(name, url), (SECRET, "secret")]).await;
        ran.refuses_to_start(command, told);
    }
    db.pass("1 hour").await;
    let ran = holdfast("worker", &[(WORKER, &worker), (SECRET, "secret")]).await;
    ran.refuses_to_start("worker", "clock() is shifted");
}

#[tokio::test]
async fn a_server_that_may_forget_is_refused() {
    let server = unfsynced().await;
    for (command, name, user) in [("web", API, "holdfast_api"), ("worker", WORKER, "holdfast_worker")] {
        let url = server.url(user, "postgres");
        let ran = holdfast(command, &[(name, &url), (SECRET, "secret")]).await;
        ran.refuses_to_start(command, "fsync = off");
    }
    server.stop().await.unwrap();
}

#[tokio::test]
async fn migrate_says_what_it_did_and_leaves_a_newer_schema_alone() {
    let db = Db::new().await;
    let owner = db.url("postgres").await;
    let current = outbox::SCHEMA_VERSION;
    let expect = async |told: &str| {
        let ran = holdfast("migrate", &[(OWNER, &owner)]).await;
        assert_eq!((ran.code, ran.stdout.trim_end()), (0, told), "{}", ran.stderr);
    };
    expect(&format!("schema {current}, nothing to do")).await;
    db.sql(&format!("update schema set version = {}", current + 1)).await;
    expect(&format!("schema {}, newer than this binary's {current} and fit for it, nothing to do", current + 1)).await;
    db.sql(&format!("update schema set oldest_binary = {}", current + 1)).await;
    let ran = holdfast("migrate", &[(OWNER, &owner)]).await;
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(ran.stderr.contains("needs a binary for schema"), "{}", ran.stderr);

    let empty = db.empty_sibling().await;
    let ran = holdfast("verify", &[(OWNER, &empty)]).await;
    ran.refuses_to_start("verify", "run `holdfast migrate`");
    let ran = holdfast("migrate", &[(OWNER, &empty)]).await;
    assert_eq!((ran.code, ran.stdout.trim_end()), (0, format!("schema 0 -> {current}").as_str()), "{}", ran.stderr);
}

/// A key is replaced without a moment in which none is good, and what was asked under the old one
/// is the new one's too.
#[tokio::test]
async fn a_key_is_rotated_with_an_overlap() {
    let db = Db::new().await;
    let owner = db.url("postgres").await;
    let key = async |command: &str| -> Ran { holdfast(&format!("key {command}"), &[(OWNER, &owner)]).await };
    let made = key("create --name shop --scope submit --scope read --expires 30d").await;
    assert!(!made.stderr.contains("never expires"), "{made:?}");
    let old = made.stdout.trim_end().to_owned();
    let forever = key("create --name forever --scope read").await;
    assert!(forever.stderr.contains("warning: key 2 never expires"), "{forever:?}");

    let rotated = key("rotate 1 --overlap 2h").await;
    assert_eq!(rotated.code, 0, "{rotated:?}");
    let new = rotated.stdout.trim_end().to_owned();
    assert!(
        new != old && !rotated.stderr.contains(&new) && rotated.stderr.contains("key 3 of principal"),
        "{rotated:?}"
    );
    let rows = sqlx::query!(
        r#"select principal_id, scopes, expires_at - clock() > '29 days' as "long!" from api_key where id in (1, 3) order by id"#
    );
    let rows = rows.fetch_all(&db.owner).await.unwrap();
    assert_eq!((rows[0].principal_id, &rows[0].scopes), (rows[1].principal_id, &rows[1].scopes));
    assert_eq!((rows[0].long, rows[1].long), (false, true), "the new one has the time that the old one had");

    let web = Background::web(&db.url("holdfast_api").await).await;
    for secret in [&old, &new] {
        assert_eq!(web.get("/v1/jobs/1", secret).await, 404);
    }
    db.pass("3 hours").await;
    until("the old one has expired", async || web.get("/v1/jobs/1", &old).await == 401).await;
    assert_eq!(web.get("/v1/jobs/1", &new).await, 404);
    web.stops_in_good_order().await;

    let list = key("list").await.stdout;
    for (secret, state) in [(&old, "expired"), (&new, "valid")] {
        let fingerprint = hex::encode(&api::key_hash(secret)[..4]);
        let line = list.lines().find(|line| line.contains(&fingerprint));
        assert!(line.is_some_and(|line| line.contains(state) && !line.contains("never")), "{state}: {list}");
    }
    assert!(list.contains("never"), "{list}");
    for (command, told) in [("rotate 1", "has expired"), ("rotate 77", "there is no key 77")] {
        let ran = key(command).await;
        assert!(ran.code == 1 && ran.stdout.is_empty() && ran.stderr.contains(told), "{ran:?}");
    }
    assert_eq!(key("revoke 3").await.code, 0);
    assert!(key("rotate 3").await.stderr.contains("was revoked"));
    assert_eq!(key("rotate 2 --overlap 0h --expires 1d").await.code, 0);
    assert!(key("rotate 2").await.stderr.contains("has expired"), "no overlap ends the old one at once");
}

#[tokio::test]
async fn a_key_is_good_until_it_is_revoked_or_expires() {
    let db = Db::new().await;
    let owner = db.url("postgres").await;
    let key = async |command: &str| -> Ran { holdfast(&format!("key {command}"), &[(OWNER, &owner)]).await };
    let made = key("create --name shop --scope submit --scope read").await;
    let secret = made.stdout.trim_end().to_owned();
    assert_eq!((made.code, secret.len()), (0, "hf_live_".len() + 64), "the secret alone is printed: {made:?}");
    assert!(!made.stderr.contains(&secret), "{made:?}");
    let other = key("create --name shop --scope read --expires 30d").await.stdout.trim_end().to_owned();

    let web = Background::web(&db.url("holdfast_api").await).await;
    assert_eq!(web.get("/v1/jobs/1", &secret).await, 404);
    assert_eq!(web.get("/v1/jobs/1", &other).await, 404);
    assert_eq!(web.get("/v1/jobs/1", "hf_live_wrong").await, 401);
    assert_eq!(key("revoke 1").await.stdout.trim_end(), "key 1 is revoked");
    until("the revocation is noticed", async || web.get("/v1/jobs/1", &secret).await == 401).await;
    assert!(key("revoke 1").await.stdout.starts_with("key 1 was revoked at"));
    assert_eq!(key("revoke 77").await.code, 1);
    assert_eq!(web.get("/v1/jobs/1", &other).await, 404);
    db.pass("31 days").await;
    until("the expiry is noticed", async || web.get("/v1/jobs/1", &other).await == 401).await;
    web.stops_in_good_order().await;

    let list = key("list").await.stdout;
    let states: Vec<&str> = list.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(states, ["revoked", "expired"], "{list}");
    assert!(!list.contains("hf_live_"), "{list}");
    for (name, told) in [("nowpayments", "Holdfast's own name"), ("-", "is no name"), ("a/b", "is no name")] {
        let ran = key(&format!("create --name={name} --scope submit")).await;
        assert_eq!(ran.code, 1, "{ran:?}");
        assert!(ran.stderr.contains(told), "{ran:?}");
    }
}

#[tokio::test]
async fn verify_exits_1_on_a_breach_and_names_the_rows() {
    let db = Db::new().await;
    let owner = db.url("postgres").await;
    let [ann] = db.people().await;
    db.fund(ann, "btc", "0.5").await;
    let clean = holdfast("verify", &[(OWNER, &owner)]).await;
    assert_eq!(clean.code, 0, "{clean:?}");
    assert!(clean.stdout.starts_with("clean: "), "{clean:?}");

    db.sql("set session_replication_role = replica; update entry set posted = posted + 1 where posted > 0").await;
    let breach = holdfast("verify", &[(OWNER, &owner)]).await;
    assert_eq!((breach.code, breach.stderr.as_str()), (1, ""), "{breach:?}");
    assert!(breach.stdout.contains("FAIL  posted-sums-to-zero"), "{}", breach.stdout);

    let json = holdfast("verify --json", &[(OWNER, &owner)]).await;
    assert_eq!(json.code, 1, "{json:?}");
    let report: Value = serde_json::from_str(&json.stdout).unwrap();
    let failed = report["checks"].as_array().unwrap().iter().filter(|check| check["count"] != 0);
    let names: Vec<&str> = failed.map(|check| check["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"posted-sums-to-zero"), "{names:?}");
}

#[tokio::test]
async fn web_and_worker_do_their_work_and_stop_in_good_order() {
    let db = Db::new().await;
    let job = db.ask(register(None)).await;
    let worker =
        Background::start("worker --batch 16", &[(WORKER, &db.url("holdfast_worker").await), (SECRET, IPN_SECRET)]);
    until("the worker settles", async || db.outcome(job).await == "settled").await;
    worker.stops_in_good_order().await;
    let web = Background::web(&db.url("holdfast_api").await).await;
    web.stops_in_good_order().await;
    db.verified().await;
}

#[tokio::test]
async fn a_leashed_process_ends_with_whoever_holds_the_leash() {
    let db = Db::new().await;
    let mut worker =
        Background::start("worker --without-webhooks --leashed", &[(WORKER, &db.url("holdfast_worker").await)]);
    worker.drop_leash();
    worker.ends_with(0).await;
}

#[tokio::test]
async fn bare_keeps_its_data_and_its_key() {
    let home = Kept::new();
    let mut keys = Vec::new();
    for _ in 0..2 {
        let bare = Background::bare(&home).await;
        let key = home.read("dev_key");
        // The first person that it registers.
        until("somebody is registered", async || bare.get("/v1/users/1/balances", &key).await == 200).await;
        keys.push(key);
        bare.stops_in_good_order().await;
    }
    assert_eq!(keys[0], keys[1]);
    assert_eq!(home.modes(), [0o600, 0o600]);
}

#[tokio::test]
async fn the_demo_ends_well_and_leaves_nothing() {
    let ran = holdfast("demo --jobs 300", &[]).await;
    assert_eq!(ran.code, 0, "{}\n{}", ran.stdout, ran.stderr);
    for told in ["kill -9", "equal the model's", "0 failed", "idempotency_conflict", "above_credit_max"] {
        assert!(ran.stdout.contains(told), "{told} is missing in:\n{}", ran.stdout);
    }
    assert!(!ran.stdout.contains("NO  "), "{}", ran.stdout);
}
