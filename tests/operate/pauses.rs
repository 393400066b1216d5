//! Pauses as a batch meets them: what is put off, what is not, and how it comes back.

use jobs::PauseScope;

use crate::harness::{
    Db, OTHER, SUBMITTER, Statements, lock, mark_paid, pause, payment, refund, refusal, register, release, resume, run,
};

const CHANGED: &str = r#"settled {"changed": true}"#;
const UNCHANGED: &str = r#"settled {"changed": false}"#;

/// Brings back what was resumed, as every worker does a few times a second.
async fn wake(db: &Db) -> u64 {
    let woken = outbox::wake(&mut db.worker.acquire().await.unwrap()).await.unwrap();
    woken.iter().map(|(_, jobs)| jobs).sum()
}

/// Attempt, whether it is due, and why it waits.
async fn waits(db: &Db, job: i64) -> String {
    let row = sqlx::query!(
        r#"select attempt, run_at <= clock() as "due!", coalesce(last_error, '') as "why!" from outbox where job_id = $1"#,
        job,
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    format!("{} {} {}", row.attempt, if row.due { "due" } else { "later" }, row.why).trim_end().to_owned()
}

async fn is_paused(db: &Db, name: &str) -> bool {
    let paused = sqlx::query_scalar!(r#"select exists (select from pause where name = $1) as "paused!""#, name);
    paused.fetch_one(&db.owner).await.unwrap()
}

#[tokio::test]
async fn a_paused_kind_is_put_off_without_an_attempt_and_comes_back() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    let settler = db.settler().await;

    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, "release")).await, CHANGED);
    let released = db.ask(release(trade, seller)).await;
    let other = db.ask(register(None)).await;
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(other).await, "settled", "other kinds go on");
    assert_eq!(waits(&db, released).await, "0 later paused: kind release");
    assert_eq!(wake(&db).await, 0, "it is still paused");

    // After an hour it is looked at again, and put off again.
    db.pass("61 minutes").await;
    db.drain_due(&settler).await;
    assert_eq!(waits(&db, released).await, "0 later paused: kind release");

    // What was received after it and is about the same trade waits as well, though its kind may run.
    let given_up = db.ask(refund(trade, buyer)).await;
    db.drain_due(&settler).await;
    assert_eq!(waits(&db, given_up).await, "0 later paused: kind release");

    assert_eq!(db.operated(OTHER, resume(PauseScope::Kind, "release")).await, CHANGED);
    assert_eq!(wake(&db).await, 2);
    assert_eq!(wake(&db).await, 0);
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(released).await, "settled");
    assert_eq!(db.outcome(given_up).await, "rejected wrong_state");
    let attempts = sqlx::query_scalar!("select attempts from outcome where job_id = $1", released);
    assert_eq!(attempts.fetch_one(&db.owner).await.unwrap(), 1, "being put off is no attempt");
    db.verified().await;
}

/// Within a batch: what opens a trade is put off, and with it everything about that trade.
#[tokio::test]
async fn what_follows_a_job_that_is_put_off_waits_in_the_same_batch() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, "lock-escrow")).await, CHANGED);
    let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let marked = db.ask(mark_paid(trade, buyer)).await;
    let released = db.ask(release(trade, seller)).await;
    let settler = db.settler().await;
    db.drain_due(&settler).await;
    for job in [trade, marked, released] {
        assert_eq!(waits(&db, job).await, "0 later paused: kind lock-escrow");
    }
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Kind, "lock-escrow")).await, CHANGED);
    assert_eq!(wake(&db).await, 3);
    db.drain().await;
    for job in [trade, marked, released] {
        assert_eq!(db.outcome(job).await, "settled");
    }
    db.verified().await;
}

#[tokio::test]
async fn a_paused_asset_stops_every_kind_that_touches_it_and_no_other_asset() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    for asset in ["btc", "eth"] {
        db.fund(seller, asset, "0.9").await;
    }
    let mut jobs = Vec::new();
    for asset in ["btc", "eth"] {
        let [paid, unpaid, given_up] = [
            db.trade(seller, buyer, asset, "0.1").await,
            db.trade(seller, buyer, asset, "0.1").await,
            db.trade(seller, buyer, asset, "0.1").await,
        ];
        assert_eq!(db.done(mark_paid(paid, buyer)).await, "settled");
        jobs.push([
            release(paid, seller),
            mark_paid(unpaid, buyer),
            refund(given_up, buyer),
            lock(seller, buyer, asset, "0.1"),
        ]);
    }
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Asset, "btc")).await, CHANGED);
    let stopped = db.ask_all(&jobs[0]).await;
    let going_on = db.ask_all(&jobs[1]).await;
    let credits = [db.deposit(buyer, "btc", "0.2").await, db.deposit(buyer, "eth", "0.2").await];
    db.drain_due(&db.settler().await).await;
    for job in stopped.iter().chain(&credits[..1]) {
        assert_eq!(waits(&db, *job).await, "0 later paused: asset btc");
    }
    for job in going_on.iter().chain(&credits[1..]) {
        assert_eq!(db.outcome(*job).await, "settled");
    }
    db.verified().await;
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Asset, "btc")).await, CHANGED);
    assert_eq!(wake(&db).await, 5);
    db.drain().await;
    for job in stopped.iter().chain(&credits) {
        assert_eq!(db.outcome(*job).await, "settled");
    }
    db.verified().await;
}

