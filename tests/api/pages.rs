//! The list of a person's transactions, page by page.

use std::collections::BTreeMap;
use std::fmt::Write;

use expect_test::expect;
use providers::nowpayments::PaymentStatus;
use serde_json::Value;
use simulators::nowpayments::Payment;

use super::{by, trade_of};
use crate::harness::{Db, Site, minor, payment, until};

/// Every page of that many transactions, from a cursor on.
async fn pages(site: &Site, user: i64, limit: usize, query: &str, mut cursor: Option<String>) -> Vec<Value> {
    let mut all = Vec::new();
    loop {
        let from = cursor.map_or_else(String::new, |cursor| format!("&cursor={cursor}"));
        let page = site.found(&format!("/v1/users/{user}/transactions?limit={limit}{query}{from}")).await;
        assert_eq!(page["user_id"], user.to_string());
        let transactions = page["transactions"].as_array().unwrap();
        all.extend(transactions.iter().cloned());
        match page["next_cursor"].as_str() {
            Some(next) => {
                assert_eq!(transactions.len(), limit, "a page that is not the last one is full");
                cursor = Some(next.to_owned());
            }
            None => return all,
        }
    }
}

fn amount(transaction: &Value, of: &str, part: &str) -> i128 {
    minor(transaction[of][part].as_str().unwrap())
}

/// Bitcoin that is partly in an escrow while it is taken back, so that some is owed and repaid;
/// ether that is sold; and bitcoin that is bought.
async fn storied(db: &Db, site: &Site) -> [i64; 2] {
    let [user, other] = site.people().await;
    site.fund(user, "eth", "2").await;
    let paid = payment(user, "btc", "0.5");
    site.told(&paid).await;
    until("0.5 is credited", async || db.wallet(user, "btc").await == "0.50000000").await;
    let given_up = site.settled("/v1/trades", &trade_of(user, other, "btc", "0.2")).await;
    let sold = site.settled("/v1/trades", &trade_of(user, other, "eth", "1.5")).await;
    site.told(&Payment { status: PaymentStatus::Refunded, ..paid }).await;
    until("0.2 is owed", async || db.owed(user, "btc").await == "-0.20000000").await;
    assert_eq!(site.balance(user, "btc").await, "available 0.00000000 of 0.20000000, owed 0.20000000");
    site.settled(&format!("/v1/trades/{given_up}/refund"), &by(other)).await;
    site.settled(&format!("/v1/trades/{sold}/mark-paid"), &by(other)).await;
    site.settled(&format!("/v1/trades/{sold}/release"), &by(user)).await;
    site.fund(user, "btc", "0.05").await;
    site.fund(other, "btc", "0.3").await;
    let bought = site.settled("/v1/trades", &trade_of(other, user, "btc", "0.3")).await;
    site.settled(&format!("/v1/trades/{bought}/mark-paid"), &by(user)).await;
    site.settled(&format!("/v1/trades/{bought}/release"), &by(other)).await;
    [user, other]
}

/// A list as text, a transaction a line: job, what, account, change, what it left, and the trade.
fn list_text(transactions: &[Value]) -> String {
    let mut text = String::new();
    for row in transactions {
        let part = |of: &str, part: &str| row[of][part].as_str().unwrap();
        let word = |member: &str| row[member].as_str().unwrap_or_default();
        let (posted, held) = (part("change", "posted"), part("change", "held"));
        let change = if minor(held) == 0 { posted.to_owned() } else { format!("{posted} held {held}") };
        let line = format!(
            "{:<3} {:<14} {:<18} {:<10} {:<4} {change} -> {} held {} {}",
            word("job_id"),
            word("job_kind"),
            word("what"),
            word("account"),
            word("asset"),
            part("balance", "posted"),
            part("balance", "held"),
            word("trade_id"),
        );
        writeln!(text, "{}", line.trim_end()).unwrap();
    }
    text
}

