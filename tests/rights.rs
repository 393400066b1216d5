//! What nobody may do, whatever a bug in Rust would have them do: Postgres refuses it. Each case
//! says by which right, constraint or trigger.

use outbox::{Role, StartError, connect_options, open};
use sqlx::PgPool;

use crate::harness::{Db, SUBMITTER, lock, mark_paid, payment, refund, refusal, register, release, run};

const MISSING_RIGHT: &str = "42501";

/// A database with something in every table: people, trades in all states, deposits credited and
/// taken back, a parked job, an open and a closed hold.
async fn world() -> Db {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let paid = payment(seller, "btc", "0.9");
    db.told(&paid).await;
    let again = payment(seller, "btc", "0.1");
    db.told(&again).await;
    let [_open, marked, released, refunded] = [
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
    ];
    for job in [mark_paid(marked, buyer), mark_paid(released, buyer), refund(refunded, buyer)] {
        assert_eq!(db.done(job).await, "settled");
    }
    assert_eq!(db.done(release(released, seller)).await, "settled");
    crate::deposits::take_back_all(&db, seller).await;
    let parked = db.ask(register(None)).await;
    db.sql(&format!(
        "insert into parked (job_id, lane, slot, subject, attempt, reason, detail, parked_at)
            select job_id, lane, slot, subject, attempt, 'test', '', clock() from outbox where job_id = {parked};
        delete from outbox where job_id = {parked}"
    ))
    .await;
    db.ask(lock(seller, buyer, "btc", "0.1")).await;
    db
}

