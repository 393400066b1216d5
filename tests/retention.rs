//! Payloads that are dropped because of their age: what goes, what stays, and what is asked of what
//! has stayed.

mod commands;
mod guards;
mod reads;

use jobs::PauseScope;
use outbox::{
    Leftover, PayloadFate, PayloadPartition, Recorded, copy_kept, drop_spent, partitions_ahead, retention_plan, swap_in,
};

use crate::harness::{
    Db, SUBMITTER, ask_of, cancel_parked, lock, mark_paid, payment, refusal, register, release, resume, until, withdraw,
};
use crate::verify::Scene;

/// As many ids as a partition has.
const WIDTH: i64 = 1 << 24;

/// Ends what the scene has left open, and lets half a year pass: its jobs are in a partition that
/// nothing is recorded in any more.
async fn old_scene() -> Scene {
    let mut scene = Scene::new().await;
    scene.db.ask_as(SUBMITTER, resume(PauseScope::Rail, "crypto")).await;
    scene.db.operate().await;
    let refused = scene.db.ask(withdraw(scene.names["ann"], "btc", "1000")).await;
    scene.names.insert("refused_withdrawal", refused);
    let db = &scene.db;
    db.drain().await;
    // What was taken back or extended has its timer, hours ahead.
    db.pass("4 hours").await;
    db.sweep().await;
    let parked = sqlx::query_scalar!("select job_id from parked").fetch_all(&db.owner).await.unwrap();
    for job in parked {
        db.ask_as(SUBMITTER, cancel_parked(job)).await;
        db.operate().await;
        assert_eq!(db.outcome(job).await, "cancelled cancelled_by_operator");
    }
    age(db).await;
    scene
}

/// The next jobs are recorded in the next partition, half a year later.
async fn age(db: &Db) {
    db.sql(&format!("select setval('job_id', (((select last_value from job_id) >> 24) + 1) * {WIDTH})")).await;
    let mut owner = db.owner.acquire().await.unwrap();
    partitions_ahead(&mut owner).await.unwrap();
    db.pass("6 months").await;
}

async fn first(db: &Db, months: i32) -> PayloadPartition {
    retention_plan(&db.owner, months).await.unwrap().partitions.into_iter().next().unwrap()
}

/// All steps, for the first partition. How many jobs it has.
async fn retain(db: &Db) -> i64 {
    assert_eq!(first(db, 3).await.fate, PayloadFate::Due);
    let jobs = copy_kept(&db.owner, 0, 3).await.unwrap();
    swap_in(&db.owner, 0, 3, "ann").await.unwrap();
    assert!(drop_spent(&db.owner, 0).await.unwrap());
    jobs
}

/// Everything that must never go, as one text for each table.
async fn kept(db: &Db) -> Vec<(String, String)> {
    // The payloads' own record, and which binaries may run, are beside it; `job` is looked at below.
    let tables: Vec<String> = sqlx::query_scalar!(
        r#"
        select c.relname::text as "name!" from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
            and c.relname not in ('job', 'retention', 'schema', '_sqlx_migrations') and c.relname not like 'job\_p%'
        order by 1
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let sql = format!("select coalesce(string_agg(t::text, e'\\n' order by t::text), '') from {table} t");
        let text: String = sqlx::query_scalar(sqlx::AssertSqlSafe(sql)).fetch_one(&db.owner).await.unwrap();
        all.push((table, text));
    }
    let jobs = "select string_agg((id, kind, submitted_by, caused_by, received_at)::text, e'\\n' order by id) from job";
    all.push(("job".to_owned(), sqlx::query_scalar(jobs).fetch_one(&db.owner).await.unwrap()));
    all
}