#[tokio::test]
async fn nothing_is_claimed_from_a_paused_lane() {
    let db = Db::new().await;
    db.operators().await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Lane, "ledger")).await, CHANGED);
    let job = db.ask(register(None)).await;
    let settler = db.settler().await;
    assert!(settler.claim().await.unwrap().is_none());
    settler.refresh(vec![job]).await.unwrap();
    assert_eq!(settler.lease_suspect().await.unwrap(), None, "nor are suspects taken");
    settler.refresh(Vec::new()).await.unwrap();
    assert_eq!(waits(&db, job).await, "0 due", "it is as it was");
    assert_eq!(db.operated(OTHER, resume(PauseScope::Lane, "ledger")).await, CHANGED);
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(job).await, "settled");
    db.verified().await;
}

#[tokio::test]
async fn two_pauses_hold_a_job_until_both_are_over() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    for (scope, name) in [(PauseScope::Kind, "lock-escrow"), (PauseScope::Asset, "btc")] {
        assert_eq!(db.operated(SUBMITTER, pause(scope, name)).await, CHANGED);
    }
    let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let settler = db.settler().await;
    db.drain_due(&settler).await;
    assert_eq!(waits(&db, trade).await, "0 later paused: asset btc");
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Asset, "btc")).await, CHANGED);
    assert_eq!(wake(&db).await, 1);
    db.drain_due(&settler).await;
    assert_eq!(waits(&db, trade).await, "0 later paused: kind lock-escrow");
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Kind, "lock-escrow")).await, CHANGED);
    assert_eq!(wake(&db).await, 1);
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(trade).await, "settled");
    db.verified().await;
}

/// A batch that read the pauses before the resumption may commit after it: what it put off is
/// found all the same.
#[tokio::test]
async fn what_is_put_off_after_the_resumption_comes_back_too() {
    let db = Db::new().await;
    db.operators().await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, "user-register")).await, CHANGED);
    let job = db.ask(register(None)).await;
    let mut slow = db.worker.begin().await.unwrap();
    let claimed = outbox::claim_these(&mut slow, &[job]).await.unwrap();
    let moment = outbox::moment(&mut slow, settlement::Settler::LANE).await.unwrap();
    assert_eq!(moment.paused, ["kind user-register"]);
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Kind, "user-register")).await, CHANGED);
    assert_eq!(wake(&db).await, 0);
    let off = outbox::PutOff { job_id: job, attempt: claimed[0].attempt, pause: moment.paused[0].clone() };
    outbox::put_off(&mut slow, &[off]).await.unwrap();
    slow.commit().await.unwrap();
    assert_eq!(waits(&db, job).await, "0 later paused: kind user-register");
    assert_eq!(wake(&db).await, 1);
    assert_eq!(waits(&db, job).await, "0 due");
    db.drain().await;
    db.verified().await;
}

#[tokio::test]
async fn waking_goes_in_chunks_and_leaves_what_is_paused() {
    let db = Db::new().await;
    db.operators().await;
    for name in ["user-register", "refund"] {
        assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, name)).await, CHANGED);
    }
    db.ask_all(&vec![register(None); 2_500]).await;
    let stays = db.ask(refund(1, 1)).await;
    let settler = db.settler().await;
    assert_eq!(db.drain_due(&settler).await.postponed, 2_501);
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Kind, "user-register")).await, CHANGED);
    assert_eq!([wake(&db).await, wake(&db).await, wake(&db).await, wake(&db).await], [1_000, 1_000, 500, 0]);
    assert_eq!(waits(&db, stays).await, "0 later paused: kind refund");
    assert_eq!(db.drain_due(&settler).await.settled, 2_500);
    db.verified().await;
}

