//! Trades through the real workers: who may do what in which state, the deadline, the fees, and
//! what comes in the wrong order.

use std::fmt::Write;

use expect_test::expect;
use jobs::AnyJob;

use crate::harness::{Db, cancel, extend, lock, mark_paid, refund, release, undo};

/// The state of a trade; `none` before its lock has settled.
pub(crate) async fn state(db: &Db, trade: i64) -> String {
    let row =
        sqlx::query_scalar!("select state from trade where id = $1", trade).fetch_optional(&db.owner).await.unwrap();
    row.unwrap_or_else(|| "none".to_owned())
}

type Event = fn(i64, i64) -> AnyJob;
const EVENTS: [(&str, Event); 6] = [
    ("mark-paid", mark_paid),
    ("undo", undo),
    ("extend", extend),
    ("cancel", cancel),
    ("release", release),
    ("refund", refund),
];
const ACTORS: [&str; 3] = ["seller", "buyer", "stranger"];
/// What brings a trade into each state: events and who causes them.
const STATES: [(&str, &[(Event, &str)]); 5] = [
    ("awaiting_payment", &[]),
    ("paid", &[(mark_paid, "buyer")]),
    ("released", &[(mark_paid, "buyer"), (release, "seller")]),
    ("refunded", &[(refund, "buyer")]),
    ("cancelled", &[(cancel, "buyer")]),
];
/// Everything that is allowed; all else is refused. Who comes before where: a stranger is told
/// nothing about the trade.
const ALLOWED: [(&str, &str, &str, &str); 8] = [
    ("awaiting_payment", "mark-paid", "buyer", "paid"),
    ("awaiting_payment", "extend", "seller", "awaiting_payment"),
    ("awaiting_payment", "cancel", "buyer", "cancelled"),
    ("paid", "undo", "buyer", "awaiting_payment"),
    ("paid", "cancel", "buyer", "cancelled"),
    ("awaiting_payment", "refund", "buyer", "refunded"),
    ("paid", "release", "seller", "released"),
    ("paid", "refund", "buyer", "refunded"),
];

/// `scenario seller_cancels_after_paid` is the rows paid × cancel × seller and paid × refund × seller.
#[tokio::test]
async fn every_event_in_every_state_by_everybody() {
    let db = Db::new().await;
    let [seller, buyer, stranger] = db.people().await;
    let person = |actor: &str| match actor {
        "seller" => seller,
        "buyer" => buyer,
        _ => stranger,
    };
    db.fund(seller, "btc", "0.9").await;
    for (found, way) in STATES {
        for (event, of) in EVENTS {
            for actor in ACTORS {
                let what = format!("{event} by the {actor}, {found}");
                let trade = db.trade(seller, buyer, "btc", "0.01").await;
                for (step, by) in way {
                    assert_eq!(db.done(step(trade, person(by))).await, "settled", "{what}");
                }
                assert_eq!(state(&db, trade).await, found);
                let ledger = db.ledger_text().await;
                let job = db.ask(of(trade, person(actor))).await;
                db.drain().await;
                let (outcome, result) = (db.outcome(job).await, db.result(job).await);
                if let Some((.., leads_to)) = ALLOWED.iter().find(|row| (row.0, row.1, row.2) == (found, event, actor))
                {
                    assert_eq!((outcome.as_str(), result.as_str()), ("settled", ""), "{what}");
                    assert_eq!(state(&db, trade).await, *leads_to, "{what}");
                    continue;
                }
                let entitled = if matches!(event, "release" | "extend") { "seller" } else { "buyer" };
                let reason = if actor == entitled { "wrong_state".to_owned() } else { format!("not_the_{entitled}") };
                assert_eq!(outcome, format!("rejected {reason}"), "{what}");
                let told = if actor == "stranger" { String::new() } else { format!("{{\"state\": \"{found}\"}}") };
                assert_eq!(result, told, "{what}");
                assert_eq!(state(&db, trade).await, found, "{what}");
                assert_eq!(db.ledger_text().await, ledger, "{what}: a refusal moves nothing");
            }
        }
    }
    db.verified().await;
}

#[tokio::test]
async fn a_lock_is_refused_for_what_the_seller_lacks_or_the_request_is() {
    let db = Db::new().await;
    let [seller, buyer, frozen, poor] = db.people().await;
    db.fund(seller, "btc", "0.5").await;
    db.fund(frozen, "btc", "0.5").await;
    db.freeze(frozen).await;
    let ledger = db.ledger_text().await;
    let cases = [
        ("one unit too much", lock(seller, buyer, "btc", "0.50000001"), "insufficient_funds"),
        ("another asset", lock(seller, buyer, "eth", "0.1"), "insufficient_funds"),
        ("no wallet", lock(poor, buyer, "btc", "0.1"), "insufficient_funds"),
        ("a frozen seller", lock(frozen, buyer, "btc", "0.1"), "user_frozen"),
        ("with oneself", lock(seller, seller, "btc", "0.1"), "self_trade"),
        ("an unknown seller", lock(999_999, buyer, "btc", "0.1"), "user_unknown"),
        ("an unknown buyer", lock(seller, 999_999, "btc", "0.1"), "user_unknown"),
        ("an unknown asset", lock(seller, buyer, "xmr", "0.1"), "payload_invalid"),
        ("nothing", lock(seller, buyer, "btc", "0"), "payload_invalid"),
        ("less than nothing", lock(seller, buyer, "btc", "-0.1"), "payload_invalid"),
        ("finer than the scale", lock(seller, buyer, "btc", "0.123456789"), "payload_invalid"),
        ("no number", lock(seller, buyer, "btc", "1e-1"), "payload_invalid"),
    ];
    for (what, job, reason) in cases {
        assert_eq!(db.done(job).await, format!("rejected {reason}"), "{what}");
    }
    assert_eq!(db.ledger_text().await, ledger);
    // A frozen person may still buy, and all of a balance can be locked.
    assert_eq!(db.done(lock(seller, frozen, "btc", "0.5")).await, "settled");
    assert_eq!(db.done(lock(seller, buyer, "btc", "0.00000001")).await, "rejected insufficient_funds");
    db.verified().await;
}