#[tokio::test]
async fn the_newest_comes_first_and_says_what_it_was() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, _] = storied(&db, &site).await;
    expect![[r#"
        15  release        trade_settle       wallet     btc  0.29880000 -> 0.34880000 held 0.00000000 13
        11  deposit-credit deposit            wallet     btc  0.05000000 -> 0.05000000 held 0.00000000
        10  release        trade_fee          wallet     eth  -0.006000000000000000 -> 0.500000000000000000 held 0.000000000000000000 6
        10  release        trade_settle       wallet     eth  -1.494000000000000000 -> 0.506000000000000000 held 0.000000000000000000 6
        10  release        hold_closed        wallet     eth  0.000000000000000000 held -1.500000000000000000 -> 2.000000000000000000 held 0.000000000000000000 6
        8   refund         receivable_repay   wallet     btc  -0.20000000 -> 0.00000000 held 0.00000000 5
        8   refund         hold_closed        wallet     btc  0.00000000 held -0.20000000 -> 0.20000000 held 0.00000000 5
        8   refund         receivable_repay   receivable btc  0.20000000 -> 0.00000000 held 0.00000000 5
        7   deposit-credit clawback           wallet     btc  -0.30000000 -> 0.20000000 held 0.20000000
        7   deposit-credit clawback_shortfall receivable btc  -0.20000000 -> -0.20000000 held 0.00000000
        6   lock-escrow    hold_opened        wallet     eth  0.000000000000000000 held 1.500000000000000000 -> 2.000000000000000000 held 1.500000000000000000 6
        5   lock-escrow    hold_opened        wallet     btc  0.00000000 held 0.20000000 -> 0.50000000 held 0.20000000 5
        4   deposit-credit deposit            wallet     btc  0.50000000 -> 0.50000000 held 0.00000000
        3   deposit-credit deposit            wallet     eth  2.000000000000000000 -> 2.000000000000000000 held 0.000000000000000000
    "#]].assert_eq(&list_text(&pages(&site, user, 50, "", None).await));
    db.verified().await;
}

#[tokio::test]
async fn the_pages_add_up_to_the_balances_whatever_their_size() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, other] = storied(&db, &site).await;
    for user in [user, other] {
        let whole = pages(&site, user, 200, "", None).await;
        assert!(whole.len() > 5);
        for limit in [1, 2, 3, 7, whole.len(), whole.len() + 1] {
            assert_eq!(pages(&site, user, limit, "", None).await, whole, "pages of {limit}");
        }
        let newest_first = whole.windows(2).all(|pair| pair[0]["at"].as_str() >= pair[1]["at"].as_str());
        assert!(newest_first, "{whole:#?}");
        // From the oldest on, every change leads from one balance to the next.
        let mut accounts: BTreeMap<(String, String), (i128, i128)> = BTreeMap::new();
        for transaction in whole.iter().rev() {
            let text = |member: &str| transaction[member].as_str().unwrap().to_owned();
            let (posted, held) = accounts.entry((text("asset"), text("account"))).or_default();
            *posted += amount(transaction, "change", "posted");
            *held += amount(transaction, "change", "held");
            assert_eq!(
                (*posted, *held),
                (amount(transaction, "balance", "posted"), amount(transaction, "balance", "held"))
            );
            assert_eq!(amount(transaction, "balance", "available"), *posted - *held);
            assert_eq!(db.outcome(text("job_id").parse().unwrap()).await, "settled");
        }
        let documents = site.found(&format!("/v1/users/{user}/balances")).await;
        for balance in documents["balances"].as_array().unwrap() {
            let part = |name: &str| minor(balance[name].as_str().unwrap());
            let asset = balance["asset"].as_str().unwrap().to_owned();
            let wallet = accounts.remove(&(asset.clone(), "wallet".to_owned())).unwrap_or_default();
            assert_eq!(wallet, (part("posted"), part("held")), "{asset}");
            let (owed, _) = accounts.remove(&(asset.clone(), "receivable".to_owned())).unwrap_or_default();
            assert_eq!(-owed, part("owed"), "{asset}");
        }
        assert!(accounts.is_empty(), "accounts without a balance: {accounts:?}");
        let bitcoin = pages(&site, user, 2, "&asset=btc", None).await;
        let expected: Vec<Value> = whole.iter().filter(|row| row["asset"] == "btc").cloned().collect();
        assert_eq!(bitcoin, expected);
        assert_eq!(pages(&site, user, 2, "&asset=doge", None).await, [] as [Value; 0]);
    }
    assert_eq!(site.balance(user, "btc").await, "available 0.34880000 of 0.34880000, owed 0.00000000");
    db.verified().await;
}

#[tokio::test]
async fn what_comes_while_pages_are_turned_shifts_nothing() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, other] = storied(&db, &site).await;
    let before = pages(&site, user, 200, "", None).await;
    let first = site.found(&format!("/v1/users/{user}/transactions?limit=3")).await;
    let bought = site.settled("/v1/trades", &trade_of(other, user, "eth", "0.1")).await;
    site.fund(user, "doge", "5").await;
    site.settled(&format!("/v1/trades/{bought}/mark-paid"), &by(user)).await;
    site.settled(&format!("/v1/trades/{bought}/release"), &by(other)).await;
    let mut read = first["transactions"].as_array().unwrap().clone();
    read.extend(pages(&site, user, 3, "", first["next_cursor"].as_str().map(str::to_owned)).await);
    assert_eq!(read, before);
    assert_eq!(pages(&site, user, 200, "", None).await.len(), before.len() + 2);
    db.verified().await;
}

#[tokio::test]
async fn a_page_that_cannot_be_asked_for() {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [user, other] = storied(&db, &site).await;
    let path = format!("/v1/users/{other}/transactions");
    let page = site.found(&format!("/v1/users/{user}/transactions?limit=1")).await;
    let others_cursor = format!("cursor={}", page["next_cursor"].as_str().unwrap());
    let page = site.found(&format!("{path}?limit=1")).await;
    let own_cursor = page["next_cursor"].as_str().unwrap();
    // Each account twice: what follows the first byte is a list of places.
    let doubled_cursor = format!("cursor={own_cursor}{}", &own_cursor[2..]);
    for (query, refusal) in [
        ("limit=0", "400 query_invalid limit"),
        ("limit=201", "400 query_invalid limit"),
        ("limit=65537", "400 query_invalid"),
        ("limit=-1", "400 query_invalid"),
        ("limit=ten", "400 query_invalid"),
        ("limit=1&limit=2", "400 query_invalid"),
        ("offset=1", "400 query_invalid"),
        ("cursor=", "422 cursor_invalid cursor"),
        ("cursor=00", "422 cursor_invalid cursor"),
        ("cursor=nonsense", "422 cursor_invalid cursor"),
        (&others_cursor, "422 cursor_invalid cursor"),
        (&doubled_cursor, "422 cursor_invalid cursor"),
        ("asset=xmr", "422 asset_unknown asset"),
        ("asset=", "422 asset_unknown asset"),
        ("asset=%00", "422 asset_unknown asset"),
    ] {
        assert_eq!(site.get(&format!("{path}?{query}")).await.refusal(), refusal, "{query}");
    }
    for nobody in ["0", "01", "-1", "x", "999999", "9223372036854775808", "%00"] {
        for list in ["transactions", "balances"] {
            assert_eq!(site.get(&format!("/v1/users/{nobody}/{list}")).await.refusal(), "404 user_unknown", "{nobody}");
        }
    }
}
