//! Clocks: deadlines, their grace, and what is still on its way when they are over.

use std::fmt::Write;

use expect_test::expect;
use jobs::{AnyJob, TimerExpiry, TradeId};
use outbox::Recorded;

use crate::harness::{
    Db, OTHER, SUBMITTER, ask_of, cancel, cancel_parked, extend, extend_by, lock, mark_paid, refusal, release, undo,
};
use crate::trades::state;

/// What the seller has available and held, in minor units.
async fn wallet(db: &Db, user: i64) -> (String, String) {
    let row = sqlx::query!(
        r#"
        select (e.posted - e.held)::text as "available!", e.held::text as "held!"
        from account a cross join lateral (
            select posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        where a.owner = $1 and a.purpose = 'wallet'
        "#,
        user,
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    (row.available, row.held)
}

#[tokio::test]
async fn a_trade_that_nobody_paid_expires_after_its_grace_and_the_money_goes_back() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    assert_eq!(wallet(&db, seller).await, ("40000000".into(), "50000000".into()));
    db.pass("2 hours").await;
    assert_eq!(db.sweep().await, 0, "the grace is not over");
    assert_eq!(state(&db, trade).await, "awaiting_payment");
    db.pass("61 seconds").await;
    assert_eq!(db.sweep().await, 1);
    assert_eq!(state(&db, trade).await, "expired");
    assert_eq!(wallet(&db, seller).await, ("90000000".into(), "0".into()));
    assert_eq!(db.sweep().await, 0, "each trade is looked at once");
    for job in [mark_paid(trade, buyer), cancel(trade, buyer), release(trade, seller), extend(trade, seller)] {
        let job = db.ask(job).await;
        db.drain().await;
        assert_eq!(db.outcome(job).await, "rejected wrong_state");
        assert_eq!(db.result(job).await, r#"{"state": "expired"}"#);
    }
    expect![[r#"
        deposit-credit of 2
        lock-escrow of 100
        timer-expiry of 1
        refund of 1 caused by a timer-expiry
    "#]]
    .assert_eq(&settled(&db).await);
    db.verified().await;
}

/// The settled jobs but for registrations, in the order of their ids.
async fn settled(db: &Db) -> String {
    let rows = sqlx::query!(
        r#"
        select j.kind, j.submitted_by, c.kind as "cause?"
        from job j join outcome o on o.job_id = j.id and o.status = 'settled' left join job c on c.id = j.caused_by
        where j.kind <> 'user-register' order by j.id
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let mut text = String::new();
    for row in rows {
        let cause = row.cause.map_or_else(String::new, |cause| format!(" caused by a {cause}"));
        writeln!(text, "{} of {}{cause}", row.kind, row.submitted_by).unwrap();
    }
    text
}

/// RULES: an expiry waits for what was received by the deadline, queued or parked, however late a
/// worker comes round to it.
#[tokio::test]
async fn an_expiry_waits_for_what_was_received_in_time() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [queued, parked, late] = [
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
    ];
    db.pass("119 minutes").await;
    let paid = db.ask(mark_paid(queued, buyer)).await;
    let lost = db.ask(mark_paid(parked, buyer)).await;
    // Held up: one by a backoff, the other by a person who has to look.
    db.sql(&format!(
        "
        update outbox set run_at = clock() + interval '20 minutes' where job_id = {paid};
        insert into parked select job_id, lane, slot, subject, attempt, 'poison', 'a test', clock() from outbox where job_id = {lost};
        delete from outbox where job_id = {lost};
        "
    ))
    .await;
    db.pass("10 minutes").await;
    let too_late = db.ask(mark_paid(late, buyer)).await;
    let settler = db.settler().await;
    assert_eq!(settler.sweep_timers().await.unwrap(), 3);
    db.drain_due(&settler).await;
    assert_eq!(db.outcome(too_late).await, "rejected deadline_passed");
    assert_eq!(state(&db, late).await, "expired", "what came too late does not hold it up");
    assert_eq!(
        (state(&db, queued).await, state(&db, parked).await),
        ("awaiting_payment".into(), "awaiting_payment".into())
    );
    assert_eq!(db.queue_text().await.matches("something that was received by the deadline").count(), 2);

    // The backoff ends: the mark-paid counts, and the timer finds a trade that was paid.
    db.pass("11 minutes").await;
    db.drain_due(&settler).await;
    assert_eq!((db.outcome(paid).await.as_str(), state(&db, queued).await.as_str()), ("settled", "paid"));
    // Two operators cancel the parked job: now the trade expires.
    db.operators().await;
    for operator in [SUBMITTER, OTHER] {
        db.operated(operator, cancel_parked(lost)).await;
    }
    assert_eq!(db.outcome(lost).await, "cancelled cancelled_by_operator");
    db.drain().await;
    assert_eq!(state(&db, parked).await, "expired");
    db.verified().await;
}

#[tokio::test]
async fn a_mark_paid_is_taken_back_once_and_the_deadline_stays() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let deadline = deadline(&db, trade).await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    db.pass("1 hour").await;
    assert_eq!(db.done(undo(trade, buyer)).await, "settled");
    assert_eq!(state(&db, trade).await, "awaiting_payment");
    assert_eq!(self::deadline(&db, trade).await, deadline);
    assert_eq!(db.done(release(trade, seller)).await, "rejected wrong_state");
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    assert_eq!(db.done(undo(trade, buyer)).await, "rejected already_undone");
    assert_eq!(state(&db, trade).await, "paid");
    db.pass("2 hours").await;
    db.sweep().await;
    assert_eq!(state(&db, trade).await, "paid", "what is paid does not expire");
    assert_eq!(db.done(release(trade, seller)).await, "settled");
    db.verified().await;
}

async fn deadline(db: &Db, trade: i64) -> String {
    sqlx::query_scalar!(r#"select pay_by::text as "text!" from trade where id = $1"#, trade)
        .fetch_one(&db.owner)
        .await
        .unwrap()
}

/// An undo that was received in time and settles after the sweep has passed still gets its timer.
#[tokio::test]
async fn an_undo_or_extension_that_settles_late_is_not_forgotten() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [undone, extended, late] = [
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
    ];
    for trade in [undone, late] {
        assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    }
    db.pass("119 minutes").await;
    let asked = db.ask_all(&[undo(undone, buyer), extend_by(extended, seller, 10)]).await;
    db.pass("30 minutes").await;
    let too_late = db.ask(undo(late, buyer)).await;
    // The sweep passes all three before anything settles.
    let settler = db.settler().await;
    assert_eq!(settler.sweep_timers().await.unwrap(), 1, "only one of them awaits its payment");
    db.drain().await;
    for job in asked {
        assert_eq!(db.outcome(job).await, "settled");
    }
    assert_eq!(db.outcome(too_late).await, "rejected deadline_passed");
    assert_eq!(
        [state(&db, undone).await, state(&db, extended).await, state(&db, late).await],
        ["expired", "expired", "paid"]
    );
    db.verified().await;
}

/// `scenario stale_timer`: a timer of an older generation does nothing.
#[tokio::test]
async fn an_extension_makes_the_old_timer_stale() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    assert_eq!(db.done(extend_by(trade, seller, 61)).await, "rejected extension_too_long");
    assert_eq!(db.done(extend_by(trade, buyer, 60)).await, "rejected not_the_seller");
    assert_eq!(db.done(extend_by(trade, seller, 60)).await, "settled");
    assert_eq!(db.done(extend_by(trade, seller, 1)).await, "rejected already_extended");
    db.pass("125 minutes").await;
    let stale = TimerExpiry { trade_id: TradeId(trade), generation: 1 };
    let ask = outbox::Ask { submitter: 1, key: stale.key(), ..ask_of("", &AnyJob::TimerExpiry(stale)) };
    let Recorded::New(old) = outbox::enqueue(&mut db.worker.acquire().await.unwrap(), &[ask]).await.unwrap()[0] else {
        panic!("the first timer was never due")
    };
    assert_eq!(db.sweep().await, 0);
    assert_eq!(db.outcome(old).await, "rejected stale_timer");
    assert_eq!(state(&db, trade).await, "awaiting_payment");
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled", "the new deadline counts");
    assert_eq!(db.done(undo(trade, buyer)).await, "settled");
    db.pass("60 minutes").await;
    db.sweep().await;
    assert_eq!(state(&db, trade).await, "expired");
    db.verified().await;
}

/// Nobody may ask for what only Holdfast does, neither through the database nor in its name.
#[tokio::test]
async fn only_holdfast_expires_a_trade() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let timer = AnyJob::TimerExpiry(TimerExpiry { trade_id: TradeId(trade), generation: 1 });
    assert_eq!(refusal(db.enqueue(&[ask_of("forged", &timer)]).await.map(drop)).code, "42501");
    // A worker would settle it, so the kind itself looks who asks.
    let forged =
        outbox::enqueue(&mut db.worker.acquire().await.unwrap(), &[ask_of("forged", &timer)]).await.unwrap()[0];
    let nobody = AnyJob::Refund(jobs::Refund { trade_id: TradeId(trade), user_id: None });
    let refund = db.ask(nobody).await;
    db.pass("3 hours").await;
    db.drain().await;
    assert_eq!(db.outcome(forged.job_id()).await, "rejected not_holdfast");
    assert_eq!(db.outcome(refund).await, "rejected not_holdfast");
    assert_eq!(state(&db, trade).await, "awaiting_payment");
    // What was forged stays on the record, and verify names it.
    let broken = integrity::verify(&db.worker).await.unwrap();
    assert_eq!(broken.failed().map(|check| check.name).collect::<Vec<_>>(), ["caused-jobs-have-causes"]);
    assert_ne!(SUBMITTER, 1);
}

/// Thousands of timers that fall due at once join the queue bit by bit: what is asked meanwhile
/// settles before most of them.
#[tokio::test]
async fn many_timers_at_once_do_not_delay_settling() {
    const TRADES: usize = 2_500;
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.00001"); TRADES]).await;
    db.drain().await;
    db.pass("3 hours").await;
    let settler = db.settler_on(db.worker.clone(), 256).await;
    assert_eq!(settler.sweep_timers().await.unwrap(), 1_000, "a pass is bounded");
    let asked = db.ask(lock(seller, buyer, "btc", "0.00001")).await;
    let mut before = 0;
    while db.outcome(asked).await == "queued" {
        settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap();
        before += 1;
    }
    assert!(before <= 5, "it waited for {before} batches");
    assert_eq!(db.sweep().await, TRADES - 1_000);
    let left =
        sqlx::query_scalar!(r#"select count(*) as "n!" from trade where state <> 'expired' or closed_at is null"#)
            .fetch_one(&db.owner)
            .await
            .unwrap();
    assert_eq!(left, 1, "all but the new one are over, and their money is back");
    db.verified().await;
}

/// A timer that an undo set bears an older number than the payment that follows it. Where both have
/// waited for a worker until the time was over, they come in one batch, and the payment counts.
#[tokio::test]
async fn a_timer_in_the_batch_of_what_was_received_in_time_comes_last() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [paid, extended] = [db.trade(seller, buyer, "btc", "0.1").await, db.trade(seller, buyer, "btc", "0.1").await];
    for trade in [paid, extended] {
        assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
        assert_eq!(db.done(undo(trade, buyer)).await, "settled");
    }
    db.pass("119 minutes").await;
    let asked = db.ask_all(&[mark_paid(paid, buyer), extend(extended, seller)]).await;
    db.pass("3 minutes").await;
    let settler = db.settler().await;
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!(batch.len(), 4, "both timers and what was asked");
    assert!(batch.ids().ends_with(&asked), "the timers are older");
    settler.settle(batch).await.unwrap();
    db.drain().await;
    assert_eq!([db.outcome(asked[0]).await, db.outcome(asked[1]).await], ["settled", "settled"]);
    assert_eq!([state(&db, paid).await, state(&db, extended).await], ["paid", "awaiting_payment"]);
    assert_eq!(db.done(release(paid, seller)).await, "settled");
    db.verified().await;
}
