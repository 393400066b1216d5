//! A rolling upgrade: two versions of the schema, and processes of which not all fit both.

use std::fs;
use std::path::Path;

use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;

use super::processes::{Background, holdfast};
use crate::harness::{Db, IPN_SECRET, register, until};

const OWNER: &str = "DATABASE_URL";
const WORKER: &str = "DATABASE_URL_WORKER";
const SECRET: &str = "NOWPAYMENTS_IPN_SECRET";

fn worker(url: &str) -> Background {
    Background::start("worker --lane ledger --verify-every 0", &[(WORKER, url), (SECRET, IPN_SECRET)])
}

async fn settles(db: &Db, what: &str) {
    let job = db.ask(register(None)).await;
    until(what, async || db.outcome(job).await == "settled").await;
}

/// A migration that the running release may still work with changes nothing for it, and a worker of
/// that release may still be started. One that it may not ends its workers before they settle
/// anything on it; nothing is lost, and going back lets them go on.
#[tokio::test]
async fn what_a_migration_allows_goes_on_and_what_it_does_not_stops_by_itself() {
    let db = Db::new().await;
    let url = db.url("holdfast_worker").await;
    let current = outbox::SCHEMA_VERSION;
    let first = worker(&url);
    let web = Background::web(&db.url("holdfast_api").await).await;
    settles(&db, "the worker works").await;

    // Expand: the next release's schema, fit for this one.
    db.sql(&format!("update schema set version = {}", current + 1)).await;
    settles(&db, "it goes on").await;
    let second = worker(&url);
    until("another one works", async || workers(&db).await == 2).await;
    settles(&db, "both do").await;
    assert_eq!(web.get("/readyz", "").await, 200);

    // Contract: this release is shut out.
    db.sql(&format!("update schema set oldest_binary = {}", current + 1)).await;
    let job = db.ask(register(None)).await;
    first.ends_with(2).await;
    second.ends_with(2).await;
    assert_eq!(db.outcome(job).await, "queued", "nothing is settled on a schema that is not ours");
    until("web is out of the rotation", async || web.get("/readyz", "").await == 503).await;
    let refused = holdfast("worker --lane ledger", &[(WORKER, &url), (SECRET, IPN_SECRET)]).await;
    refused.refuses_to_start("worker", &format!("needs a binary for schema {} or newer", current + 1));

    // Back: what was left lies where it was.
    db.sql(&format!("update schema set version = {current}, oldest_binary = {current}")).await;
    let third = worker(&url);
    until("what was queued is settled", async || db.outcome(job).await == "settled").await;
    until("web is back", async || web.get("/readyz", "").await == 200).await;
    third.stops_in_good_order().await;
    web.stops_in_good_order().await;
    db.verified().await;
}

async fn workers(db: &Db) -> i64 {
    sqlx::query_scalar!(r#"select count(*) as "n!" from worker_run where lane = 'ledger' and end_kind is null"#)
        .fetch_one(&db.owner)
        .await
        .unwrap()
}

/// A process that is started before its migration waits for it, and works once it has run.
#[tokio::test]
async fn a_new_release_waits_for_its_migration() {
    let db = Db::new().await;
    let owner = db.empty_sibling().await;
    // The schema of the release before: every migration but the last.
    let before = std::env::temp_dir().join(format!("holdfast-before-{}", std::process::id()));
    let files = migrations();
    let (last, others) = files.split_last().unwrap();
    fs::create_dir_all(&before).unwrap();
    for file in others {
        fs::copy(file, before.join(file.file_name().unwrap())).unwrap();
    }
    let pool = PgPoolOptions::new().max_connections(1).connect(&owner).await.unwrap();
    Migrator::new(before.as_path()).await.unwrap().run(&pool).await.unwrap();
    fs::remove_dir_all(&before).unwrap();
    let url = owner.replace("postgres@", "holdfast_worker@");
    let starting = worker(&url);
    let applied = holdfast("migrate", &[(OWNER, &owner)]).await;
    let current = outbox::SCHEMA_VERSION;
    assert_eq!(applied.stdout.trim_end(), format!("schema {} -> {current}", current - 1), "{last:?}: {applied:?}");
    until("the worker has begun", async || {
        let runs = sqlx::query_scalar!(r#"select count(*) as "n!" from worker_run"#).fetch_one(&pool).await.unwrap();
        runs > 0
    })
    .await;
    starting.stops_in_good_order().await;
    pool.close().await;
}

fn migrations() -> Vec<std::path::PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort_unstable();
    files
}
