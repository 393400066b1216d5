//! Deposits: what each word of the provider does to the money, in whatever order the words come.

use std::fmt::Write;

use expect_test::{expect, expect_file};
use outbox::Recorded;
use providers::nowpayments::PaymentStatus;
use providers::nowpayments::PaymentStatus::{
    Confirming, Expired, Failed, Finished, PartiallyPaid, Refunded, Sending, Waiting,
};
use simulators::nowpayments::{Payment, forge, sign};

use crate::harness::{Db, IPN_SECRET, credit_of, lock, payment, refund};

/// The payment with another status and another amount, which is also what was paid.
fn told(payment: &Payment, status: PaymentStatus, amount: &str) -> Payment {
    let amount = amount.to_owned();
    Payment { status, actually_paid: amount.clone(), outcome_amount: Some(amount), ..payment.clone() }
}

/// The provider takes back everything that a person was ever credited.
pub(crate) async fn take_back_all(db: &Db, user: i64) {
    let paid =
        sqlx::query!("select payment_id, outcome_text from deposit where user_id = $1 and state = 'credited'", user)
            .fetch_all(&db.owner)
            .await
            .unwrap();
    for row in paid {
        let amount = row.outcome_text.unwrap();
        let paid = Payment { payment_id: row.payment_id.parse().unwrap(), ..payment(user, "btc", &amount) };
        assert_eq!(db.told(&told(&paid, Refunded, &amount)).await, "settled");
    }
}

/// How a deposit stands: its state, why it is in review, what was credited and taken back.
async fn deposit_text(db: &Db, payment_id: u64) -> String {
    let row = sqlx::query!(
        r#"
        select state || coalesce(' (' || review_reason || ')', '') || coalesce(', credited ' || credited, '')
            || coalesce(', taken back ' || clawed_back || ' of which lacking ' || shortfall, '') as "text!"
        from deposit where payment_id = $1
        "#,
        payment_id.to_string(),
    )
    .fetch_optional(&db.owner)
    .await
    .unwrap();
    row.map_or_else(|| "none".to_owned(), |row| row.text)
}

/// How a deposit got where it is, before the word that is tried.
struct Before {
    name: &'static str,
    told: &'static [(PaymentStatus, &'static str)],
    /// How much of the wallet an escrow then holds.
    locked: Option<&'static str>,
}

const BEFORE: [Before; 11] = [
    Before { name: "unheard of", told: &[], locked: None },
    Before { name: "seen", told: &[(Waiting, "0.5")], locked: None },
    Before { name: "seen, sending", told: &[(Sending, "0.5")], locked: None },
    Before { name: "expired", told: &[(Expired, "0.5")], locked: None },
    Before { name: "failed", told: &[(Failed, "0.5")], locked: None },
    Before { name: "refunded", told: &[(Refunded, "0.5")], locked: None },
    Before { name: "credited", told: &[(Finished, "0.5")], locked: None },
    Before { name: "in review", told: &[(Finished, "1.5")], locked: None },
    Before { name: "credited, in review", told: &[(Finished, "0.5"), (Finished, "0.6")], locked: None },
    Before { name: "reversed", told: &[(Finished, "0.5"), (Refunded, "0.5")], locked: None },
    Before { name: "lost", told: &[(Finished, "0.5"), (Refunded, "0.5")], locked: Some("0.2") },
];

const WORDS: [(PaymentStatus, &str); 8] = [
    (Waiting, "0.5"),
    (Confirming, "0.5"),
    (Expired, "0.5"),
    (Failed, "0.5"),
    (PartiallyPaid, "0.4"),
    (Finished, "0.5"),
    (Finished, "1.5"),
    (Refunded, "0.5"),
];