#[tokio::test]
async fn payloads_go_and_nothing_else_does() {
    let scene = old_scene().await;
    let db = &scene.db;
    let before = kept(db).await;
    db.verified().await;
    let jobs = retain(db).await;
    assert_eq!(kept(db).await, before);
    db.verified().await;
    let left = sqlx::query_scalar!(r#"select distinct jsonb_object_keys(payload) as "key!" from job order by 1"#);
    assert_eq!(left.fetch_all(&db.owner).await.unwrap(), ["inbox_id", "trade_id", "withdrawal_id"]);
    let record = sqlx::query!(
        r#"
        select r.jobs, (select count(*) from job) as "all!", done_by, login, months, received_to < cutoff as "old!",
            dropped_at is not null as "dropped!", to_regclass('job_p000000_spent') is null as "away!"
        from retention r
        "#
    );
    let record = record.fetch_one(&db.owner).await.unwrap();
    assert_eq!((record.jobs, record.all, record.months), (jobs, jobs, 3));
    assert_eq!((record.done_by.as_str(), record.login.as_str()), ("ann", "postgres"));
    assert!(record.old && record.dropped && record.away);
    assert!(matches!(first(db, 3).await.fate, PayloadFate::Dropped { by, .. } if by == "ann"));
    // What was done is done once, and stays on record.
    for again in [copy_kept(&db.owner, 0, 3).await.map(|_| ()), swap_in(&db.owner, 0, 3, "ann").await] {
        assert_eq!(refusal(again).code, "23514");
    }
    assert!(!drop_spent(&db.owner, 0).await.unwrap());
    for statement in [
        "delete from retention",
        "truncate retention",
        "update retention set done_by = 'ben'",
        "update retention set dropped_at = clock()",
        "update retention set dropped_at = null",
    ] {
        assert_eq!(refusal(db.try_sql(statement).await).code, "23514", "{statement}");
    }
    db.verified().await;
}

/// A key is good for ever: the same under it is the same job, anything else is refused.
#[tokio::test]
async fn a_key_outlives_what_was_asked_under_it() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let paid = payment(seller, "btc", "0.9");
    assert_eq!(db.told(&paid).await, "settled");
    let asked = lock(seller, buyer, "btc", "0.5");
    let [Recorded::New(trade)] = db.enqueue(&[ask_of("old", &asked)]).await.unwrap()[..] else { panic!("not new") };
    db.drain().await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    assert_eq!(db.done(release(trade, seller)).await, "settled");
    age(&db).await;
    retain(&db).await;
    let before = kept(&db).await;
    let again = [ask_of("old", &asked), ask_of("old", &lock(seller, buyer, "btc", "0.4"))];
    assert_eq!(db.enqueue(&again).await.unwrap(), [Recorded::Replay(trade), Recorded::Conflict(trade)]);
    assert!(matches!(db.callback(&paid).await, Recorded::Replay(_)), "a payment is credited once");
    db.drain().await;
    let after: Vec<_> = kept(&db).await.into_iter().filter(|(table, _)| table != "ipn_inbox").collect();
    let before: Vec<_> = before.into_iter().filter(|(table, _)| table != "ipn_inbox").collect();
    assert_eq!(after, before);
    // What refers to a job of long ago meets it: the trade is over, the people are there.
    assert_eq!(db.done(release(trade, seller)).await, "rejected wrong_state");
    assert_eq!(db.done(lock(seller, buyer, "btc", "0.1")).await, "settled");
    db.verified().await;
}

#[tokio::test]
async fn what_has_not_ended_keeps_its_partition() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let job = db.ask(mark_paid(trade, buyer)).await;
    let refused = async |told: PayloadFate| {
        assert_eq!(first(&db, 3).await.fate, told);
        assert_eq!(refusal(copy_kept(&db.owner, 0, 3).await).code, "23514");
        let there = sqlx::query_scalar!(r#"select to_regclass('job_p000000_kept') is null as "none!""#);
        assert!(there.fetch_one(&db.owner).await.unwrap());
    };
    age(&db).await;
    // Queued for a time that is far away, as a timer may be.
    db.sql("update outbox set run_at = clock() + interval '2 years'").await;
    refused(PayloadFate::Unfinished(1, job)).await;
    db.sql("update outbox set run_at = clock()").await;
    db.park(job, 1).await;
    refused(PayloadFate::Unfinished(1, job)).await;
    // A job that is nowhere at all, which only a fault could make.
    db.sql(&format!("create table away as select * from parked; delete from parked where job_id = {job}")).await;
    refused(PayloadFate::Unfinished(1, job)).await;
    db.sql("insert into parked select * from away; drop table away").await;
    // Its decision is of the next partition, and ends the job today: that is what counts.
    db.operators().await;
    db.ask_as(SUBMITTER, crate::harness::retry_parked(job)).await;
    db.operate().await;
    db.drain().await;
    assert_eq!(db.outcome(job).await, "settled");
    let young = first(&db, 3).await;
    assert!(matches!(young.fate, PayloadFate::Young(_)), "{young:?}");
    assert_eq!(refusal(copy_kept(&db.owner, 0, 3).await).code, "23514");
    db.pass("4 months").await;
    retain(&db).await;
    db.verified().await;
}

