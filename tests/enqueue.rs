//! What becomes of an ask: it is recorded once, whatever is repeated, raced or refused.

use outbox::{Ask, Recorded, Trouble, trouble};

use crate::harness::{Db, ask_of, mark_paid, refund, refusal, register, release, until};

/// Rows of request, job and outbox.
async fn recorded(db: &Db) -> (i64, i64, i64) {
    let row = sqlx::query!(
        r#"
        select (select count(*) from request) as "requests!", (select count(*) from job) as "jobs!",
            (select count(*) from outbox) as "queued!"
        "#
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    (row.requests, row.jobs, row.queued)
}

fn is_new(recorded: &Recorded) -> bool {
    matches!(recorded, Recorded::New(_))
}

#[tokio::test]
async fn one_and_a_thousand_are_recorded_alike() {
    let db = Db::new().await;
    let asks: Vec<Ask> = (0..1000).map(|n| ask_of(&format!("many-{n}"), &register(None))).collect();
    let one = db.enqueue(&[ask_of("one", &register(None))]).await.unwrap();
    let thousand = db.enqueue(&asks).await.unwrap();
    assert!(one.iter().chain(&thousand).all(is_new));
    assert_eq!(thousand.len(), 1000);
    let mut ids: Vec<i64> = one.iter().chain(&thousand).map(|recorded| recorded.job_id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 1001);
    assert_eq!(recorded(&db).await, (1001, 1001, 1001));
    assert_eq!(db.drain().await.settled, 1001);
    assert_eq!(recorded(&db).await, (1001, 1001, 0));
    assert!(db.enqueue(&[]).await.unwrap().is_empty());
    db.verified().await;
}

#[tokio::test]
async fn a_key_names_one_job_of_a_kind_and_a_submitter_for_ever() {
    let db = Db::new().await;
    let first = ask_of("key", &mark_paid(7, 1));
    let id = db.enqueue(std::slice::from_ref(&first)).await.unwrap()[0].job_id();
    let other_submitter = Ask { submitter: first.submitter + 1, ..first.clone() };
    let cases = [
        ("the same again", first, "replay"),
        ("another payload", ask_of("key", &mark_paid(7, 2)), "conflict"),
        ("another submitter", other_submitter, "new"),
        ("another kind", ask_of("key", &release(7, 1)), "new"),
        ("another key", ask_of("key ", &mark_paid(7, 1)), "new"),
    ];
    // Before anything is settled, and with the outcome long known.
    for settled in [false, true] {
        if settled {
            db.drain().await;
            assert_eq!(db.outcome(id).await, "rejected trade_unknown");
        }
        for (what, ask, expected) in &cases {
            let got = db.enqueue(std::slice::from_ref(ask)).await.unwrap()[0];
            match (*expected, settled) {
                ("replay", _) => assert_eq!(got, Recorded::Replay(id), "{what}"),
                ("conflict", _) => assert_eq!(got, Recorded::Conflict(id), "{what}"),
                (_, false) => assert!(is_new(&got), "{what}: {got:?}"),
                (_, true) => assert!(matches!(got, Recorded::Replay(other) if other != id), "{what}: {got:?}"),
            }
        }
    }
    assert_eq!(recorded(&db).await, (4, 4, 0));
}

#[tokio::test]
async fn the_same_key_twice_in_one_batch_is_one_job() {
    let db = Db::new().await;
    let (same, other) = (ask_of("key", &refund(7, 1)), ask_of("key", &refund(7, 2)));
    let neighbour = ask_of("another", &refund(7, 1));
    let got = db.enqueue(&[same.clone(), neighbour, same, other]).await.unwrap();
    let id = got[0].job_id();
    assert!(is_new(&got[1]));
    assert!(is_new(&got[0]), "the first of them is recorded: {got:?}");
    assert_eq!(got[2], Recorded::Replay(id));
    assert_eq!(got[3], Recorded::Conflict(id));
    assert_eq!(recorded(&db).await, (2, 2, 2));
}

/// Also where the batch is so large that equal keys come out of a sort in any order.
#[tokio::test]
async fn the_first_of_two_with_one_key_is_recorded_in_a_large_batch() {
    let db = Db::new().await;
    let ask = |n: i64| ask_of(&format!("key-{:03}", n % 300), &refund(7, n + 1));
    let got = db.enqueue(&(0..600).map(ask).collect::<Vec<_>>()).await.unwrap();
    assert!(got[..300].iter().all(is_new));
    assert!(got[300..].iter().all(|recorded| matches!(recorded, Recorded::Conflict(_))));
}

/// How many connections of this database wait for another's lock.
async fn waiting(db: &Db) -> i64 {
    sqlx::query_scalar!(
        r#"select count(*) as "n!" from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"#
    )
    .fetch_one(&db.owner)
    .await
    .unwrap()
}

#[tokio::test]
async fn two_batches_with_the_same_keys_in_opposite_orders_do_not_deadlock() {
    let db = Db::new().await;
    let forwards: Vec<Ask> = (0..200).map(|n| ask_of(&format!("key-{n:03}"), &register(None))).collect();
    let backwards: Vec<Ask> = forwards.iter().rev().cloned().collect();
    // Both meet a key in the middle that somebody else is about to take. Were each to insert in
    // its own order, each would by then have what the other asks for next.
    let mut middle = db.api.begin().await.unwrap();
    outbox::enqueue(&mut middle, &forwards[100..101]).await.unwrap();
    let let_go = async {
        until("both batches wait", async || waiting(&db).await == 2).await;
        middle.rollback().await.unwrap();
    };
    let (one, two, ()) = tokio::join!(db.enqueue(&forwards), db.enqueue(&backwards), let_go);
    let (one, mut two) = (one.unwrap(), two.unwrap());
    two.reverse();
    for (one, two) in one.iter().zip(&two) {
        assert_eq!(one.job_id(), two.job_id());
        assert!(is_new(one) != is_new(two), "{one:?} {two:?}");
    }
    assert_eq!(recorded(&db).await, (200, 200, 200));
}

#[tokio::test]
async fn a_rivals_key_is_answered_as_what_the_rival_made_of_it() {
    let db = Db::new().await;
    let asks = [ask_of("a", &refund(7, 1)), ask_of("b", &refund(7, 1)), ask_of("c", &refund(7, 1))];
    let rival_asks = [ask_of("a", &refund(7, 1)), ask_of("b", &refund(7, 2))];
    for commits in [false, true] {
        let mut rival = db.api.begin().await.unwrap();
        let theirs = outbox::enqueue(&mut rival, &rival_asks).await.unwrap();
        let finish = async {
            until("we wait for the rival", async || waiting(&db).await == 1).await;
            if commits { rival.commit().await.unwrap() } else { rival.rollback().await.unwrap() }
        };
        let ours = async {
            let mut tx = db.api.begin().await.unwrap();
            let ours = outbox::enqueue(&mut tx, &asks).await.unwrap();
            // The first round leaves nothing behind, so that the second starts afresh.
            if commits {
                tx.commit().await.unwrap();
            } else {
                tx.rollback().await.unwrap();
            }
            ours
        };
        let (ours, ()) = tokio::join!(ours, finish);
        if commits {
            assert_eq!(ours[0], Recorded::Replay(theirs[0].job_id()));
            assert_eq!(ours[1], Recorded::Conflict(theirs[1].job_id()));
            assert!(is_new(&ours[2]));
        } else {
            assert!(ours.iter().all(is_new), "{ours:?}");
        }
    }
    assert_eq!(recorded(&db).await, (3, 3, 3));
}

#[tokio::test]
async fn what_cannot_be_stored_is_a_fault_of_the_data_and_records_nothing() {
    let db = Db::new().await;
    let good = ask_of("good", &register(None));
    let with_payload = |payload: &str| Ask { key: "bad".to_owned(), payload: payload.to_owned(), ..good.clone() };
    let with_key = |key: String| Ask { key, ..good.clone() };
    let cases = [
        ("a zero character", with_payload(r#"{"referrer_id":"\u0000"}"#), "22P05", ""),
        ("half a surrogate pair", with_payload(r#"{"referrer_id":"\ud800"}"#), "22P02", ""),
        ("no JSON", with_payload("{"), "22P02", ""),
        ("a zero byte in the key", with_key("a\0b".to_owned()), "22021", ""),
        ("an empty key", with_key(String::new()), "23514", "request_key_length"),
        ("a key that is too long", with_key("k".repeat(1025)), "23514", "request_key_length"),
        ("an unknown lane", Ask { lane: "fast", ..with_key("lane".to_owned()) }, "42501", ""),
    ];
    for (what, ask, code, constraint) in cases {
        let mut tx = db.api.begin().await.unwrap();
        let refused = outbox::enqueue(&mut tx, &[good.clone(), ask]).await;
        if code != "42501" {
            assert_eq!(trouble(refused.as_ref().unwrap_err()), Trouble::Data, "{what}");
        }
        let refused = refusal(refused);
        assert_eq!((refused.code.as_str(), refused.constraint.as_str()), (code, constraint), "{what}");
        tx.rollback().await.unwrap();
    }
    assert_eq!(recorded(&db).await, (0, 0, 0));
    assert!(is_new(&db.enqueue(&[good]).await.unwrap()[0]));
}
