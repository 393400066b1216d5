//! How the database carries out what a worker asks, when the queue is not what it was at first.

use std::time::Duration;

use chrono::DateTime;
use integrity::verify_within;
use outbox::{Parked, Postponed, PutOff, Run, SubjectKey, Suspects};
use serde_json::Value;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, query_scalar};

use crate::harness::{Db, lock, mark_paid, register};

/// The plan that a connection keeps for the statement that is like this.
async fn kept_plan(db: &mut PgConnection, statement: &str, arguments: &str) -> String {
    let name: String = query_scalar("select name from pg_prepared_statements where statement like $1")
        .bind(statement)
        .fetch_one(&mut *db)
        .await
        .unwrap();
    // Without a plan that suits every argument the server would make one for these.
    query_scalar::<_, String>("select set_config('plan_cache_mode', 'force_generic_plan', false)")
        .fetch_one(&mut *db)
        .await
        .unwrap();
    let explain = format!("explain (costs off) execute {name}({arguments})");
    let lines: Vec<String> = query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_all(db).await.unwrap();
    lines.join("\n")
}

/// A worker has settled batch after batch from a queue that was empty each time; then thousands are due.
#[tokio::test]
async fn a_burst_onto_an_empty_queue_is_looked_up_by_its_keys() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_worker", 1).await;
    let settler = db.settler_on(pool.clone(), 1_000).await;
    for _ in 0..8 {
        db.ask_all(&vec![register(None); 130]).await;
        db.drain_due(&settler).await;
        // As the server does by itself; from then on it knows that there is next to nothing in it.
        db.sql("vacuum outbox").await;
    }
    for _ in 0..6 {
        db.ask_all(&vec![register(None); 1_000]).await;
    }
    assert_eq!(settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap().settled, 1_000);
    let mut connection = pool.acquire().await.unwrap();
    let plan = kept_plan(&mut connection, "%delete from outbox o using unnest($1%", "'{1}', '{1}'").await;
    assert!(plan.contains("outbox_pk"), "{plan}");
    drop(connection);
    db.drain_with(&settler).await;
    db.verified().await;
}

/// What is asked about the subjects of a batch is looked up by these, however empty the queue was.
#[tokio::test]
async fn what_else_is_queued_about_a_subject_is_looked_up_by_it() {
    let db = Db::new().await;
    db.sql("vacuum analyze outbox").await;
    let pool = db.pool("holdfast_worker", 1).await;
    let mut connection = pool.acquire().await.unwrap();
    let about = [(7, 3), (8, 4)].map(|(job, subject)| (job, SubjectKey { subject_type: "trade", subject }));
    assert_eq!(outbox::overtaken(&mut connection, &about, &[1]).await.unwrap(), [0_i64; 0]);
    assert_eq!(outbox::behind_waiting(&mut connection, &about, &["release"], &[1]).await.unwrap(), [0_i64; 0]);
    assert_eq!(outbox::behind_paused(&mut connection, &about, &[1]).await.unwrap(), []);
    let deadlines = about.map(|(_, about)| (about.subject, DateTime::UNIX_EPOCH));
    assert_eq!(outbox::received_by(&mut connection, "trade", &deadlines, &[1]).await.unwrap(), [0_i64; 0]);
    outbox::moment(&mut connection, "ledger").await.unwrap();
    let plan = kept_plan(&mut connection, "%as _put_off!_%", "'ledger'").await;
    assert!(plan.contains("using outbox_waiting_in on outbox"), "{plan}");
    let received = "'{3,4}', '{2026-01-01,2026-01-02}', '{1}', 'trade'";
    for (told, index, arguments) in [
        ("%o.last_error is not null%", "using outbox_about on outbox", "'{7,8}', '{3,4}', '{1}', '{trade,trade}'"),
        (
            "%o.attempt > 0 and%",
            "using outbox_waiting on outbox",
            "'{7,8}', '{3,4}', '{1}', '{release}', '{trade,trade}'",
        ),
        ("%as _pause!_%", "using outbox_about on outbox", "'{7,8}', '{3,4}', '{1}', '{trade,trade}'"),
        ("%queued.found or parked.found%", "using outbox_about on outbox", received),
        ("%queued.found or parked.found%", "parked_about", received),
    ] {
        let plan = kept_plan(&mut connection, told, arguments).await;
        // Not merely read from one end to the other.
        let looked_up = plan.contains("Index Cond: (subject = a.subject)");
        assert!(looked_up && plan.contains(index), "{plan}");
    }
}