/// Months are those of the calendar, by `clock()` in UTC, and there are at least three.
#[tokio::test]
async fn what_is_young_stays() {
    let db = Db::new().await;
    db.sql("update clock_shift set shift = timestamptz '2031-01-31 23:59:59.5 UTC' - now()").await;
    db.ask(register(None)).await;
    db.drain().await;
    db.sql(&format!("select setval('job_id', {WIDTH}); select partitions_ahead()")).await;
    for (now, months, due) in [
        ("2031-04-30 23:59:59", 3, false),
        ("2031-05-01 00:00:01", 3, true),
        ("2031-05-01 00:00:01", 4, false),
        ("2032-01-31 12:00:00", 12, false),
        ("2032-02-01 00:00:01", 12, true),
    ] {
        db.sql(&format!("update clock_shift set shift = timestamptz '{now} UTC' - now()")).await;
        assert_eq!(first(&db, months).await.fate == PayloadFate::Due, due, "{now} {months}");
        let mut tx = db.owner.begin().await.unwrap();
        let copied = sqlx::query!("select retention_copy(0, $1)", months).fetch_one(&mut *tx).await;
        assert_eq!(copied.is_ok(), due, "{now} {months}: {copied:?}");
        tx.rollback().await.unwrap();
    }
    for months in [2, 0, -1] {
        assert_eq!(refusal(copy_kept(&db.owner, 0, months).await).code, "23514", "{months}");
    }
    // Never the current one nor those to come, however long nothing happens.
    db.pass("10 years").await;
    let fates = retention_plan(&db.owner, 3).await.unwrap().partitions;
    let fates: Vec<_> = fates.into_iter().map(|partition| partition.fate).collect();
    assert_eq!(fates[..3], [PayloadFate::Due, PayloadFate::Current, PayloadFate::ToCome]);
    for part in [-1, 1, 2, 3, 99] {
        assert_eq!(refusal(copy_kept(&db.owner, part, 3).await).code, "23514", "{part}");
    }
    db.verified().await;
}

/// Whatever moment it ends at, reads find everything, the books are right, and the next run goes on.
#[tokio::test]
async fn interrupted_it_goes_on() {
    let scene = old_scene().await;
    let db = &scene.db;
    let before = kept(db).await;
    let stands = async |leftover| {
        assert_eq!(first(db, 3).await.leftover, leftover);
        assert_eq!(kept(db).await, before);
        db.verified().await;
    };
    // In the midst of the first step, and of the second.
    for _ in 0..2 {
        let mut tx = db.owner.begin().await.unwrap();
        sqlx::query!("select retention_copy(0, 3)").fetch_one(&mut *tx).await.unwrap();
        sqlx::query!("select retention_swap(0, 3, 'ann')").fetch_one(&mut *tx).await.unwrap();
        tx.rollback().await.unwrap();
        stands(None).await;
    }
    assert_eq!(refusal(swap_in(&db.owner, 0, 3, "ann").await).code, "23514", "nothing is copied");
    assert_eq!(refusal(drop_spent(&db.owner, 0).await).code, "23514", "it is in use");
    let jobs = copy_kept(&db.owner, 0, 3).await.unwrap();
    stands(Some(Leftover::Copied)).await;
    // The range is closed from now on, to the owner as well.
    let late = format!(
        "insert into job select {}, kind, payload, submitted_by, null, null, received_at from job limit 1",
        WIDTH - 1
    );
    assert!(refusal(db.try_sql(&late).await).message.contains("closed"));
    assert_eq!(copy_kept(&db.owner, 0, 3).await.unwrap(), jobs, "the copy is used");
    swap_in(&db.owner, 0, 3, "ann").await.unwrap();
    stands(Some(Leftover::Spent)).await;
    assert!(refusal(db.try_sql(&late).await).message.contains("closed"));
    assert!(drop_spent(&db.owner, 0).await.unwrap());
    stands(None).await;
}