/// Every table of Holdfast, partitions included.
async fn tables(db: &Db) -> Vec<String> {
    sqlx::query_scalar!(
        r#"
        select c.relname as "name!" from pg_class c join pg_namespace n on n.oid = c.relnamespace
        where n.nspname = 'public' and c.relkind in ('r', 'p') and c.relname not like '\_sqlx%' order by 1
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap()
}

/// A statement that may not pass, and whose message must contain this.
async fn refused(pool: &PgPool, statement: &str, message: &str) {
    let refusal = refusal(run(pool, statement).await);
    assert_eq!(refusal.code, MISSING_RIGHT, "{statement}: {refusal:?}");
    assert!(refusal.message.contains(message), "{statement}: {refusal:?}");
}

#[tokio::test]
async fn the_api_records_and_reads_and_nothing_else() {
    let db = world().await;
    let recorded = ["request", "job", "outbox", "ipn_inbox"];
    for table in tables(&db).await {
        let denied = format!("permission denied for table {table}");
        if !recorded.contains(&table.as_str()) {
            refused(&db.api, &format!("insert into {table} default values"), &denied).await;
        }
        let column = db.some_column(&table).await;
        refused(&db.api, &format!("update {table} set {column} = {column}"), &denied).await;
        refused(&db.api, &format!("delete from {table}"), &denied).await;
        refused(&db.api, &format!("truncate {table} cascade"), &denied).await;
        refused(&db.api, &format!("select from {table} for update"), &denied).await;
        refused(&db.api, &format!("do $$ begin lock table {table} in share mode; end $$"), &denied).await;
        refused(&db.api, &format!("alter table {table} disable trigger all"), "must be owner").await;
        refused(&db.api, &format!("drop table {table}"), "must be owner").await;
    }
}

/// Rows of job, request and outbox as the API may not write them.
#[tokio::test]
async fn the_api_cannot_ask_for_what_is_caused_within() {
    let db = world().await;
    let job = |kind: &str, payload: &str, submitter: i64, caused_by: &str| {
        format!(
            "insert into job (id, kind, payload, submitted_by, caused_by, received_at)
            values (nextval('job_id'), '{kind}', '{payload}', {submitter}, {caused_by}, clock())"
        )
    };
    let request = |kind: &str, submitter: i64| {
        format!(
            "insert into request (submitter, kind, key, payload_hash, job_id)
            values ({submitter}, '{kind}', 'key', decode(repeat('00', 32), 'hex'), 1)"
        )
    };
    let inbox = sqlx::query_scalar!(r#"select max(id) as "id!" from ipn_inbox"#).fetch_one(&db.owner).await.unwrap();
    let seen = format!(r#"{{"inbox_id":"{inbox}"}}"#);
    let of_job = r#"row-level security policy for table "job""#;
    for kind in ["adjustment", "payout", "payout-result", "commission", "verify", "", "Release"] {
        refused(&db.api, &job(kind, "{}", SUBMITTER, "null"), of_job).await;
        refused(&db.api, &request(kind, SUBMITTER), r#"policy for table "request""#).await;
    }
    refused(&db.api, &job("release", "{}", SUBMITTER, "1"), of_job).await;
    refused(&db.api, &job("deposit-credit", &seen, SUBMITTER, "null"), of_job).await;
    refused(&db.api, &job("deposit-credit", &seen, 1, "null"), of_job).await;
    refused(&db.api, &job("deposit-credit", &seen, 2, "1"), of_job).await;
    refused(&db.api, &job("deposit-credit", r#"{"inbox_id":"999999"}"#, 2, "null"), of_job).await;
    refused(&db.api, &job("deposit-credit", "{}", 2, "null"), of_job).await;
    refused(&db.api, &request("deposit-credit", SUBMITTER), r#"policy for table "request""#).await;
    run(&db.api, &job("deposit-credit", &seen, 2, "null")).await.unwrap();

    let parked = sqlx::query_scalar!("select job_id from parked").fetch_one(&db.owner).await.unwrap();
    let outbox = |job: i64, lane: &str, attempt: i32, error: &str| {
        format!(
            "insert into outbox (job_id, lane, slot, subject, run_at, attempt, last_error)
            values ({job}, '{lane}', 0, 1, clock(), {attempt}, {error})"
        )
    };
    for statement in [
        outbox(parked, "ledger", 0, "null"),
        outbox(1, "provider", 0, "null"),
        outbox(1, "notify", 0, "null"),
        outbox(1, "ledger", 1, "null"),
        outbox(1, "ledger", 0, "'why'"),
    ] {
        refused(&db.api, &statement, r#"policy for table "outbox""#).await;
    }
}

#[tokio::test]
async fn no_role_of_holdfast_can_become_more_than_it_is() {
    let db = world().await;
    for (pool, other) in [(&db.api, "holdfast_worker"), (&db.worker, "holdfast_api")] {
        refused(pool, &format!("set role {other}"), "permission denied to set role").await;
        refused(pool, "set role postgres", "permission denied to set role").await;
        refused(pool, "set session authorization postgres", "permission denied").await;
        refused(pool, "set session_replication_role = replica", "permission denied to set parameter").await;
        refused(pool, "create table public.mine (a int)", "permission denied for schema public").await;
        refused(pool, "update clock_shift set shift = '1 day'", "permission denied for table clock_shift").await;
        refused(pool, "update schema set oldest_binary = 1", "permission denied for table schema").await;
        refused(pool, "select setval('job_id', 1)", "permission denied for sequence job_id").await;
        refused(
            pool,
            "create or replace function clock() returns timestamptz language sql as 'select now()'",
            "permission denied",
        )
        .await;
        refused(pool, "alter role postgres password 'x'", "to alter ").await;
        refused(pool, "alter policy worker_all on job using (true)", "must be owner").await;
        refused(pool, "copy (select 1) to program 'true'", "to COPY to or from an external program").await;
    }
    refused(&db.api, "select nextval('account_id')", "permission denied for sequence account_id").await;
    refused(&db.api, "select partitions_ahead(2)", "permission denied for function partitions_ahead").await;
    run(&db.worker, "select partitions_ahead(2)").await.unwrap();
}

#[tokio::test]
async fn workers_may_not_change_what_is_append_only() {
    let db = world().await;
    let changes = ["outbox", "parked", "pause", "worker_run", "account", "hold", "app_user", "trade", "deposit"];
    for table in tables(&db).await {
        let denied = format!("permission denied for table {table}");
        if !["outbox", "parked", "pause"].contains(&table.as_str()) {
            refused(&db.worker, &format!("delete from {table}"), &denied).await;
        }
        refused(&db.worker, &format!("truncate {table} cascade"), &denied).await;
        refused(&db.worker, &format!("alter table {table} disable trigger all"), "must be owner").await;
        if !changes.contains(&table.as_str()) {
            let column = db.some_column(&table).await;
            refused(&db.worker, &format!("update {table} set {column} = {column}"), &denied).await;
        }
    }
    for (table, column) in [
        ("outbox", "job_id"),
        ("outbox", "lane"),
        ("outbox", "subject"),
        ("account", "owner"),
        ("account", "asset"),
        ("hold", "amount"),
        ("hold", "account_id"),
        ("app_user", "referrer_id"),
        ("withdrawal", "address"),
        ("withdrawal", "amount"),
        ("withdrawal", "approvals_needed"),
        ("trade", "referrals"),
        ("trade", "amount"),
        ("trade", "seller_id"),
        ("trade", "buyer_id"),
        ("trade", "maker_bps"),
        ("deposit", "payment_id"),
        ("deposit", "first_job"),
    ] {
        let denied = format!("permission denied for table {table}");
        refused(&db.worker, &format!("update {table} set {column} = {column}"), &denied).await;
    }
    for table in ["ipn_inbox", "principal", "api_key", "asset", "schema", "clock_shift"] {
        let denied = format!("permission denied for table {table}");
        refused(&db.worker, &format!("insert into {table} default values"), &denied).await;
    }
    let twice =
        "insert into outcome (job_id, status, attempts, finished_at) select job_id, 'settled', 1, clock() from outcome";
    let twice = refusal(run(&db.worker, twice).await);
    assert_eq!((twice.code.as_str(), twice.constraint.contains("outcome_p")), ("23505", true), "{twice:?}");
}

/// The API does not choose when something was received, on whose behalf Holdfast acts, when a job
/// is due, or that one that has ended is done again.
#[tokio::test]
async fn the_api_chooses_neither_time_nor_principal_nor_schedule() {
    let db = Db::new().await;
    let done = db.ask(register(None)).await;
    db.drain().await;
    let policy = "violates row-level security policy";
    let job = "insert into job (id, kind, payload, submitted_by, received_at) values (nextval('job_id'), 'user-register', '{}'";
    for (principal, received) in
        [("100", "clock() - interval '1 hour'"), ("100", "'infinity'"), ("1", "clock()"), ("2", "clock()")]
    {
        refused(&db.api, &format!("{job}, {principal}, {received})"), policy).await;
    }
    run(&db.api, &format!("begin; {job}, 100, clock()); rollback")).await.unwrap();
    let request = "insert into request (submitter, kind, key, payload_hash, job_id) values (1, 'user-register', 'k', sha256(''), 1)";
    refused(&db.api, request, policy).await;
    for (id, slot, run_at) in [
        (done, done & 63, "clock()"),
        (9_999, 15, "'infinity'"),
        (9_999, 15, "clock() + interval '1 hour'"),
        (9_999, 0, "clock()"),
    ] {
        let row = format!(
            "insert into outbox (job_id, lane, slot, subject, run_at) values ({id}, 'ledger', {slot}, {id}, {run_at})"
        );
        refused(&db.api, &row, policy).await;
    }
    let inbox = "insert into ipn_inbox (id, provider, body, signature) overriding system value values (1, 'nowpayments', 'x', '')";
    refused(&db.api, inbox, "permission denied for table ipn_inbox").await;
    // Nor can anybody store a time that no worker could read.
    for (statement, constraint) in [
        (format!("{job}, 100, 'infinity')"), "job_received_at_finite"),
        (
            "insert into outbox (job_id, lane, slot, subject, run_at) values (9999, 'ledger', 0, 0, 'infinity')"
                .to_owned(),
            "outbox_run_at_finite",
        ),
    ] {
        assert_eq!(refusal(run(&db.owner, &statement).await).constraint, constraint);
    }
}

/// A process refuses to start with rights or settings that its promises could not be kept with.
#[tokio::test]
async fn a_process_starts_only_with_the_rights_of_its_role() {
    let db = Db::new().await;
    let start = async |user: &str, role: Role, more: &str| {
        let url = db.url(user).await + more;
        match open(connect_options(&url, "tests").unwrap(), role, 2).await {
            Ok(_) => "started".to_owned(),
            Err(StartError::Powerless { lacks, .. }) => format!("lacks {lacks}"),
            Err(StartError::TooPowerful { why, .. }) => why.to_owned(),
            Err(StartError::Unsafe { setting, value }) => format!("{setting} is {value}"),
            Err(StartError::ShiftedClock(shift)) => format!("shifted by {shift}"),
            Err(StartError::Schema(error)) => error.to_string(),
            Err(error) => panic!("{error:?}"),
        }
    };
    let unsafely = "?options=-c%20synchronous_commit%3Doff";
    assert_eq!(start("holdfast_api", Role::Api, "").await, "started");
    assert_eq!(start("holdfast_worker", Role::Worker, "").await, "started");
    assert_eq!(start("holdfast_worker", Role::Api, "").await, "may write the ledger");
    assert_eq!(start("holdfast_api", Role::Worker, "").await, "lacks delete on outbox");
    for role in [Role::Api, Role::Worker] {
        assert_eq!(start("postgres", role, "").await, "is a superuser");
    }
    assert_eq!(start("holdfast_worker", Role::Worker, unsafely).await, "synchronous_commit is off");
    db.sql("revoke insert on ipn_inbox from holdfast_api").await;
    assert_eq!(start("holdfast_api", Role::Api, "").await, "lacks insert of body on ipn_inbox");
    db.pass("1 second").await;
    assert_eq!(start("holdfast_worker", Role::Worker, "").await, "shifted by 00:00:01");
    db.sql("update schema set version = 99, oldest_binary = 98").await;
    let newer = start("holdfast_worker", Role::Worker, "").await;
    assert!(newer.starts_with("the database needs a binary for schema 98 or newer"), "{newer}");
}
