//! Lists of trades, and why money is where it is.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::expect;
use serde_json::{Value, json};

use super::{by, seller_and_buyer, trade_of};
use crate::harness::{Db, Site, approve, call_off, minor, until, withdraw};

/// The ids of a list of trades, page by page.
async fn trades(site: &Site, query: &str, limit: usize) -> Vec<i64> {
    let (mut ids, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.found(&format!("/v1/trades?limit={limit}{query}{cursor}")).await;
        let trades = page["trades"].as_array().unwrap();
        ids.extend(trades.iter().map(|row| row["id"].as_str().unwrap().parse::<i64>().unwrap()));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return ids,
        }
    }
}

#[tokio::test]
async fn lists_of_trades_have_what_they_are_asked_for_and_never_shift() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [ann, ben] = seller_and_buyer(&site, "0.9").await;
    let [cid] = site.people().await;
    site.fund(ben, "eth", "5").await;
    let open = async |seller, buyer, asset| site.settled("/v1/trades", &trade_of(seller, buyer, asset, "0.1")).await;
    let [a, b, c, d] = [
        open(ann, ben, "btc").await,
        open(ben, ann, "eth").await,
        open(ann, cid, "btc").await,
        open(ben, cid, "eth").await,
    ];
    site.settled(&format!("/v1/trades/{c}/mark-paid"), &by(cid)).await;
    for limit in [1, 2, 3, 4, 5] {
        for (query, expected) in [
            (String::new(), vec![d, c, b, a]),
            (format!("&user_id={ann}"), vec![c, b, a]),
            (format!("&user_id={ann}&role=seller"), vec![c, a]),
            (format!("&user_id={ann}&role=buyer"), vec![b]),
            (format!("&user_id={cid}&role=seller"), vec![]),
            ("&state=paid".to_owned(), vec![c]),
            ("&state=awaiting_payment&asset=eth".to_owned(), vec![d, b]),
            (format!("&user_id={ben}&asset=btc"), vec![a]),
            ("&user_id=999".to_owned(), vec![]),
        ] {
            assert_eq!(trades(&site, &query, limit).await, expected, "{query} by {limit}");
        }
    }
    let one = site.found(&format!("/v1/trades/{c}")).await;
    let listed = site.found("/v1/trades?state=paid").await;
    assert_eq!(listed["trades"], json!([one]));
    for query in [String::new(), format!("&user_id={ann}"), "&state=awaiting_payment".to_owned()] {
        let expected = trades(&site, &query, 200).await;
        let first = site.found(&format!("/v1/trades?limit=1{query}")).await;
        let newer = open(ann, ben, "btc").await;
        let rest = trades(&site, &format!("{query}&cursor={}", first["next_cursor"].as_str().unwrap()), 200).await;
        assert_eq!(rest, expected[1..], "{query}");
        assert_eq!(trades(&site, &query, 200).await[0], newer);
    }
    let page = site.found("/v1/trades?limit=1").await;
    let others = format!("user_id={ann}&cursor={}", page["next_cursor"].as_str().unwrap());
    for (query, refusal) in [
        ("limit=0", "400 query_invalid limit"),
        ("sort=amount", "400 query_invalid"),
        ("role=seller", "422 filter_invalid role"),
        ("user_id=7&role=maker", "422 filter_invalid role"),
        ("user_id=seven", "422 filter_invalid user_id"),
        ("state=locking", "422 filter_invalid state"),
        ("asset=", "422 asset_unknown asset"),
        (&others, "422 cursor_invalid cursor"),
    ] {
        assert_eq!(site.get(&format!("/v1/trades?{query}")).await.refusal(), refusal, "{query}");
    }
    db.verified().await;
}

/// Every job of a history, page by page.
async fn history(site: &Site, path: &str, limit: usize) -> Vec<Value> {
    let (mut jobs, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = site.found(&format!("{path}/history?limit={limit}{cursor}")).await;
        assert_eq!(page["about"], path);
        jobs.extend(page["jobs"].as_array().unwrap().iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return jobs,
        }
    }
}

