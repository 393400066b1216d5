//! What operators decide about parked jobs.

use jobs::AnyJob;

use crate::harness::{
    Db, OTHER, SUBMITTER, ask_by, cancel_parked, fresh_key, lock, mark_paid, refund, refusal, register, release,
    retry_parked, run,
};

const RETRIED: &str = r#"settled {"carried_out": "retry"}"#;
const CANCELLED: &str = r#"settled {"carried_out": "cancel"}"#;
const FIRST: &str = r#"settled {"needs": "second_principal"}"#;

/// A parked lock of half of somebody's money, and the two people of it.
async fn with_parked_lock() -> (Db, i64, [i64; 2]) {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let job = db.ask(lock(seller, buyer, "btc", "0.5")).await;
    db.park(job, 4).await;
    (db, job, [seller, buyer])
}

#[tokio::test]
async fn a_retried_job_goes_on_from_the_attempt_where_it_stood() {
    let (db, job, [seller, _]) = with_parked_lock().await;
    assert_eq!(db.operated(SUBMITTER, retry_parked(job)).await, RETRIED);
    assert_eq!(db.queue_text().await, format!("{job} lock-escrow attempt 4 retried after poison\n"));
    db.drain().await;
    assert_eq!(db.outcome(job).await, "settled");
    let attempts = sqlx::query_scalar!("select attempts from outcome where job_id = $1", job);
    assert_eq!(attempts.fetch_one(&db.owner).await.unwrap(), 5);
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000 held 0.50000000");
    assert_eq!(db.operated(SUBMITTER, retry_parked(job)).await, "rejected not_parked");
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, "rejected not_parked");
    assert_eq!(db.operated(SUBMITTER, cancel_parked(999_999)).await, "rejected not_parked");
    db.verified().await;
}

#[tokio::test]
async fn cancelling_what_may_move_money_takes_two_people() {
    let (db, job, [seller, buyer]) = with_parked_lock().await;
    let waits = db.ask(mark_paid(job, buyer)).await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
    assert_eq!(db.outcome(job).await, "parked poison", "the first decision changes nothing");
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, "rejected same_principal");
    assert_eq!(db.outcome(job).await, "parked poison");
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, CANCELLED);
    assert_eq!(db.outcome(job).await, "cancelled cancelled_by_operator");
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000", "nothing is held");
    db.drain().await;
    assert_eq!(db.outcome(waits).await, "rejected trade_never_opened");
    assert_eq!(db.operated(SUBMITTER, retry_parked(job)).await, "rejected not_parked", "what was cancelled stays so");
    db.verified().await;
}

#[tokio::test]
async fn one_person_may_cancel_what_moves_no_money() {
    let db = Db::new().await;
    db.operators().await;
    let job = db.ask(register(None)).await;
    db.park(job, 0).await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, CANCELLED);
    assert_eq!(db.outcome(job).await, "cancelled cancelled_by_operator");
    db.verified().await;
}

/// Whatever kind it is, what was cancelled leaves books that are right.
#[tokio::test]
async fn every_kind_can_be_cancelled_and_the_books_stay_right() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [marked, given_up] = [db.trade(seller, buyer, "btc", "0.1").await, db.trade(seller, buyer, "btc", "0.1").await];
    assert_eq!(db.done(mark_paid(marked, buyer)).await, "settled");
    let jobs = [
        db.deposit(buyer, "btc", "0.3").await,
        db.ask(release(marked, seller)).await,
        db.ask(refund(given_up, buyer)).await,
        db.ask(mark_paid(given_up, buyer)).await,
    ];
    for job in jobs {
        db.park(job, 0).await;
        assert_eq!(db.operated(OTHER, cancel_parked(job)).await, FIRST);
        assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, CANCELLED);
        assert_eq!(db.outcome(job).await, "cancelled cancelled_by_operator");
    }
    assert_eq!(db.wallet(seller, "btc").await, "0.90000000 held 0.20000000");
    assert_eq!(db.wallet(buyer, "btc").await, "nothing");
    db.verified().await;
    // The trade is not stuck: the same can be asked for anew.
    assert_eq!(db.done(release(marked, seller)).await, "settled");
    db.verified().await;
}

/// A kind of another release may move money for all that this one knows.
#[tokio::test]
async fn cancelling_an_unknown_kind_takes_two_people() {
    let db = Db::new().await;
    db.operators().await;
    let job = db.ask(register(None)).await;
    db.park(job, 0).await;
    let silently = "set session_replication_role = replica";
    db.sql(&format!(
        "{silently}; update job set kind = 'payday' where id = {job}; update request set kind = 'payday' where job_id = {job}"
    ))
    .await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, CANCELLED);
    db.verified().await;
}

#[tokio::test]
async fn a_first_decision_counts_for_a_day_and_for_one_parking() {
    let (db, job, _) = with_parked_lock().await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
    db.pass("24 hours 1 second").await;
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, FIRST, "the first one is too old, so this is the first");
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, "rejected same_principal");
    // Retried and parked again: nobody has decided about this parking yet.
    assert_eq!(db.operated(SUBMITTER, retry_parked(job)).await, RETRIED);
    db.park(job, 5).await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, CANCELLED);
    db.verified().await;
}

/// In one batch the two decisions are one after the other, as ever.
#[tokio::test]
async fn both_decisions_may_come_in_one_batch() {
    let (db, job, _) = with_parked_lock().await;
    let asks = [SUBMITTER, SUBMITTER, OTHER, OTHER].map(|operator| ask_by(operator, &fresh_key(), &cancel_parked(job)));
    let ids: Vec<i64> = db.enqueue(&asks).await.unwrap().into_iter().map(outbox::Recorded::job_id).collect();
    db.operate().await;
    let mut told = Vec::new();
    for id in ids {
        told.push(db.outcome(id).await);
    }
    assert_eq!(told, ["settled", "rejected same_principal", "settled", "rejected not_parked"]);
    assert_eq!(db.outcome(job).await, "cancelled cancelled_by_operator");
    db.verified().await;
}