/// Every state × every word, each with a payment and a person of its own. A word that was heard
/// already is a replay, and nothing happens at all.
#[tokio::test]
async fn every_word_in_every_state() {
    let db = Db::new().await;
    let mut text = String::new();
    for before in BEFORE {
        let [buyer] = db.people().await;
        writeln!(text, "{}", before.name).unwrap();
        for (status, amount) in WORDS {
            let [user] = db.people().await;
            let paid = payment(user, "btc", "0.5");
            for (number, (status, amount)) in before.told.iter().enumerate() {
                assert_eq!(db.told(&told(&paid, *status, amount)).await, "settled");
                if let (0, Some(locked)) = (number, before.locked) {
                    db.trade(user, buyer, "btc", locked).await;
                }
            }
            let word = db.callback(&told(&paid, status, amount)).await;
            db.drain().await;
            let made = match word {
                Recorded::Replay(_) => "heard before".to_owned(),
                Recorded::Conflict(_) => panic!("a fact conflicts with itself"),
                Recorded::New(job) => {
                    assert_eq!(db.outcome(job).await, "settled");
                    // A credit has nothing to add; everything else says what became of it.
                    let result = db.result(job).await;
                    let what = result.split('"').nth(3).unwrap_or("credited");
                    format!("{what}: {}", deposit_text(&db, paid.payment_id).await)
                }
            };
            let wallet = db.wallet(user, "btc").await;
            let word = format!("{} {amount}", status.as_str());
            writeln!(text, "    {word:<20} {made}; wallet {wallet}, owes {}", db.owed(user, "btc").await).unwrap();
        }
    }
    expect_file!["fixtures/deposit_words.txt"].assert_eq(&text);
    db.verified().await;
}

/// The same words in one batch end as they do one by one.
#[tokio::test]
async fn words_that_come_at_once_end_as_words_that_come_one_by_one() {
    let db = Db::new().await;
    let stories: [&[(PaymentStatus, &str)]; 8] = [
        &[(Waiting, "0.5"), (Confirming, "0.5"), (Sending, "0.5"), (Finished, "0.5")],
        &[(Finished, "0.5"), (Waiting, "0.5")],
        &[(Expired, "0.5"), (Finished, "0.5")],
        &[(Failed, "0.5"), (PartiallyPaid, "0.3")],
        &[(Finished, "0.5"), (Refunded, "0.5")],
        &[(Refunded, "0.5"), (Finished, "0.5")],
        &[(PartiallyPaid, "0.3"), (Finished, "0.5")],
        &[(Finished, "1.5"), (Finished, "0.5"), (Refunded, "0.5")],
    ];
    for story in stories {
        let mut ends = Vec::new();
        for at_once in [false, true] {
            let [user] = db.people().await;
            let paid = payment(user, "btc", "0.5");
            for (status, amount) in story {
                db.callback(&told(&paid, *status, amount)).await;
                if !at_once {
                    db.drain().await;
                }
            }
            db.drain().await;
            let deposit = deposit_text(&db, paid.payment_id).await;
            ends.push(format!("{deposit}; wallet {}", db.wallet(user, "btc").await));
        }
        assert_eq!(ends[0], ends[1], "{story:?}");
    }
    db.verified().await;
}

#[tokio::test]
async fn what_cannot_be_credited_goes_to_review_and_moves_nothing() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let base = || payment(user, "btc", "0.5");
    let order = |order_id: &str| Payment { order_id: Some(order_id.to_owned()), ..base() };
    let outcome = |amount: Option<&str>, currency: Option<&str>| Payment {
        outcome_amount: amount.map(str::to_owned),
        outcome_currency: currency.map(str::to_owned),
        ..base()
    };
    let cases = [
        ("no order id", Payment { order_id: None, ..base() }, "review (user_unknown)"),
        ("an order id that is not ours", order("invoice-7"), "review (user_unknown)"),
        ("an order id of nobody", order("user-999999"), "review (user_unknown)"),
        ("an order id of a job that is no person", order("user-0"), "review (user_unknown)"),
        ("no outcome", outcome(None, None), "review (outcome_missing)"),
        ("an amount of no currency", outcome(Some("0.5"), None), "review (outcome_missing)"),
        ("a currency of no amount", outcome(None, Some("btc")), "review (outcome_missing)"),
        ("an asset that we do not know", outcome(Some("0.5"), Some("xmr")), "review (asset_unknown)"),
        ("one unit above the bound", outcome(Some("1.00000001"), Some("btc")), "review (above_credit_max)"),
        ("far beyond any amount", outcome(Some("1e30"), Some("btc")), "review (amount_unreadable)"),
        ("exactly the bound", outcome(Some("1.00000000"), Some("btc")), "credited, credited 100000000"),
        ("an exponent", outcome(Some("1e-8"), Some("btc")), "credited, credited 1"),
        ("a currency in capitals", outcome(Some("0.5"), Some("BTC")), "credited, credited 50000000"),
        ("finer than the scale", outcome(Some("0.123456789"), Some("btc")), "credited, credited 12345678"),
        ("dust", outcome(Some("0.000000009"), Some("btc")), "credited, credited 0"),
        ("zero", outcome(Some("0"), Some("btc")), "credited, credited 0"),
    ];
    for (what, payment, expected) in cases {
        assert_eq!(db.told(&payment).await, "settled", "{what}");
        assert_eq!(deposit_text(&db, payment.payment_id).await, expected, "{what}");
    }
    assert_eq!(db.wallet(user, "btc").await, "1.62345679");
    assert_eq!(db.house("btc", "world").await, "-1.62345679");
    db.verified().await;
}