/// A history as text: a line for each job, and one for each change of an account below it.
fn history_text(jobs: &[Value]) -> String {
    let mut text = String::new();
    for job in jobs {
        let word = |member: &str| job[member].as_str().unwrap_or_default().to_owned();
        let actor = &job["actor"];
        let who = ["user_id", "principal_id"].into_iter().find_map(|member| actor[member].as_str()).unwrap_or_default();
        let by = format!("{} {who}", actor["by"].as_str().unwrap());
        let line = format!(
            "{} {} {} by {} {} {}",
            word("job_id"),
            word("kind"),
            word("event"),
            by.trim(),
            word("state"),
            word("reason")
        );
        writeln!(text, "{}", line.split_whitespace().collect::<Vec<_>>().join(" ")).unwrap();
        for entry in job["entries"].as_array().unwrap() {
            let account = &entry["account"];
            let owner = account["user_id"].as_str().unwrap_or("house");
            let part = |member: &str| entry[member].as_str().unwrap();
            let (what, purpose) = (part("what"), account["purpose"].as_str().unwrap());
            writeln!(text, "  {what:<12} {owner} {purpose}: {} held {}", part("posted"), part("held")).unwrap();
        }
    }
    text
}

/// What a history did to each account: posted and held, by owner and purpose.
fn changes(jobs: &[Value]) -> BTreeMap<(String, String), (i128, i128)> {
    let mut changes: BTreeMap<(String, String), (i128, i128)> = BTreeMap::new();
    for entry in jobs.iter().flat_map(|job| job["entries"].as_array().unwrap()) {
        let account = &entry["account"];
        let owner = account["user_id"].as_str().unwrap_or("house").to_owned();
        let (posted, held) = changes.entry((owner, account["purpose"].as_str().unwrap().to_owned())).or_default();
        *posted += minor(entry["posted"].as_str().unwrap());
        *held += minor(entry["held"].as_str().unwrap());
    }
    changes
}