/// A copy that is not one is never put in the place of the partition.
#[tokio::test]
async fn a_copy_that_differs_is_refused() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    for change in [
        "delete from job_p000000_kept where id = {trade}",
        "update job_p000000_kept set kind = 'release' where id = {trade}",
        "update job_p000000_kept set received_at = received_at + interval '1 second' where id = {trade}",
        "update job_p000000_kept set payload = '{}' where payload <> '{}'",
    ] {
        let change = change.replace("{trade}", &scene.names["released"].to_string());
        let mut tx = db.owner.begin().await.unwrap();
        let silently = format!("set local session_replication_role = replica; {change}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(silently)).execute(&mut *tx).await.unwrap();
        let swapped = sqlx::query!("select retention_swap(0, 3, 'ann')").fetch_one(&mut *tx).await;
        assert!(refusal(swapped).message.contains("is no copy of"), "{change}");
        tx.rollback().await.unwrap();
    }
    db.verified().await;
}

/// Workers settle and clients ask all the while. A transaction that reads jobs for long is not
/// waited for.
#[tokio::test]
async fn it_runs_while_workers_settle() {
    let scene = old_scene().await;
    let db = &scene.db;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let settler = db.settler_on(db.pool("holdfast_worker", 4).await, 16).await;
    let rounds = std::sync::atomic::AtomicU32::new(0);
    let (done, is_done) = tokio::sync::watch::channel(false);
    let load = async {
        let count = || rounds.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        while !*is_done.borrow() {
            let locks = db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); 40]).await;
            db.ask_all(&locks.iter().map(|trade| mark_paid(*trade, buyer)).collect::<Vec<_>>()).await;
            db.ask_all(&locks.iter().map(|trade| release(*trade, seller)).collect::<Vec<_>>()).await;
            db.drain_with(&settler).await;
            for trade in locks {
                assert_eq!(crate::trades::state(db, trade).await, "released");
            }
            count();
        }
    };
    let goes_on = async |what: &str| {
        let now = rounds.load(std::sync::atomic::Ordering::Relaxed);
        until(what, async || rounds.load(std::sync::atomic::Ordering::Relaxed) > now + 1).await;
    };
    let retention = async {
        let owner = db.pool("postgres", 4).await;
        goes_on("jobs are settled before").await;
        copy_kept(&owner, 0, 3).await.unwrap();
        goes_on("jobs are settled beside the copy").await;
        let mut reader = owner.begin().await.unwrap();
        sqlx::query!("select id from job limit 1").fetch_one(&mut *reader).await.unwrap();
        assert_eq!(refusal(swap_in(&owner, 0, 3, "ann").await).code, "55P03");
        goes_on("jobs are settled after it gave up").await;
        reader.rollback().await.unwrap();
        swap_in(&owner, 0, 3, "ann").await.unwrap();
        goes_on("jobs are settled without the payloads").await;
        drop_spent(&owner, 0).await.unwrap();
        goes_on("jobs are settled after all").await;
        done.send(true).unwrap();
    };
    tokio::join!(load, retention);
    db.verified().await;
}

/// A snapshot that reads job late would find a partition empty that took another one's place meanwhile: whoever
/// verifies holds on to job from the first.
#[tokio::test]
async fn a_verification_under_way_is_waited_for() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    let mut verifying = db.worker.begin_with("begin isolation level repeatable read read only").await.unwrap();
    sqlx::query!("lock table only job in access share mode").execute(&mut *verifying).await.unwrap();
    assert_eq!(refusal(swap_in(&db.owner, 0, 3, "ann").await).code, "55P03");
    assert!(integrity::verify_within(&mut verifying).await.unwrap().is_clean());
    verifying.rollback().await.unwrap();
    swap_in(&db.owner, 0, 3, "ann").await.unwrap();
    db.verified().await;
}

/// What is done to other partitions, such as vacuuming them, is not waited for.
#[tokio::test]
async fn work_on_another_partition_is_not_in_the_way() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    let mut busy = db.owner.begin().await.unwrap();
    sqlx::query!("lock table job_p000001 in share update exclusive mode").execute(&mut *busy).await.unwrap();
    swap_in(&db.owner, 0, 3, "ann").await.unwrap();
    busy.rollback().await.unwrap();
    db.verified().await;
}

/// A copy that was left behind before job got another column is made anew.
#[tokio::test]
async fn an_old_copy_is_not_in_the_way() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    db.sql("alter table job add column later text").await;
    let jobs = retain(db).await;
    assert!(jobs > 0);
    db.verified().await;
}
