//! Every kind, delivered again: its effects happen once.

use jobs::{AnyJob, KINDS, Lane, PauseScope, UserFlag, UserId, Verify, kind_info};
use outbox::{Ask, Recorded};
use settlement::{Calling, Report};
use sqlx::AssertSqlSafe;

use crate::harness::{
    Db, SUBMITTER, ask_of, call_off, credit_of, lease_one, lock, mark_paid, pause, payment, refund, refusal, register,
    release, retry_parked, withdraw,
};

/// An ask of each kind that settles, with all that it needs. A kind that is missing here fails.
async fn ask_for(db: &Db, kind: &str) -> Ask {
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let job = match kind {
        "user-register" => register(Some(seller)),
        "lock-escrow" => lock(seller, buyer, "btc", "0.5"),
        "trade-event" => mark_paid(db.trade(seller, buyer, "btc", "0.5").await, buyer),
        "release" => {
            let trade = db.trade(seller, buyer, "btc", "0.5").await;
            assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
            release(trade, seller)
        }
        "refund" => refund(db.trade(seller, buyer, "btc", "0.5").await, buyer),
        "pause" => {
            db.operators().await;
            pause(PauseScope::Rail, "bank")
        }
        "parked-decision" => {
            db.operators().await;
            let parked = db.ask(register(None)).await;
            db.park(parked, 0).await;
            retry_parked(parked)
        }
        "timer-expiry" => {
            let trade = db.trade(seller, buyer, "btc", "0.5").await;
            db.pass("3 hours").await;
            let settler = db.settler().await;
            assert_eq!(settler.sweep_timers().await.unwrap(), 1);
            return db.caused("timer-expiry", trade).await;
        }
        "referral-commission" => {
            let brought = db.ask(register(Some(buyer))).await;
            let trade = db.trade(seller, brought, "btc", "0.5").await;
            assert_eq!(db.done(mark_paid(trade, brought)).await, "settled");
            db.ask(release(trade, seller)).await;
            let settler = db.settler().await;
            settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap();
            return db.caused("referral-commission", trade).await;
        }
        "withdrawal-request" => {
            db.know(seller, 3).await;
            withdraw(seller, "btc", "0.2")
        }
        "withdrawal-decision" => {
            db.know(seller, 3).await;
            let withdrawal = db.ask(withdraw(seller, "btc", "0.2")).await;
            db.drain().await;
            call_off(withdrawal, seller)
        }
        "user-flag" => {
            db.operator(SUBMITTER).await;
            AnyJob::UserFlag(UserFlag {
                user_id: UserId(buyer),
                frozen: Some(true),
                tier: None,
                kyc: Some(2),
                reason: "a test".to_owned(),
            })
        }
        "deposit-credit" => {
            let paid = payment(buyer, "btc", "0.25");
            let job = db.callback(&paid).await.job_id();
            // The same ask as the callback made; its job is taken as the first delivery.
            let row = sqlx::query!(
                r#"select i.id, i.fact_key as "fact_key!" from ipn_inbox i join job j on (j.payload ->> 'inbox_id')::bigint = i.id where j.id = $1"#,
                job,
            )
            .fetch_one(&db.owner)
            .await
            .unwrap();
            return credit_of(row.id, &row.fact_key);
        }
        other => panic!("the kind {other:?} has no replay test: add it here"),
    };
    ask_of("replayed", &job)
}

/// What a second delivery does change: the queue, what was asked, who works, and what the test itself moves.
const QUEUE: [&str; 7] = ["job", "request", "outbox", "parked", "worker_run", "clock_shift", "_sqlx_migrations"];

/// Everything that a second delivery might have changed but must not: the rows of all other tables, the parts of a
/// table once.
async fn state(db: &Db) -> String {
    let tables: Vec<String> = sqlx::query_scalar!(
        r#"
        select c.relname::text as "name!" from pg_class c
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
            and c.relname::text <> all ($1)
        order by 1
        "#,
        &QUEUE as _,
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let rows = format!("select row_to_json(t)::text as row from {table} t order by 1");
        let rows: Vec<String> = sqlx::query_scalar(AssertSqlSafe(rows)).fetch_all(&db.owner).await.unwrap();
        all.push(table);
        all.extend(rows);
    }
    all.join("\n")
}