/// `scenario partial_as_full`, `wrong_unit_credit`: what arrived is credited, not what was asked.
#[tokio::test]
async fn the_outcome_is_credited_and_nothing_else_of_the_body() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let paid = Payment {
        status: PartiallyPaid,
        pay_amount: "100".to_owned(),
        actually_paid: "60".to_owned(),
        pay_currency: "usdttrc20".to_owned(),
        outcome_amount: Some("59.4".to_owned()),
        outcome_currency: Some("usdterc20".to_owned()),
        ..payment(user, "usdttrc20", "100")
    };
    assert_eq!(db.told(&paid).await, "settled");
    assert_eq!(db.wallet(user, "usdterc20").await, "59.400000");
    assert_eq!(db.wallet(user, "usdttrc20").await, "nothing");
    db.verified().await;
}

#[tokio::test]
async fn the_text_that_was_credited_is_kept() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let paid = payment(user, "btc", "0.5");
    for (status, amount) in [(Waiting, "0.51"), (Finished, "0.123456789")] {
        db.told(&told(&paid, status, amount)).await;
    }
    let id = paid.payment_id.to_string();
    let kept = sqlx::query_scalar!("select outcome_text from deposit where payment_id = $1", id);
    assert_eq!(kept.fetch_one(&db.owner).await.unwrap().as_deref(), Some("0.123456789"));
}

/// `updated_at` and the estimate of the fees change from callback to callback; the fact does not.
#[tokio::test]
async fn the_same_fact_in_another_body_is_a_replay() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let paid = payment(user, "btc", "0.5");
    let first = db.callback(&paid).await;
    let again = Payment { updated_at_ms: Some(1_765_249_461_097), price_amount: "21".to_owned(), ..paid.clone() };
    for payment in [&paid, &again] {
        assert_eq!(db.callback(payment).await, Recorded::Replay(first.job_id()));
    }
    db.drain().await;
    assert_eq!(db.callback(&again).await, Recorded::Replay(first.job_id()));
    let kept = sqlx::query_scalar!(r#"select count(*) as "n!" from ipn_inbox"#).fetch_one(&db.owner).await.unwrap();
    assert_eq!(kept, 4, "every authentic body is kept");
    assert_eq!(db.wallet(user, "btc").await, "0.50000000");
    db.verified().await;
}

/// A repeated deposit on the same address comes with a payment id of its own and its parent's
/// order id.
#[tokio::test]
async fn a_repeated_deposit_is_credited_by_its_own_payment_id() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let parent = payment(user, "btc", "0.5");
    let child = Payment { parent_payment_id: Some(parent.payment_id), ..payment(user, "btc", "0.5") };
    for payment in [&parent, &child, &parent, &child] {
        assert_eq!(db.told(payment).await, "settled");
    }
    assert_eq!(db.wallet(user, "btc").await, "1.00000000");
    db.verified().await;
}

