//! What comes in the wrong order, or all at once: batches have an order within, the queue has none.

use expect_test::expect;
use futures_util::future::join3;
use jobs::{AnyJob, UserFlag, UserId};
use settlement::{Batch, Report, Settler};
use sqlx::Executor;

use crate::harness::{Db, SUBMITTER, ask_by, cancel, fresh_key, lock, mark_paid, refund, register, release, until};

async fn settle(settler: &Settler) -> Report {
    settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap()
}

/// A trade whose lock a worker holds and has not settled yet.
struct Opening {
    people: [i64; 2],
    trade: i64,
    slow: Settler,
    held: Batch,
}

async fn opening(db: &Db) -> Opening {
    let people = db.people().await;
    db.fund(people[0], "btc", "0.9").await;
    let trade = db.ask(lock(people[0], people[1], "btc", "0.5")).await;
    let slow = db.settler_on(db.worker.clone(), 1).await;
    let held = slow.claim().await.unwrap().unwrap();
    assert_eq!(held.ids(), [trade]);
    Opening { people, trade, slow, held }
}

/// A release that a worker comes to before the lock waits for it.
#[tokio::test]
async fn what_overtakes_its_lock_waits_for_it() {
    let db = Db::new().await;
    let Opening { people: [seller, buyer], trade, slow, held } = opening(&db).await;

    let paid = db.ask(mark_paid(trade, buyer)).await;
    let released = db.ask(release(trade, seller)).await;
    let quick = db.settler().await;
    let report = quick.settle(quick.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!((report.postponed, report.ended()), (2, 0));
    expect![[r#"
        4 lock-escrow attempt 0
        5 trade-event attempt 1 the trade's lock has not settled yet
        6 release attempt 1 an earlier job of its subject waits
    "#]]
    .assert_eq(&db.queue_text().await);

    slow.settle(held).await.unwrap();
    db.drain().await;
    for job in [trade, paid, released] {
        assert_eq!(db.outcome(job).await, "settled");
    }
    let attempts = sqlx::query_scalar!("select attempts from outcome where job_id = $1", released);
    assert!(attempts.fetch_one(&db.owner).await.unwrap() >= 2, "the waiting counts as attempts");
    db.verified().await;
}

/// However long the queue has stood still: what is older than any limit waits for a lock that is
/// queued, and a lock that is in nobody's hands any more is not confused with one that never was.
#[tokio::test]
async fn a_backlog_that_has_stood_for_long_is_not_refused() {
    let db = Db::new().await;
    let Opening { people: [seller, buyer], trade, slow, held } = opening(&db).await;
    let jobs = db.ask_all(&[mark_paid(trade, buyer), release(trade, seller)]).await;
    db.pass("2 hours").await;
    // Received before the deadline, which runs from the lock.
    let quick = db.settler().await;
    let report = quick.settle(quick.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!((report.postponed, report.ended()), (2, 0));
    slow.settle(held).await.unwrap();
    db.drain().await;
    for job in jobs {
        assert_eq!(db.outcome(job).await, "settled");
    }
    db.verified().await;
}

/// Whoever names a person whose registration is still queued waits for it.
#[tokio::test]
async fn what_overtakes_a_registration_waits_for_it() {
    let db = Db::new().await;
    let [seller, _] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let newcomer = db.ask(register(None)).await;
    let slow = db.settler_on(db.worker.clone(), 1).await;
    let held = slow.claim().await.unwrap().unwrap();
    assert_eq!(held.ids(), [newcomer]);
    let mut jobs = db.ask_all(&[lock(seller, newcomer, "btc", "0.5"), register(Some(newcomer))]).await;
    jobs.push(db.deposit(newcomer, "btc", "0.25").await);
    db.pass("2 hours").await;
    let quick = db.settler().await;
    let report = quick.settle(quick.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!((report.postponed, report.ended()), (3, 0));
    slow.settle(held).await.unwrap();
    db.drain().await;
    for job in jobs {
        assert_eq!(db.outcome(job).await, "settled");
    }
    assert_eq!(db.wallet(newcomer, "btc").await, "0.25000000");
    db.verified().await;
}

/// A release that finds its trade unpaid while the mark-paid that was received before it is still
/// in another worker's hands is not refused: it waits to see.
#[tokio::test]
async fn a_refusal_waits_for_what_it_overtook() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let paid = db.ask(mark_paid(trade, buyer)).await;
    let slow = db.settler_on(db.worker.clone(), 1).await;
    let held = slow.claim().await.unwrap().unwrap();
    assert_eq!(held.ids(), [paid]);
    let released = db.ask(release(trade, seller)).await;
    let quick = db.settler().await;
    let report = quick.settle(quick.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!((report.postponed, report.ended()), (1, 0));
    slow.settle(held).await.unwrap();
    db.drain().await;
    assert_eq!((db.outcome(paid).await.as_str(), db.outcome(released).await.as_str()), ("settled", "settled"));

    // What was received later is nothing to wait for.
    let trade = db.trade(seller, buyer, "btc", "0.1").await;
    let [released, paid] = db.ask_all(&[release(trade, seller), mark_paid(trade, buyer)]).await.try_into().unwrap();
    db.drain().await;
    assert_eq!(
        (db.outcome(released).await.as_str(), db.outcome(paid).await.as_str()),
        ("rejected wrong_state", "settled")
    );
    db.verified().await;
}

/// The same where the answer would be yes: what was put back has its turn first, whichever comes round to the
/// worker first.
#[tokio::test]
async fn an_acceptance_waits_for_what_was_put_back() {
    let db = Db::new().await;
    let Opening { people: [_, buyer], trade, slow, held } = opening(&db).await;
    let paid = db.ask(mark_paid(trade, buyer)).await;
    let quick = db.settler().await;
    assert_eq!(settle(&quick).await.postponed, 1, "its trade is not there yet");
    slow.settle(held).await.unwrap();

    db.sql("update outbox set run_at = run_at + interval '1 hour'").await;
    let given_up = db.ask(cancel(trade, buyer)).await;
    let report = settle(&quick).await;
    assert_eq!((report.postponed, report.ended()), (1, 0));
    expect![[r#"
        5 trade-event attempt 1 the trade's lock has not settled yet
        6 trade-event attempt 1 an earlier job of its subject waits
    "#]]
    .assert_eq(&db.queue_text().await);

    db.sql("update outbox set run_at = run_at - interval '1 hour' where run_at > clock() + interval '50 minutes'")
        .await;
    db.drain().await;
    assert_eq!((db.outcome(paid).await.as_str(), db.outcome(given_up).await.as_str()), ("settled", "settled"));
    db.verified().await;
}

/// Whoever names somebody's number as a trade's does not keep an operator from freezing them.
#[tokio::test]
async fn a_freeze_waits_for_nothing_that_takes_a_person_for_a_trade() {
    let db = Db::new().await;
    assert_eq!(db.operators().await.len(), 2);
    let [person, other] = db.people().await;
    let freeze = |frozen| {
        let (user_id, reason) = (UserId(person), "a test".to_owned());
        AnyJob::UserFlag(UserFlag { user_id, frozen: Some(frozen), tier: None, kyc: None, reason })
    };
    let stray = db.ask(mark_paid(person, other)).await;
    // Behind it in one batch, and behind it when it was put back.
    let settler = db.settler().await;
    db.enqueue(&[ask_by(SUBMITTER, &fresh_key(), &freeze(true))]).await.unwrap();
    let report = settle(&settler).await;
    assert_eq!((report.postponed, report.settled), (1, 1));
    db.sql("update outbox set run_at = run_at + interval '1 hour'").await;
    db.enqueue(&[ask_by(SUBMITTER, &fresh_key(), &freeze(false))]).await.unwrap();
    assert_eq!(settle(&settler).await.settled, 1);
    db.sql("update outbox set run_at = run_at - interval '1 hour'").await;
    db.drain().await;
    assert_eq!(db.outcome(stray).await, "rejected trade_unknown");
    db.verified().await;
}

/// Nor does it pass what the batch before it, of the same worker, is just putting back.
#[tokio::test]
async fn an_acceptance_waits_for_what_the_batch_before_puts_back() {
    let db = Db::new().await;
    let Opening { people: [_, buyer], trade, slow, held } = opening(&db).await;

    // So large that it is foreseen: it puts the payment back before the one behind reads any trade.
    let paid = db.ask(mark_paid(trade, buyer)).await;
    db.ask_all(&vec![register(None); 299]).await;
    let given_up = db.ask(cancel(trade, buyer)).await;
    let settler = db.settler_on(db.worker.clone(), 300).await;
    let one = settler.claim().await.unwrap().unwrap();
    let two = settler.claim().await.unwrap().unwrap();
    assert_eq!((one.len(), two.ids()), (300, vec![given_up]));
    db.sql(
        "create table gate ();
        create function wait_at_gate() returns trigger language plpgsql security definer as
            $$ begin lock table gate in share mode; return null; end $$;
        create trigger wait_at_gate after update on outbox for each statement execute function wait_at_gate()",
    )
    .await;
    let mut gate = db.owner.begin().await.unwrap();
    gate.execute("lock table gate in exclusive mode").await.unwrap();
    let waits = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'";
    let meanwhile = async {
        until("the first batch puts back", async || {
            sqlx::query_scalar::<_, i64>(waits).fetch_one(&db.owner).await.unwrap() == 1
        })
        .await;
        slow.settle(held).await.unwrap();
        gate.rollback().await.unwrap();
    };
    let (second, first, ()) = join3(settler.settle(two), settler.settle(one), meanwhile).await;
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.postponed, first.settled, second.postponed), (1, 299, 1));
    db.drain().await;
    assert_eq!((db.outcome(paid).await.as_str(), db.outcome(given_up).await.as_str()), ("settled", "settled"));
    db.verified().await;
}

/// Waiting is bounded, and cheap: the waits grow.
#[tokio::test]
async fn what_waits_for_a_trade_that_never_comes_is_rejected_in_the_end() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let never = 1_000_000;
    let jobs = [mark_paid(never, buyer), release(never + 1, seller), refund(never + 2, buyer)];
    let ids = db.ask_all(&jobs).await;
    let settler = db.settler().await;
    assert_eq!(db.drain_due(&settler).await.ended(), 0);
    db.pass("50 seconds").await;
    assert_eq!(db.drain_due(&settler).await.ended(), 0);
    db.pass("15 seconds").await;
    assert_eq!(db.drain_due(&settler).await.rejected, 3);
    for id in ids {
        assert_eq!(db.outcome(id).await, "rejected trade_unknown");
    }
    let id = db.ask(release(never, seller)).await;
    db.drain().await;
    let attempts =
        sqlx::query_scalar!("select attempts from outcome where job_id = $1", id).fetch_one(&db.owner).await.unwrap();
    assert!((10..=40).contains(&attempts), "{attempts} attempts in a minute");
}

#[tokio::test]
async fn what_waits_for_a_lock_that_was_refused_is_told_so() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let refused = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let early = db.ask(release(refused, seller)).await;
    db.drain().await;
    assert_eq!(db.outcome(refused).await, "rejected insufficient_funds");
    assert_eq!(db.outcome(early).await, "rejected trade_never_opened");
    assert_eq!(db.done(mark_paid(refused, buyer)).await, "rejected trade_never_opened");
    assert_eq!(db.done(refund(seller, buyer)).await, "rejected trade_unknown", "the id of a person is no trade");
}

#[tokio::test]
async fn a_whole_trade_may_be_one_batch() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    let ids = db.ask_all(&[mark_paid(trade, buyer), release(trade, seller), release(trade, seller)]).await;
    db.drain().await;
    let mut outcomes = vec![db.outcome(trade).await];
    for id in ids {
        outcomes.push(db.outcome(id).await);
    }
    assert_eq!(outcomes, ["settled", "settled", "settled", "rejected wrong_state"]);
    assert_eq!(db.wallet(buyer, "btc").await, "0.49800000");
    db.verified().await;
}

#[tokio::test]
async fn a_trade_may_be_paid_and_closed_in_one_batch() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let (released, refunded) =
        (db.trade(seller, buyer, "btc", "0.5").await, db.trade(seller, buyer, "btc", "0.4").await);
    let jobs =
        [mark_paid(released, buyer), mark_paid(refunded, buyer), release(released, seller), refund(refunded, buyer)];
    let ids = db.ask_all(&jobs).await;
    let settler = db.settler().await;
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!(batch.ids(), ids);
    assert_eq!(settler.settle(batch).await.unwrap().settled, 4);
    assert_eq!(
        (crate::trades::state(&db, released).await.as_str(), crate::trades::state(&db, refunded).await.as_str()),
        ("released", "refunded")
    );
    db.verified().await;
}

/// A debt is repaid out of a release too, also when all accounts but the debt were loaded for
/// the sake of other jobs of the batch.
#[tokio::test]
async fn a_release_in_the_batch_of_its_lock_repays_too() {
    let db = Db::new().await;
    let [seller, debtor, other] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.fund(debtor, "btc", "0.1").await;
    let before = db.trade(debtor, other, "btc", "0.1").await;
    let ready = db.trade(seller, other, "btc", "0.1").await;
    assert_eq!(db.done(mark_paid(ready, other)).await, "settled");
    crate::deposits::take_back_all(&db, debtor).await;
    assert_eq!(db.owed(debtor, "btc").await, "-0.10000000");

    // The refund asks for the debtor's wallet, the other release for the fee account.
    let trade = db.ask(lock(seller, debtor, "btc", "0.5")).await;
    let rest = [refund(before, other), release(ready, seller), mark_paid(trade, debtor), release(trade, seller)];
    for id in db.ask_all(&rest).await {
        db.drain().await;
        assert_eq!(db.outcome(id).await, "settled");
    }
    assert_eq!(db.owed(debtor, "btc").await, "0.00000000");
    db.verified().await;
}

/// Nobody waits for themselves, nor two for each other: who is waited for was asked for before.
#[tokio::test]
async fn nobody_was_brought_by_themselves_or_by_who_comes_later() {
    let db = Db::new().await;
    let next = db.ask(register(None)).await + 1;
    let jobs = db.ask_all(&[register(Some(next)), register(Some(next + 2)), register(Some(next + 1))]).await;
    assert_eq!(jobs[0], next);
    db.drain().await;
    let outcomes = [db.outcome(jobs[0]).await, db.outcome(jobs[1]).await, db.outcome(jobs[2]).await];
    let refused = "rejected referrer_unknown";
    assert_eq!(outcomes, [refused, refused, refused]);
    db.verified().await;
}