async fn check_replay(kind: &str) {
    let db = Db::new().await;
    let ask = ask_for(&db, kind).await;
    let first = db.enqueue(std::slice::from_ref(&ask)).await.unwrap()[0];
    let id = first.job_id();
    // Asked again while it is queued.
    assert_eq!(db.enqueue(std::slice::from_ref(&ask)).await.unwrap()[0], Recorded::Replay(id), "{kind}");
    db.operate().await;
    db.drain().await;
    assert_eq!(db.outcome(id).await, "settled", "{kind}");
    let after = state(&db).await;

    // Asked again when it is done.
    assert_eq!(db.enqueue(std::slice::from_ref(&ask)).await.unwrap()[0], Recorded::Replay(id), "{kind}");
    assert_eq!(db.drain().await.ended(), 0, "{kind}");

    // What verifies is leased and not in a batch; in a lane that is not its own nothing is done.
    let (lane, reason) = if ask.lane == "verify" { ("ledger", "wrong_lane") } else { (ask.lane, "poison") };
    // Delivered again, next to a job that has nothing to do with it.
    db.sql(&format!(
        "insert into outbox (job_id, lane, slot, subject, run_at) values ({id}, '{lane}', 0, {id}, clock())"
    ))
    .await;
    let twice = db
        .try_sql(&format!(
            "insert into outbox (job_id, lane, slot, subject, run_at) values ({id}, '{lane}', 0, 1, clock())"
        ))
        .await;
    assert_eq!(refusal(twice).constraint, "outbox_pk", "{kind}: a job is never in one batch twice");
    let neighbour = db.ask(refund(1_000_000, 1)).await;
    db.operate().await;
    db.drain().await;
    let parked =
        sqlx::query!("select reason, detail from parked where job_id = $1", id).fetch_one(&db.owner).await.unwrap();
    assert_eq!(parked.reason, reason, "{kind}");
    assert!(reason != "poison" || parked.detail.contains("duplicate key value"), "{kind}: {}", parked.detail);
    assert_eq!(db.outcome(neighbour).await, "rejected trade_unknown", "{kind}");

    // An operator would cancel it; with that the neighbour's outcome is the one thing that is new.
    db.sql(&format!("delete from parked where job_id = {id}")).await;
    let outcome = format!("\"job_id\":{neighbour},");
    let now: Vec<String> =
        state(&db).await.lines().filter(|line| !line.contains(&outcome)).map(str::to_owned).collect();
    assert_eq!(now.join("\n"), after.lines().collect::<Vec<_>>().join("\n"), "{kind}");
    db.verified().await;
}

/// What is leased and not settled in batches: asked again it is one job, and whoever lost the lease
/// records nothing.
async fn check_leased_replay(kind: &str) {
    let db = Db::new().await;
    db.operators().await;
    let ask = match kind {
        "verify" => ask_of("replayed", &AnyJob::call(Verify {})),
        other => panic!("the kind {other:?} has no replay test: add it here"),
    };
    let id = db.enqueue(std::slice::from_ref(&ask)).await.unwrap()[0].job_id();
    assert_eq!(db.enqueue(std::slice::from_ref(&ask)).await.unwrap()[0], Recorded::Replay(id));
    let verifier = db.verifier().await;
    let lost = lease_one(&verifier).await.unwrap();
    assert_eq!(lease_one(&verifier).await, None, "it is leased");
    db.pass("11 minutes").await;
    let taken = lease_one(&verifier).await.unwrap();
    assert_eq!((lost.attempt, taken.attempt), (1, 2));
    let run = async |leased| {
        let storm = |error: &sqlx::Error| panic!("{error}");
        verifier.run(leased, std::future::pending(), storm).await.unwrap()
    };
    assert_eq!(run(lost).await, Calling::Lost);
    assert_eq!(db.outcome(id).await, "queued");
    assert!(matches!(run(taken).await, Calling::Recorded(Report { settled: 1, .. })));
    assert_eq!(db.outcome(id).await, "settled");
    assert_eq!(run(taken).await, Calling::Lost, "once is once");
    assert_eq!(db.enqueue(&[ask]).await.unwrap()[0], Recorded::Replay(id));
    assert_eq!(lease_one(&verifier).await, None);
    db.verified().await;
}

#[tokio::test]
async fn every_kind_happens_once_however_often_it_is_delivered() {
    for kind in KINDS {
        assert_eq!(kind_info(kind.name), Some(*kind));
        match kind.lane {
            Lane::Verify => check_leased_replay(kind.name).await,
            Lane::Ledger | Lane::Provider | Lane::Notify | Lane::Operate => check_replay(kind.name).await,
        }
    }
}

#[tokio::test]
async fn a_batch_has_a_job_once_even_if_it_is_named_twice() {
    let db = Db::new().await;
    let job = db.ask(register(None)).await;
    let mut tx = db.worker.begin().await.unwrap();
    let claimed = outbox::claim_these(&mut tx, &[job, job, job]).await.unwrap();
    assert_eq!(claimed.iter().map(|claimed| claimed.job_id).collect::<Vec<_>>(), [job]);
}
