//! The HTTP API as a client meets it: served on a loopback port, against a database of its own,
//! with a real worker behind it where something is to settle.

mod access;
mod batch;
mod bounds;
mod callbacks;
mod crowds;
mod described;
mod edge;
mod exports;
mod histories;
mod hostile;
mod inbox;
mod input;
mod keys;
mod matrix;
mod money;
mod pages;
mod people;
mod rates;
mod recordings;
mod waiting;
mod withdrawals;

use serde_json::{Value, json};

use crate::harness::{Db, Site};

/// The body that asks for a trade that the seller offered.
fn trade_of(seller: i64, buyer: i64, asset: &str, amount: &str) -> Value {
    json!({
        "seller_id": seller.to_string(), "buyer_id": buyer.to_string(), "asset": asset, "amount": amount,
        "maker": "seller",
    })
}

/// The body of everything that somebody does to a trade.
fn by(user: i64) -> Value {
    json!({ "user_id": user.to_string() })
}

/// Two people, the first of whom has an amount of bitcoin.
async fn seller_and_buyer(site: &Site, amount: &str) -> [i64; 2] {
    let [seller, buyer] = site.people().await;
    site.fund(seller, "btc", amount).await;
    [seller, buyer]
}

/// A site with a worker, and a trade of 0.5 of 0.9 bitcoin that awaits payment.
async fn with_trade() -> (Db, Site, [i64; 2], i64) {
    let db = Db::new().await;
    let site = Site::working(&db).await;
    let [seller, buyer] = seller_and_buyer(&site, "0.9").await;
    let trade = site.settled("/v1/trades", &trade_of(seller, buyer, "btc", "0.5")).await;
    (db, site, [seller, buyer], trade)
}