/// The pairs of decisions that race, and how often each may settle: always exactly one wins.
#[tokio::test]
async fn of_two_who_decide_at_once_one_wins() {
    let db = Db::new().await;
    db.operators().await;
    let third = sqlx::query_scalar!("insert into principal (name) values ('third') returning id");
    let third = third.fetch_one(&db.owner).await.unwrap();
    db.key(third, &["operate"]).await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [one, two] = [db.operate_settler().await, db.operate_settler().await];
    let mut winners = [0, 0];
    for round in 0..12 {
        let job = db.ask(lock(seller, buyer, "btc", "0.01")).await;
        db.park(job, 0).await;
        assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
        let rival: fn(i64) -> AnyJob = if round % 2 == 0 { cancel_parked } else { retry_parked };
        let decisions = [db.ask_as(OTHER, cancel_parked(job)).await, db.ask_as(third, rival(job)).await];
        // Each worker takes one of them.
        let mut leased = Vec::new();
        for (settler, decision) in [(&one, decisions[0]), (&two, decisions[1])] {
            settler.refresh(vec![decision]).await.unwrap();
            leased.push(settler.lease_suspect().await.unwrap().unwrap());
        }
        let (a, b) = if round % 4 < 2 {
            tokio::join!(one.settle_suspect(leased[0], 0), two.settle_suspect(leased[1], 0))
        } else {
            let (b, a) = tokio::join!(two.settle_suspect(leased[1], 0), one.settle_suspect(leased[0], 0));
            (a, b)
        };
        let (a, b) = (a.unwrap(), b.unwrap());
        assert_eq!((a.settled + b.settled, a.rejected + b.rejected, a.parked + b.parked), (1, 1, 0));
        winners[usize::from(a.settled == 0)] += 1;
        one.refresh(Vec::new()).await.unwrap();
        db.drain().await;
        let expected = if a.settled == 1 || round % 2 == 0 { "cancelled cancelled_by_operator" } else { "settled" };
        assert_eq!(db.outcome(job).await, expected);
    }
    assert!(winners.iter().all(|&won| won > 0), "one side always wins: {winners:?}");
    db.verified().await;
}

/// The rule of the two people stands in Postgres once more.
#[tokio::test]
async fn postgres_refuses_a_cancellation_by_one_person() {
    let (db, job, _) = with_parked_lock().await;
    assert_eq!(db.operated(SUBMITTER, cancel_parked(job)).await, FIRST);
    let first = sqlx::query_scalar!("select decision_job from parked_decision").fetch_one(&db.owner).await.unwrap();
    let row = |by: i64, two: bool, first: &str, whose: &str| {
        format!(
            "insert into parked_decision select {job}, job_id, parked_at, 'cancel', {by}, 'why', {two}, true, {first},
                {whose}, now() from parked_decision"
        )
    };
    for (statement, constraint) in [
        (row(OTHER, true, "null", "null"), "parked_decision_two_people"),
        (row(SUBMITTER, true, &first.to_string(), "100"), "parked_decision_other_principal"),
        // Named as somebody else's, it is not found.
        (row(SUBMITTER, true, &first.to_string(), "101"), "parked_decision_first_fk"),
        (row(OTHER, true, "999999", "100"), "parked_decision_first_fk"),
    ] {
        assert_eq!(refusal(run(&db.worker, &statement).await).constraint, constraint, "{statement}");
    }
    assert_eq!(db.operated(OTHER, cancel_parked(job)).await, CANCELLED);
    let again =
        "insert into parked_decision select 424242, job_id, parked_at, 'retry', 100, 'why', needs_two, true, null,
        null, now() from parked_decision where carried_out";
    assert_eq!(refusal(run(&db.worker, again).await).constraint, "parked_decision_carried_out_once");
    for table in ["pause_change", "parked_decision", "verification"] {
        let column = db.some_column(table).await;
        for statement in [format!("update {table} set {column} = {column}"), format!("truncate {table} cascade")] {
            assert_eq!(refusal(run(&db.owner, &statement).await).constraint, format!("{table}_append_only"));
        }
    }
    db.verified().await;
}

/// The API's login records an operator's job only for a principal whose key may operate.
#[tokio::test]
async fn only_an_operators_principal_is_recorded() {
    let db = Db::new().await;
    db.key(SUBMITTER, &["submit", "read"]).await;
    let [seller, buyer] = db.people().await;
    let job = db.ask(release(1, seller)).await;
    db.park(job, 0).await;
    let asks = [
        ask_by(SUBMITTER, "k", &cancel_parked(job)),
        ask_by(2, "k", &cancel_parked(job)),
        ask_by(OTHER, "k", &retry_parked(job)),
    ];
    for ask in &asks {
        let refused = db.enqueue(std::slice::from_ref(ask)).await;
        assert_eq!(refusal(refused.map(|_| ())).code, "42501");
    }
    let expired = db.key(OTHER, &["operate"]).await;
    assert!(db.enqueue(&asks[2..]).await.is_ok());
    db.sql("update api_key set revoked_at = clock() where scopes = array['operate']").await;
    let refused = db.enqueue(&[ask_by(OTHER, "another", &retry_parked(job))]).await;
    assert_eq!(refusal(refused.map(|_| ())).code, "42501");
    assert!(!expired.is_empty() && buyer != seller);
}
