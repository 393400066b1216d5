//! What operators cannot do, and what cannot be done in their lanes.

use jobs::{AnyJob, PauseScope, UserFlag, UserId};

use crate::harness::{
    Db, OTHER, SUBMITTER, approve, ask_by, call_off, cancel_parked, fresh_key, lock, mark_paid, pause, refund, release,
    resume, retry_parked, withdraw,
};

const CHANGED: &str = r#"settled {"changed": true}"#;

/// A refund that an expiry caused is keyed by the hold: ended without its effects, the hold would
/// stay open for ever, so it can only be retried.
#[tokio::test]
async fn what_a_fact_caused_cannot_be_cancelled() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    db.pass("3 hours").await;
    let settler = db.settler().await;
    assert_eq!(settler.sweep_timers().await.unwrap(), 1);
    settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap();
    let ask = db.caused("refund", trade).await;
    let refund = db.enqueue(&[ask]).await.unwrap()[0].job_id();
    db.park(refund, 0).await;
    for operator in [SUBMITTER, OTHER] {
        assert_eq!(db.operated(operator, cancel_parked(refund)).await, "rejected not_cancellable");
    }
    db.verified().await;
    assert_eq!(db.operated(SUBMITTER, retry_parked(refund)).await, r#"settled {"carried_out": "retry"}"#);
    db.drain().await;
    assert_eq!(db.outcome(refund).await, "settled");
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000");
    db.verified().await;
}

/// Who was trusted when they asked and is not any more when it is carried out.
#[tokio::test]
async fn a_key_that_was_revoked_meanwhile_operates_nothing() {
    let db = Db::new().await;
    db.operators().await;
    let parked = db.ask(lock(1, 2, "btc", "1")).await;
    db.park(parked, 0).await;
    let asked =
        [db.ask_as(SUBMITTER, pause(PauseScope::Asset, "btc")).await, db.ask_as(SUBMITTER, retry_parked(parked)).await];
    db.sql("update api_key set revoked_at = clock()").await;
    db.operate().await;
    for job in asked {
        assert_eq!(db.outcome(job).await, "rejected not_an_operator");
    }
    assert_eq!(db.outcome(parked).await, "parked poison");
    db.verified().await;
}

/// `admin` implies `operate`, in the worker as in the API.
#[tokio::test]
async fn an_admin_operates() {
    let db = Db::new().await;
    let [user] = db.people().await;
    db.key(OTHER, &["admin"]).await;
    let freeze =
        UserFlag { user_id: UserId(user), frozen: Some(true), tier: None, kyc: None, reason: "an incident".to_owned() };
    assert_eq!(db.done_by(OTHER, &AnyJob::UserFlag(freeze)).await, "settled");
    assert_eq!(db.operated(OTHER, pause(PauseScope::Asset, "btc")).await, CHANGED);
    db.verified().await;
}

/// What a pause has put off was received earlier, and is not forgotten when the pause is over.
#[tokio::test]
async fn a_refusal_waits_for_what_a_pause_has_put_off() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Asset, "btc")).await, CHANGED);
    let paid = db.ask(mark_paid(trade, buyer)).await;
    let settler = db.settler().await;
    db.drain_due(&settler).await;
    assert!(db.queue_text().await.contains("paused: asset btc"));
    // The pause is over, and nothing has been woken yet.
    assert_eq!(db.operated(SUBMITTER, resume(PauseScope::Asset, "btc")).await, CHANGED);
    db.sql("update outbox set run_at = clock() + interval '1 hour', last_error = 'paused: asset btc'").await;
    let released = db.ask(release(trade, seller)).await;
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(released).await, "queued", "it has overtaken the mark-paid");
    db.sql("update outbox set run_at = clock()").await;
    db.drain().await;
    assert_eq!([db.outcome(paid).await, db.outcome(released).await], ["settled", "settled"]);
    db.verified().await;
}

/// A job is done in its own lane: in another it would pass a pause, or end as a verification.
#[tokio::test]
async fn a_job_in_a_lane_that_is_not_its_own_is_parked() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [verified, operated] =
        [db.ask(lock(seller, buyer, "btc", "0.1")).await, db.ask(lock(seller, buyer, "btc", "0.1")).await];
    let paused =
        db.enqueue(&[ask_by(SUBMITTER, &fresh_key(), &pause(PauseScope::Asset, "btc"))]).await.unwrap()[0].job_id();
    db.sql(&format!(
        "
        update outbox set lane = 'verify' where job_id = {verified};
        update outbox set lane = 'operate' where job_id = {operated};
        update outbox set lane = 'ledger' where job_id = {paused};
        "
    ))
    .await;
    assert!(db.run_verification().await.is_none());
    assert_eq!(db.verifier().await.settle_strangers().await.unwrap().parked, 1);
    db.operate().await;
    db.drain().await;
    for job in [verified, operated, paused] {
        assert_eq!(db.outcome(job).await, "parked wrong_lane");
    }
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000");
    db.verified().await;
}

/// Nor is what comes later done before it: an approval waits for a call-off that a pause has put off.
#[tokio::test]
async fn what_comes_later_waits_for_what_a_pause_has_put_off() {
    let db = Db::new().await;
    db.operators().await;
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.know(user, 3).await;
    let withdrawal = db.ask(withdraw(user, "btc", "0.05")).await;
    db.drain().await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, "withdrawal-decision")).await, CHANGED);
    let off = db.ask(call_off(withdrawal, user)).await;
    let settler = db.settler().await;
    db.drain_due(&settler).await;
    // Over, and nothing woken yet.
    db.sql("delete from pause").await;
    let hash = db.content_hash(withdrawal).await;
    let approval = db.ask_as(OTHER, approve(withdrawal, &hash)).await;
    db.drain_due(&settler).await;
    assert_eq!([db.outcome(off).await, db.outcome(approval).await], ["queued", "queued"]);
    db.sql("update outbox set run_at = clock()").await;
    db.drain().await;
    assert_eq!([db.outcome(off).await, db.outcome(approval).await], ["settled", "rejected wrong_state"]);
}

/// A stranger's job about somebody else's trade is refused, pause or not, and stops nobody.
#[tokio::test]
async fn a_pause_does_not_let_strangers_stop_a_trade() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer, stranger] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    assert_eq!(db.operated(SUBMITTER, pause(PauseScope::Kind, "refund")).await, CHANGED);
    let strange = db.ask(refund(trade, stranger)).await;
    let settler = db.settler().await;
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(strange).await, "rejected not_the_buyer");
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    assert_eq!(db.done(release(trade, seller)).await, "settled");
    db.verified().await;
}
