//! Referral commissions: fixed at lock, paid out of the fee, once.

use expect_test::expect;

use crate::harness::{Db, lock, mark_paid, register, release};

/// Registers somebody whom a person brought, settled.
async fn brought_by(db: &Db, referrer: i64) -> i64 {
    let id = db.ask(register(Some(referrer))).await;
    db.drain().await;
    assert_eq!(db.outcome(id).await, "settled");
    id
}

/// Opens a trade of an amount and brings it to its release. The trade.
async fn released(db: &Db, seller: i64, buyer: i64, amount: &str) -> i64 {
    let trade = db.trade(seller, buyer, "btc", amount).await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    assert_eq!(db.done(release(trade, seller)).await, "settled");
    trade
}

/// Level, base, rate and amount of the commissions of a trade, a line each.
async fn commissions(db: &Db, trade: i64) -> String {
    let rows = sqlx::query_scalar!(
        r#"
        select format('level %s: %s of %s at %s for %s', level, amount, base, bps, referrer_id) as "text!"
        from commission where trade_id = $1 order by referrer_id
        "#,
        trade,
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    rows.join("\n")
}

#[tokio::test]
async fn a_referrer_gets_a_share_of_the_fee_of_whom_they_brought() {
    let db = Db::new().await;
    let [referrer, golden, seller] = db.people().await;
    db.favour(golden).await;
    db.fund(seller, "btc", "0.9").await;
    let [plain, favoured] = [brought_by(&db, referrer).await, brought_by(&db, golden).await];
    let trade = released(&db, seller, plain, "0.5").await;
    assert_eq!(commissions(&db, trade).await, format!("level 1: 20000 of 100000 at 2000 for {referrer}"));
    let trade = released(&db, seller, favoured, "0.1").await;
    assert_eq!(commissions(&db, trade).await, format!("level 1: 10000 of 20000 at 5000 for {golden}"));
    let text = db.ledger_text().await;
    expect![[r#"
        commission           fee btc
        commission           fee btc
    "#]]
    .assert_eq(
        &text
            .lines()
            .filter(|line| line.contains("commission") && line.contains("fee"))
            .map(|line| line.split_whitespace().skip(1).take(3).collect::<Vec<_>>().join(" "))
            .map(|line| line.replacen("commission fee", "commission           fee", 1) + "\n")
            .collect::<String>(),
    );
    db.verified().await;
}

/// Who brought both sides shares in both fees, once; and what is taken never exceeds the fee.
#[tokio::test]
async fn who_brought_both_sides_is_paid_once_for_both() {
    let db = Db::new().await;
    let [referrer] = db.people().await;
    let [seller, buyer] = [brought_by(&db, referrer).await, brought_by(&db, referrer).await];
    db.fund(seller, "btc", "0.9").await;
    let trade = released(&db, seller, buyer, "0.1").await;
    assert_eq!(commissions(&db, trade).await, format!("level 1: 8000 of 40000 at 2000 for {referrer}"));
    db.sql("update referral_rate set bps = 10000 where tier = 'standard'").await;
    let trade = released(&db, seller, buyer, "0.1").await;
    assert_eq!(commissions(&db, trade).await, format!("level 1: 40000 of 40000 at 10000 for {referrer}"));
    // On dust there is a fee of nothing, and a share of nothing moves nothing.
    let dust = released(&db, seller, buyer, "0.00000001").await;
    assert_eq!(commissions(&db, dust).await, "");
    let crumbs = {
        db.sql("update referral_rate set bps = 1 where tier = 'standard'").await;
        released(&db, seller, buyer, "0.00001").await
    };
    assert_eq!(commissions(&db, crumbs).await, format!("level 1: 0 of 4 at 1 for {referrer}"));
    db.verified().await;
}

/// Tiers, rates and referrers are those of the lock, whatever is changed before the release.
#[tokio::test]
async fn the_terms_are_those_of_the_lock() {
    let db = Db::new().await;
    let [referrer, seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let buyer = brought_by(&db, referrer).await;
    let trade = db.trade(seller, buyer, "btc", "0.1").await;
    db.favour(referrer).await;
    db.sql("update referral_rate set bps = 9000; delete from referral_rate where tier = 'standard'").await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    assert_eq!(db.done(release(trade, seller)).await, "settled");
    assert_eq!(commissions(&db, trade).await, format!("level 1: 4000 of 20000 at 2000 for {referrer}"));
    db.verified().await;
}

/// `scenario silent_zero_commission`: a missing rate parks the commission, which a person's retry
/// settles once the rate is there; it never pays 0.
#[tokio::test]
async fn a_missing_rate_parks_and_never_pays_nothing() {
    let db = Db::new().await;
    let [referrer, seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let buyer = brought_by(&db, referrer).await;
    db.sql("delete from referral_rate where tier = 'standard'").await;
    let trade = released(&db, seller, buyer, "0.1").await;
    let job = db.caused("referral-commission", trade).await;
    let id = db.enqueue(&[job]).await.unwrap()[0].job_id();
    assert_eq!(db.outcome(id).await, "parked rate_missing");
    assert_eq!(commissions(&db, trade).await, "");
    db.verified().await;
    db.sql(&format!(
        "
        insert into referral_rate values ('standard', 1, 1000);
        insert into outbox (job_id, lane, slot, subject, run_at, attempt)
            select job_id, lane, slot, subject, clock(), attempt from parked where job_id = {id};
        delete from parked where job_id = {id};
        "
    ))
    .await;
    db.drain().await;
    assert_eq!(db.outcome(id).await, "settled");
    assert_eq!(commissions(&db, trade).await, format!("level 1: 2000 of 20000 at 1000 for {referrer}"));
    db.verified().await;
}

/// The commission of another worker's release comes out of the stripe that this release filled.
#[tokio::test]
async fn another_workers_stripe_pays() {
    let db = Db::new().await;
    let [referrer, seller] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let buyer = brought_by(&db, referrer).await;
    let trade = db.trade(seller, buyer, "btc", "0.1").await;
    assert_eq!(db.done(mark_paid(trade, buyer)).await, "settled");
    let settings = settlement::Settings::default();
    let other = settlement::Settler::new(db.worker.clone(), settings, 7).await.unwrap();
    db.ask(release(trade, seller)).await;
    other.settle(other.claim().await.unwrap().unwrap()).await.unwrap();
    db.drain().await;
    assert_eq!(commissions(&db, trade).await, format!("level 1: 4000 of 20000 at 2000 for {referrer}"));
    let stripes = sqlx::query_scalar!(
        r#"select string_agg(stripe::text, ' ' order by stripe) as "text!" from account where purpose = 'fee'"#
    );
    assert_eq!(stripes.fetch_one(&db.owner).await.unwrap(), "7");
    db.verified().await;
}

/// One who owes repays out of a commission first.
#[tokio::test]
async fn a_commission_repays_what_is_owed() {
    let db = Db::new().await;
    let [referrer, seller, other] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let paid = crate::harness::payment(referrer, "btc", "0.3");
    db.callback(&paid).await;
    db.drain().await;
    assert_eq!(db.done(lock(referrer, other, "btc", "0.3")).await, "settled");
    let back = simulators::nowpayments::Payment { status: providers::nowpayments::PaymentStatus::Refunded, ..paid };
    db.callback(&back).await;
    db.drain().await;
    let buyer = brought_by(&db, referrer).await;
    released(&db, seller, buyer, "0.1").await;
    let owed = sqlx::query_scalar!(
        r#"
        select (select posted from entry where account_id = a.id order by version desc limit 1)::text as "owed!"
        from account a where owner = $1 and purpose = 'receivable'
        "#,
        referrer,
    );
    assert_eq!(owed.fetch_one(&db.owner).await.unwrap(), "-29996000");
    db.verified().await;
}