#[tokio::test]
async fn pausing_twice_changes_nothing_and_the_history_keeps_every_change() {
    let db = Db::new().await;
    db.operators().await;
    for (operator, job, told) in [
        (SUBMITTER, resume(PauseScope::Rail, "crypto"), UNCHANGED),
        (SUBMITTER, pause(PauseScope::Rail, "crypto"), CHANGED),
        (OTHER, pause(PauseScope::Rail, "crypto"), UNCHANGED),
        (OTHER, resume(PauseScope::Rail, "crypto"), CHANGED),
        (SUBMITTER, resume(PauseScope::Rail, "crypto"), UNCHANGED),
    ] {
        assert_eq!(db.operated(operator, job).await, told);
    }
    assert!(!is_paused(&db, "crypto").await);
    let history = sqlx::query!("select paused, principal_id from pause_change order by number");
    let history: Vec<(bool, i64)> =
        history.fetch_all(&db.owner).await.unwrap().into_iter().map(|row| (row.paused, row.principal_id)).collect();
    assert_eq!(history, [(true, SUBMITTER), (false, OTHER)]);

    // Paused, resumed and paused again in one batch: three changes, one pause.
    let jobs =
        [pause(PauseScope::Kind, "refund"), resume(PauseScope::Kind, "refund"), pause(PauseScope::Kind, "refund")];
    for job in jobs {
        db.ask_as(SUBMITTER, job).await;
    }
    assert_eq!(db.operate().await.settled, 3);
    assert!(is_paused(&db, "refund").await);
    let jobs =
        [resume(PauseScope::Kind, "refund"), pause(PauseScope::Kind, "refund"), resume(PauseScope::Kind, "refund")];
    for job in jobs {
        db.ask_as(SUBMITTER, job).await;
    }
    assert_eq!(db.operate().await.settled, 3);
    assert!(!is_paused(&db, "refund").await);
    db.verified().await;
}

/// Two workers meet on a pause that neither has seen: one of them makes it, the other finds it.
#[tokio::test]
async fn two_who_pause_at_once_make_one_pause() {
    let db = Db::new().await;
    db.operators().await;
    let [first, second] = [db.operate_settler().await, db.operate_settler().await];
    for round in 0..8 {
        let name = if round % 2 == 0 { "bank" } else { "crypto" };
        let jobs = [
            db.ask_as(SUBMITTER, pause(PauseScope::Rail, name)).await,
            db.ask_as(OTHER, pause(PauseScope::Rail, name)).await,
        ];
        let mut batches = Vec::new();
        for (settler, job) in [(&first, jobs[0]), (&second, jobs[1])] {
            settler.refresh(vec![job]).await.unwrap();
            batches.push(settler.lease_suspect().await.unwrap().unwrap());
        }
        let (a, b) = tokio::join!(first.settle_suspect(batches[0], 0), second.settle_suspect(batches[1], 0));
        assert_eq!((a.unwrap().settled, b.unwrap().settled), (1, 1));
        let mut told = [db.result(jobs[0]).await, db.result(jobs[1]).await];
        told.sort();
        assert_eq!(told, [r#"{"changed": false}"#, r#"{"changed": true}"#]);
        first.refresh(Vec::new()).await.unwrap();
        assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Rail, name)).await, CHANGED);
    }
    db.verified().await;
}

/// Operating cannot be paused, neither by the rules nor by a row that somebody writes.
#[tokio::test]
async fn operating_itself_cannot_be_paused() {
    let db = Db::new().await;
    db.operators().await;
    for (scope, name) in [
        (PauseScope::Lane, "operate"),
        (PauseScope::Lane, "fast"),
        (PauseScope::Kind, "pause"),
        (PauseScope::Kind, "parked-decision"),
        (PauseScope::Kind, "verify"),
        (PauseScope::Kind, "payday"),
        (PauseScope::Asset, "xmr"),
        (PauseScope::Rail, "snail"),
    ] {
        assert_eq!(db.operated(SUBMITTER, pause(scope, name)).await, "rejected payload_invalid", "{name}");
    }
    for (scope, name) in [("lane", "operate"), ("kind", "pause"), ("kind", "parked-decision")] {
        let insert = format!("insert into pause values ('{scope}', '{name}', 'why', 100, 1, now())");
        assert_eq!(refusal(run(&db.owner, &insert).await).constraint, "pause_leaves_operating");
    }
    db.verified().await;
}

/// Where nothing is paused, a batch costs the same statements as ever.
#[tokio::test]
async fn a_batch_reads_the_pauses_without_a_statement_more() {
    let db = Db::new().await;
    db.operators().await;
    let settler = db.settler().await;
    let mut counted = Vec::new();
    for paused in [false, true] {
        if paused {
            assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Lane, "notify")).await, CHANGED);
        }
        db.ask(refund(1_000_000, 1)).await;
        let batch = settler.claim().await.unwrap().unwrap();
        let mut statements = Statements::watch();
        settler.settle(batch).await.unwrap();
        counted.push(statements.since());
        db.pass("2 minutes").await;
        db.drain().await;
    }
    assert_eq!(counted[0], counted[1]);
    // clock and pauses; trades; fates; postponing; commit.
    assert_eq!(counted[0], 5, "{counted:?}");
}

#[tokio::test]
async fn a_trade_that_is_not_there_has_no_asset() {
    let db = Db::new().await;
    db.operators().await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Asset, "btc")).await, CHANGED);
    let job = db.ask(release(999, 1)).await;
    db.drain().await;
    assert_eq!(db.outcome(job).await, "rejected trade_unknown");
    let nobody = payment(999_999, "btc", "1");
    let credit = db.callback(&nobody).await.job_id();
    db.drain_due(&db.settler().await).await;
    assert_eq!(waits(&db, credit).await, "0 later paused: asset btc");
}