#[tokio::test]
async fn a_refused_lock_leaves_its_neighbours_in_the_batch_alone() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.5").await;
    let jobs = ["0.2", "0.4", "0.3", "0.00000001"].map(|amount| lock(seller, buyer, "btc", amount));
    let ids = db.ask_all(&jobs).await;
    db.drain().await;
    let mut text = String::new();
    for id in ids {
        writeln!(text, "{id} {}", db.outcome(id).await).unwrap();
    }
    expect![[r#"
        4 settled
        5 rejected insufficient_funds
        6 settled
        7 rejected insufficient_funds
    "#]]
    .assert_eq(&text);
    expect![[r#"
        3   deposit            world btc        v1     -0.50000000 ->    -0.50000000 held 0.00000000
        3                      1 btc            v1      0.50000000 ->     0.50000000 held 0.00000000
        4   open hold 4        1 btc            v2      0.20000000 ->     0.50000000 held 0.20000000
        6   open hold 6        1 btc            v3      0.30000000 ->     0.50000000 held 0.50000000
    "#]]
    .assert_eq(&db.ledger_text().await);
    db.verified().await;
}

/// When it was received counts, not when a worker came round to it.
#[tokio::test]
async fn the_deadline_is_for_asking_not_for_settling() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let [in_time, late, given_up] = [
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
        db.trade(seller, buyer, "btc", "0.1").await,
    ];
    db.pass("119 minutes").await;
    let asked_in_time = db.ask(mark_paid(in_time, buyer)).await;
    db.pass("2 minutes").await;
    let asked_late = db.ask(mark_paid(late, buyer)).await;
    let asked_to_refund = db.ask(refund(given_up, buyer)).await;
    db.drain().await;
    assert_eq!(db.outcome(asked_in_time).await, "settled");
    assert_eq!(db.outcome(asked_late).await, "rejected deadline_passed");
    assert_eq!(db.result(asked_late).await, r#"{"state": "awaiting_payment"}"#);
    assert_eq!(db.outcome(asked_to_refund).await, "settled", "giving up is never too late");
    let paid = sqlx::query!(
        r#"select t.paid_at = j.received_at as "as_received!" from trade t join job j on j.id = $2 where t.id = $1"#,
        in_time,
        asked_in_time,
    );
    assert!(paid.fetch_one(&db.owner).await.unwrap().as_received);
    db.verified().await;
}

/// Both fees are floored and come out of what is released; legs of zero are left out.
#[tokio::test]
async fn fees_are_floored_and_sum_to_what_was_held() {
    let db = Db::new().await;
    let [seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let mut text = String::new();
    // Basis points of maker and taker, then an amount in minor units.
    for (maker, taker, amount) in [
        (20, 20, 1_u32),
        (20, 20, 499),
        (20, 20, 500),
        (20, 20, 10_001),
        (0, 0, 10_000),
        (0, 30, 10_000),
        (1, 0, 9_999),
        (5_000, 5_000, 2),
        (5_000, 5_000, 3),
        (10_000, 0, 7),
    ] {
        let [buyer] = db.people().await;
        db.sql(&format!("update asset set maker_bps = {maker}, taker_bps = {taker} where code = 'btc'")).await;
        let trade = db.trade(seller, buyer, "btc", &format!("0.{amount:08}")).await;
        // The rates are those of the lock.
        db.sql("update asset set maker_bps = 77, taker_bps = 77 where code = 'btc'").await;
        assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
        let job = db.ask(release(trade, seller)).await;
        db.drain().await;
        assert_eq!(db.outcome(job).await, "settled");
        let row = sqlx::query!(
            r#"
            select maker_fee::text as "maker!", taker_fee::text as "taker!",
                (select string_agg(code || ' ' || amount, ', ' order by leg) from transfer where job_id = $2) as "legs!"
            from trade where id = $1
            "#,
            trade,
            job,
        )
        .fetch_one(&db.owner)
        .await
        .unwrap();
        writeln!(text, "{amount} at {maker} and {taker}: fees {} and {}; {}", row.maker, row.taker, row.legs).unwrap();
    }
    expect![[r#"
        1 at 20 and 20: fees 0 and 0; trade_settle 1
        499 at 20 and 20: fees 0 and 0; trade_settle 499
        500 at 20 and 20: fees 1 and 1; trade_settle 498, trade_fee 2
        10001 at 20 and 20: fees 20 and 20; trade_settle 9961, trade_fee 40
        10000 at 0 and 0: fees 0 and 0; trade_settle 10000
        10000 at 0 and 30: fees 0 and 30; trade_settle 9970, trade_fee 30
        9999 at 1 and 0: fees 0 and 0; trade_settle 9999
        2 at 5000 and 5000: fees 1 and 1; trade_fee 2
        3 at 5000 and 5000: fees 1 and 1; trade_settle 1, trade_fee 2
        7 at 10000 and 0: fees 7 and 0; trade_fee 7
    "#]]
    .assert_eq(&text);
    db.verified().await;
}