/// A queue with pages and next to no rows, then a thousand jobs that are due: the server takes it to be empty still.
async fn taken_for_empty(db: &Db) -> Vec<i64> {
    db.ask_all(&vec![register(None); 400]).await;
    let last = "update outbox set run_at = run_at + interval '1 hour' where job_id = (select max(job_id) from outbox)";
    db.sql(last).await;
    db.drain_due(&db.settler().await).await;
    db.sql("vacuum analyze outbox").await;
    db.ask_all(&vec![register(None); 1_000]).await
}

/// How many entries of the queue's indexes this connection and those before it have read.
async fn read_of_the_queue(db: &Db, pool: &PgPool) -> i64 {
    sqlx::raw_sql("select pg_stat_force_next_flush()").execute(pool).await.unwrap();
    let read = "select sum(idx_tup_read)::bigint from pg_stat_user_indexes where relname = 'outbox'";
    query_scalar(read).fetch_one(&db.owner).await.unwrap()
}

/// With each beat a worker asks for what the dead have held; it is looked up, also where the server takes a long
/// queue for an empty one.
#[tokio::test]
async fn a_heartbeat_does_not_walk_through_the_queue() {
    let db = Db::new().await;
    let jobs = taken_for_empty(&db).await;
    let pool = db.pool("holdfast_worker", 1).await;
    let dead = Run::begin(pool.clone(), "ledger", "one that dies".to_owned()).await.unwrap();
    dead.note_holding(&jobs[..3]).await.unwrap();
    db.pass("6 seconds").await;
    let run = Run::begin(pool.clone(), "ledger", "a worker".to_owned()).await.unwrap();
    let before = read_of_the_queue(&db, &pool).await;
    assert_eq!(run.beat().await.unwrap(), jobs[..3]);
    let read = read_of_the_queue(&db, &pool).await - before;
    assert!(read < 50, "{read} entries for three jobs");
    db.drain().await;
    db.verified().await;
}

/// Nor with each turn of suspects, though another worker may have leased all of them.
#[tokio::test]
async fn a_turn_of_suspects_does_not_walk_through_the_queue() {
    let db = Db::new().await;
    let jobs = taken_for_empty(&db).await;
    let suspects = jobs[..3].to_vec();
    let other = db.settler().await;
    other.refresh(suspects.clone()).await.unwrap();
    for _ in 0..3 {
        assert!(other.lease_suspect().await.unwrap().is_some());
    }
    let pool = db.pool("holdfast_worker", 1).await;
    let settler = db.settler_on(pool.clone(), 100).await;
    settler.refresh(suspects).await.unwrap();
    let before = read_of_the_queue(&db, &pool).await;
    assert_eq!(settler.lease_suspect().await.unwrap(), None);
    let read = read_of_the_queue(&db, &pool).await - before;
    assert!(read < 50, "{read} entries for three jobs");
    db.drain().await;
    db.verified().await;
}

/// Nor what becomes of a few jobs that do not settle.
#[tokio::test]
async fn what_goes_back_or_to_a_person_is_looked_up_by_its_keys() {
    let db = Db::new().await;
    let jobs = taken_for_empty(&db).await;
    let few = [jobs[10], jobs[500], jobs[990]];
    let pool = db.pool("holdfast_worker", 1).await;
    let mut before = read_of_the_queue(&db, &pool).await;
    for verb in ["postpone", "put_off", "park"] {
        let mut tx = pool.begin().await.unwrap();
        let done = match verb {
            "postpone" => {
                let back = |job_id| Postponed { job_id, attempt: 0, after: Duration::from_secs(1), why: "a test" };
                outbox::postpone(&mut tx, &few.map(back)).await
            }
            "put_off" => {
                let off = |job_id| PutOff { job_id, attempt: 0, pause: "kind user-register".to_owned() };
                outbox::put_off(&mut tx, &few.map(off)).await
            }
            _ => {
                let parked = |job_id| Parked { job_id, attempt: 0, reason: "poison", detail: "a test".to_owned() };
                outbox::park(&mut tx, &few.map(parked)).await
            }
        };
        done.unwrap();
        tx.rollback().await.unwrap();
        let after = read_of_the_queue(&db, &pool).await;
        assert!(after - before < 50, "{verb}: {} entries for three jobs", after - before);
        before = after;
    }
    db.drain().await;
    db.verified().await;
}

/// Nor is what might make a trade that is not there, of which somebody speaks.
#[tokio::test]
async fn what_is_awaited_is_looked_up_by_its_key() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    taken_for_empty(&db).await;
    db.drain().await;
    let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let slow = db.settler_on(db.worker.clone(), 1).await;
    let held = slow.claim().await.unwrap().unwrap();
    db.ask(mark_paid(trade, buyer)).await;
    let pool = db.pool("holdfast_worker", 1).await;
    let settler = db.settler_on(pool.clone(), 1).await;
    assert_eq!(settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap().postponed, 1);
    slow.settle(held).await.unwrap();
    let mut connection = pool.acquire().await.unwrap();
    let plan = kept_plan(&mut connection, "%left join lateral%q.job_id = m.id%", "'{7,8}', '{a,b}', 7, 8").await;
    assert!(plan.contains("outbox_pk") && plan.contains("Index Cond: (job_id = m.id)"), "{plan}");
    db.drain().await;
    db.verified().await;
}