/// `reorg_after_credit`: part of it is in an escrow, so it cannot be taken back; it is owed, and
/// what comes next repays it first.
#[tokio::test]
async fn what_a_clawback_lacks_is_owed_and_repaid_first() {
    let db = Db::new().await;
    let [user, buyer] = db.people().await;
    let paid = payment(user, "btc", "0.5");
    db.told(&paid).await;
    let trade = db.trade(user, buyer, "btc", "0.2").await;
    assert_eq!(db.told(&told(&paid, Refunded, "0.5")).await, "settled");
    assert_eq!(
        deposit_text(&db, paid.payment_id).await,
        "loss, credited 50000000, taken back 30000000 of which lacking 20000000"
    );
    assert_eq!(db.done(lock(user, buyer, "btc", "0.00000001")).await, "rejected user_frozen");
    db.fund(user, "btc", "0.05").await;
    assert_eq!(db.done(refund(trade, buyer)).await, "settled");
    db.fund(user, "btc", "0.25").await;
    assert_eq!(db.owed(user, "btc").await, "0.00000000");
    expect![[r#"
        3   deposit            world btc        v1     -0.50000000 ->    -0.50000000 held 0.00000000
        3                      1 btc            v1      0.50000000 ->     0.50000000 held 0.00000000
        4   open hold 4        1 btc            v2      0.20000000 ->     0.50000000 held 0.20000000
        5   clawback           1 btc            v3     -0.30000000 ->     0.20000000 held 0.20000000
        5                      world btc        v2      0.30000000 ->    -0.20000000 held 0.00000000
        5   clawback_shortfall 1 owes btc       v1     -0.20000000 ->    -0.20000000 held 0.00000000
        5                      world btc        v3      0.20000000 ->     0.00000000 held 0.00000000
        7   deposit            world btc        v4     -0.05000000 ->    -0.05000000 held 0.00000000
        7                      1 btc            v4      0.05000000 ->     0.25000000 held 0.20000000
        7   receivable_repay   1 btc            v5     -0.05000000 ->     0.20000000 held 0.20000000
        7                      1 owes btc       v2      0.05000000 ->    -0.15000000 held 0.00000000
        8   close hold 4       1 btc            v6     -0.20000000 ->     0.20000000 held 0.00000000
        8   receivable_repay   1 btc            v7     -0.15000000 ->     0.05000000 held 0.00000000
        8                      1 owes btc       v3      0.15000000 ->     0.00000000 held 0.00000000
        9   deposit            world btc        v5     -0.25000000 ->    -0.30000000 held 0.00000000
        9                      1 btc            v8      0.25000000 ->     0.30000000 held 0.00000000
    "#]]
    .assert_eq(&db.ledger_text().await);
    db.verified().await;
}

/// Whoever may write to the inbox can put anything there. The worker verifies it again.
#[tokio::test]
async fn a_forged_row_of_the_inbox_is_never_credited() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let body = payment(user, "btc", "0.5").body();
    let payout = r#"{"id":"1","batch_withdrawal_id":"2","status":"FINISHED"}"#.to_owned();
    let unread = r#"{"payment_id":1,"payment_status":"astonishing"}"#.to_owned();
    let sound = |body: &str| sign(IPN_SECRET, body.as_bytes());
    let cases = [
        ("another secret", &body, forge(IPN_SECRET, body.as_bytes()), "none of the secrets"),
        ("no signature", &body, String::new(), "0 bytes long"),
        ("another body", &body.replace("0.5", "0.6"), sound(&body), "none of the secrets"),
        ("a payout", &payout, sound(&payout), "not about a payment"),
        ("an unknown status", &unread, sound(&unread), "astonishing"),
    ];
    for (number, (what, body, signature, detail)) in cases.into_iter().enumerate() {
        let mut tx = db.api.begin().await.unwrap();
        let inbox_id = sqlx::query_scalar!(
            "insert into ipn_inbox (provider, body, signature) values ('nowpayments', $1, $2) returning id",
            body.as_bytes(),
            signature,
        )
        .fetch_one(&mut *tx)
        .await
        .unwrap();
        let job =
            outbox::enqueue(&mut tx, &[credit_of(inbox_id, &format!("forged {number}"))]).await.unwrap()[0].job_id();
        tx.commit().await.unwrap();
        db.drain().await;
        assert_eq!(db.outcome(job).await, "parked contradiction", "{what}");
        let seen =
            sqlx::query_scalar!("select detail from parked where job_id = $1", job).fetch_one(&db.owner).await.unwrap();
        assert!(seen.contains(detail), "{what}: {seen}");
    }
    assert_eq!(db.wallet(user, "btc").await, "nothing");
    assert_eq!(db.ledger_text().await, "");
    db.verified().await;
}

/// A callback whose signature covers a sorted text, not the bytes: the worker reads that text.
#[tokio::test]
async fn a_second_secret_serves_a_rotation() {
    let db = Db::new().await;
    let [user] = db.people().await;
    let job = db.deposit(user, "btc", "0.5").await;
    let old_only = settlement::Settings {
        ipn_secrets: vec![providers::nowpayments::Secret::new("the next secret").unwrap()],
        ..settlement::Settings::default()
    };
    let settler = settlement::Settler::new(db.worker.clone(), old_only.clone(), 0).await.unwrap();
    let batch = settler.claim().await.unwrap().unwrap();
    drop(batch);
    let mut both = old_only;
    both.ipn_secrets.extend(crate::harness::ipn_secrets());
    let settler = settlement::Settler::new(db.worker.clone(), both, 0).await.unwrap();
    db.drain_with(&settler).await;
    assert_eq!((db.outcome(job).await, db.wallet(user, "btc").await), ("settled".to_owned(), "0.50000000".to_owned()));
    db.verified().await;
}