#[tokio::test]
async fn why_the_money_of_a_trade_is_here() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [referrer] = site.people().await;
    let [seller, buyer] = [(); 2].map(|()| json!({ "referrer_id": referrer.to_string() }));
    let (seller, buyer) = (site.settled("/v1/users", &seller).await, site.settled("/v1/users", &buyer).await);
    site.fund(seller, "btc", "0.9").await;
    let trade = site.settled("/v1/trades", &trade_of(seller, buyer, "btc", "0.5")).await;
    let path = format!("/v1/trades/{trade}");
    let early = site.post(&format!("{path}/release"), &by(seller)).wait(20).answer().await;
    assert_eq!(early.refusal(), "409 wrong_state");
    site.settled(&format!("{path}/extend"), &json!({ "user_id": seller.to_string(), "minutes": 30 })).await;
    site.settled(&format!("{path}/mark-paid"), &by(buyer)).await;
    site.settled(&format!("{path}/release"), &by(seller)).await;
    // A trade beside it is no part of its history.
    site.settled("/v1/trades", &trade_of(seller, buyer, "btc", "0.1")).await;
    until("the commission is paid", async || db.wallet(referrer, "btc").await == "0.00040000").await;
    let jobs = history(&site, &path, 50).await;
    expect![[r#"
        5 lock-escrow by principal 100 settled
          hold_opened  2 wallet: 0.00000000 held 0.50000000
        6 release by user 2 rejected wrong_state
        7 trade-event extend by user 2 settled
        8 timer-expiry by holdfast queued
        9 trade-event mark-paid by user 3 settled
        10 release by user 2 settled
          hold_closed  2 wallet: 0.00000000 held -0.50000000
          trade_settle 2 wallet: -0.49800000 held 0.00000000
          trade_settle 3 wallet: 0.49800000 held 0.00000000
          trade_fee    2 wallet: -0.00200000 held 0.00000000
          trade_fee    house fee: 0.00200000 held 0.00000000
        11 referral-commission by holdfast settled
          commission   house fee: -0.00040000 held 0.00000000
          commission   1 wallet: 0.00040000 held 0.00000000
    "#]]
    .assert_eq(&history_text(&jobs));
    for limit in [1, 2, jobs.len(), jobs.len() + 1] {
        assert_eq!(history(&site, &path, limit).await, jobs, "by {limit}");
    }
    let changes = changes(&jobs);
    assert_eq!(changes.values().map(|(posted, _)| posted).sum::<i128>(), 0, "{changes:?}");
    assert!(changes.values().all(|(_, held)| *held == 0), "{changes:?}");
    let of = |user: i64| changes[&(user.to_string(), "wallet".to_owned())].0;
    assert_eq!((of(seller), of(buyer), of(referrer)), (-50_000_000, 49_800_000, 40_000));
    // What comes while pages are turned comes behind them.
    let first = site.found(&format!("{path}/history?limit=1")).await;
    let late = site.post(&format!("{path}/refund"), &by(buyer)).wait(20).answer().await;
    assert_eq!(late.status, 409);
    let from = first["next_cursor"].as_str().unwrap();
    let rest = site.found(&format!("{path}/history?cursor={from}")).await;
    let rest = rest["jobs"].as_array().unwrap();
    assert_eq!(rest[..rest.len() - 1], jobs[1..]);
    assert_eq!(rest.last().unwrap()["job_id"], late.job().to_string());
    let other = site.get(&format!("/v1/trades/{}/history?cursor={from}", trade + 1)).await;
    assert!(matches!(other.refusal().as_str(), "422 cursor_invalid cursor"), "{other:?}");
    for nothing in ["0", "999999", &seller.to_string()] {
        assert_eq!(site.get(&format!("/v1/trades/{nothing}/history")).await.refusal(), "404 trade_unknown");
    }
    db.verified().await;
}

#[tokio::test]
async fn a_trade_that_expires_is_the_work_of_holdfast() {
    let db = Db::new().await;
    let site = Site::new(&db).await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let trade = db.trade(seller, buyer, "btc", "0.5").await;
    let withdrawn = {
        db.know(seller, 3).await;
        let id = db.ask(withdraw(seller, "btc", "0.1")).await;
        db.drain().await;
        id
    };
    db.pass("3 hours").await;
    db.sweep().await;
    expect![[r#"
        4 lock-escrow by principal 100 settled
          hold_opened  1 wallet: 0.00000000 held 0.50000000
        7 timer-expiry by holdfast settled
        8 refund by holdfast settled
          hold_closed  1 wallet: 0.00000000 held -0.50000000
    "#]]
    .assert_eq(&history_text(&history(&site, &format!("/v1/trades/{trade}"), 50).await));
    let operator = db.another_operator().await;
    let hash = db.content_hash(withdrawn).await;
    assert_eq!(db.done_by(operator, &approve(withdrawn, &hash)).await, "settled");
    db.ask(call_off(withdrawn, buyer)).await;
    db.ask(call_off(withdrawn, seller)).await;
    let waiting = history(&site, &format!("/v1/withdrawals/{withdrawn}"), 50).await;
    assert_eq!(waiting.last().unwrap()["state"], "queued");
    db.drain().await;
    expect![[r#"
        6 withdrawal-request by user 1 settled
          hold_opened  1 wallet: 0.00000000 held 0.10002000
        9 withdrawal-decision approve by principal 103 settled
        10 withdrawal-decision cancel by user 2 rejected not_the_beneficiary
        11 withdrawal-decision cancel by user 1 settled
          hold_closed  1 wallet: 0.00000000 held -0.10002000
    "#]]
    .assert_eq(&history_text(&history(&site, &format!("/v1/withdrawals/{withdrawn}"), 2).await));
    db.verified().await;
}

/// Read by the index and not by every job there ever was: said as the statement says it, and as the
/// role that asks.
#[tokio::test]
async fn a_history_is_read_by_its_index() {
    let db = Db::new().await;
    let text = include_str!("../../api/endpoints/history/rows.rs");
    let (_, rest) = text.split_once("where coalesce(").unwrap();
    let (condition, _) = rest.split_once("\n        ), page").unwrap();
    let condition = format!("coalesce({}", condition.replace("$4", "'7'"));
    let explain = format!("explain (format json) select id from job where {condition}");
    let plan: Value = sqlx::query_scalar(sqlx::AssertSqlSafe(explain)).fetch_one(&db.api).await.unwrap();
    let plan = plan.to_string();
    assert!(plan.contains("coalesce_idx") && plan.contains("Index Cond"), "{plan}");
    assert!(!plan.contains("Seq Scan"), "{plan}");
}