/// What one join may keep in memory in [`no_check_parts_rows_in_vain`]: the least that the server takes.
const MEMORY_KB: u64 = 64;

/// The nodes of a plan that keep one side of a join in memory, part by part where it does not fit.
fn hashes<'a>(node: &'a Value, found: &mut Vec<&'a Value>) {
    if node.get("Hash Batches").is_some() {
        found.push(node);
    }
    for child in node["Plans"].as_array().into_iter().flatten() {
        hashes(child, found);
    }
}

/// A figure of a node, without what stands behind the point.
fn figure(node: &Value, name: &str) -> u64 {
    node[name].to_string().split('.').next().and_then(|whole| whole.parse().ok()).unwrap()
}

/// Whether one part of a join is much larger than the others, and than it may be.
fn parts_in_vain(hash: &Value) -> bool {
    let (parts, largest_kb) = (figure(hash, "Hash Batches"), figure(hash, "Peak Memory Usage"));
    // A row has two headers of 16 bytes.
    let bytes = figure(hash, "Actual Rows") * (figure(hash, "Plan Width") + 32);
    largest_kb > MEMORY_KB && largest_kb * 1_024 * parts > 4 * bytes
}

/// Rows of equal keys cannot be parted. The server tries to all the same: before 18 until no memory is left, and since
/// then it keeps them in memory together. So no check joins by a key which half of what it reads is without, as open
/// holds are without the job that closes them. Seen for holds and jobs, which are what is there, and for the checks
/// that take no parameter.
#[tokio::test]
async fn no_check_parts_rows_in_vain() {
    let db = Db::new().await;
    // Four jobs for each hold: so the holds are the smaller side, which is kept in memory.
    db.sql(
        "insert into job (id, kind, payload, submitted_by, received_at)
            select n, 'user-register', '{}', 1, clock() from generate_series(1, 40000) n;
        insert into request (submitter, kind, key, payload_hash, job_id)
            select 1, 'user-register', n::text, sha256(''), n from generate_series(1, 40000) n;
        insert into hold (id, account_id, subject, amount, closed_by)
            select n, 1, n, 1, case when n % 2 = 0 then n + 10000 end from generate_series(1, 10000) n;
        analyze",
    )
    .await;
    let mut tx = db.owner.begin().await.unwrap();
    verify_within(&mut tx).await.unwrap();
    let kept = "select name, statement from pg_prepared_statements
        where statement like '%count(*) over () as \"total!\"%' and statement not like '%$1%'";
    let statements: Vec<(String, String)> = sqlx::query_as(kept).fetch_all(&mut *tx).await.unwrap();
    assert!(statements.len() > 50, "{}", statements.len());
    // The plans stay those that were made with more.
    let memory = format!("set local work_mem = '{MEMORY_KB}kB'; set local hash_mem_multiplier = 1");
    sqlx::raw_sql(AssertSqlSafe(memory)).execute(&mut *tx).await.unwrap();
    let mut parted = 0;
    for (name, statement) in statements {
        let explain = format!("explain (analyze, timing off, format json) execute {name}");
        let plan: Value = query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_one(&mut *tx).await.unwrap();
        let mut found = Vec::new();
        hashes(&plan[0]["Plan"], &mut found);
        assert!(!found.iter().any(|hash| parts_in_vain(hash)), "{statement}\n{plan:#}");
        parted += found.iter().filter(|hash| figure(hash, "Hash Batches") > 1).count();
    }
    assert!(parted > 0, "so little memory is enough");
}

/// A plan that serves whatever is asked for names every partition, so where there are many it is not kept.
#[tokio::test]
async fn where_partitions_are_many_no_plan_names_them_all() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_worker", 1).await;
    let settler = db.settler_on(pool.clone(), 100).await.aside(db.worker.clone());
    let mode = async || {
        db.ask(register(None)).await;
        db.drain_due(&settler).await;
        settler.refresh(Suspects::new()).await.unwrap();
        query_scalar::<_, String>("select current_setting('plan_cache_mode')").fetch_one(&pool).await.unwrap()
    };
    assert_eq!(mode().await, "force_generic_plan");
    db.sql("select partitions_ahead(16)").await;
    assert_eq!(mode().await, "force_generic_plan", "nobody has told it yet");
    assert_eq!(mode().await, "auto");
    db.verified().await;
}
