use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};
use ledger::{Amount, Asset};
use serde_json::{Value, json};

use crate::client::{Answer, Client, id, text};

/// How long a request waits for what comes of it, in seconds.
const WAIT_S: u8 = 30;

/// What a client asks for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Register { referrer: Option<i64> },
    Lock { seller: i64, buyer: i64, asset: Asset, amount: Amount },
    MarkPaid { trade: i64, by: i64 },
    Release { trade: i64, by: i64 },
    Refund { trade: i64, by: i64 },
    Cancel { trade: i64, by: i64 },
    Undo { trade: i64, by: i64 },
    Withdraw { user: i64, asset: Asset, amount: Amount, fee: Amount },
    CallOff { withdrawal: i64, by: i64 },
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Settled,
    /// With the reason.
    Rejected(String),
}

/// A payment that a callback told of and that is to be credited.
#[derive(Clone, Debug)]
pub(crate) struct Deposit {
    pub(crate) payment_id: u64,
    pub(crate) user: i64,
    pub(crate) asset: Asset,
    pub(crate) amount: Amount,
}

/// What was accepted, and what came of it: all that the model is told.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    /// By the id of the job.
    pub(crate) accepted: BTreeMap<i64, Asked>,
    pub(crate) ended: BTreeMap<i64, End>,
    /// Jobs after which nothing was under way before the next was asked for.
    pub(crate) quiet: BTreeSet<i64>,
    pub(crate) deposits: Vec<Deposit>,
    /// The last job before time passed.
    pub(crate) expired_to: Option<i64>,
    /// What the API turned away before it became a job, by code.
    pub(crate) turned_away: BTreeMap<String, u32>,
}

impl Asked {
    /// Asks for it as a request of its own and waits for what comes of it.
    pub(crate) async fn send(&self, client: &Client, key: &str) -> Result<Answer> {
        let by = |user: &i64| json!({ "user_id": user.to_string() });
        let (path, body) = match self {
            Self::Register { .. } => ("/v1/users".to_owned(), self.payload()),
            Self::Lock { .. } => ("/v1/trades".to_owned(), self.payload()),
            Self::MarkPaid { trade, by: user } => (format!("/v1/trades/{trade}/mark-paid"), by(user)),
            Self::Release { trade, by: user } => (format!("/v1/trades/{trade}/release"), by(user)),
            Self::Refund { trade, by: user } => (format!("/v1/trades/{trade}/refund"), by(user)),
            Self::Cancel { trade, by: user } => (format!("/v1/trades/{trade}/cancel"), by(user)),
            Self::Undo { trade, by: user } => (format!("/v1/trades/{trade}/undo"), by(user)),
            Self::Withdraw { .. } => ("/v1/withdrawals".to_owned(), self.payload()),
            Self::CallOff { withdrawal, by: user } => (format!("/v1/withdrawals/{withdrawal}/cancel"), by(user)),
        };
        client.post(&path, key, Some(WAIT_S), &body).await
    }

    /// It as an item of a batch.
    pub(crate) fn item(&self, key: &str) -> Value {
        let kind = match self {
            Self::Register { .. } => "user-register",
            Self::Lock { .. } => "lock-escrow",
            Self::MarkPaid { .. } | Self::Cancel { .. } | Self::Undo { .. } => "trade-event",
            Self::Release { .. } => "release",
            Self::Refund { .. } => "refund",
            Self::Withdraw { .. } => "withdrawal-request",
            Self::CallOff { .. } => "withdrawal-decision",
        };
        json!({ "kind": kind, "key": key, "payload": self.payload() })
    }

    fn payload(&self) -> Value {
        match self {
            Self::Register { referrer: None } => json!({}),
            Self::Register { referrer: Some(referrer) } => json!({ "referrer_id": referrer.to_string() }),
            Self::Lock { seller, buyer, asset, amount } => json!({
                "seller_id": seller.to_string(), "buyer_id": buyer.to_string(), "asset": asset.code,
                "amount": asset.format(*amount), "maker": "seller",
            }),
            Self::MarkPaid { trade, by } => event(*trade, "mark-paid", *by),
            Self::Cancel { trade, by } => event(*trade, "cancel", *by),
            Self::Undo { trade, by } => event(*trade, "undo", *by),
            Self::Withdraw { user, asset, amount, .. } => json!({
                "user_id": user.to_string(), "asset": asset.code, "amount": asset.format(*amount),
                "address": "TDemoDemoDemoDemoDemoDemoDemoDemo1",
            }),
            Self::CallOff { withdrawal, by } => json!({
                "withdrawal_id": withdrawal.to_string(), "decision": "cancel", "user_id": by.to_string(),
            }),
            Self::Release { trade, by } | Self::Refund { trade, by } => {
                json!({ "trade_id": trade.to_string(), "user_id": by.to_string() })
            }
        }
    }
}

fn event(trade: i64, event: &str, by: i64) -> Value {
    json!({ "trade_id": trade.to_string(), "event": event, "user_id": by.to_string() })
}

impl Notes {
    /// Notes the answer to a request of its own.
    pub(crate) fn answered(&mut self, asked: Asked, answer: &Answer) -> Result<()> {
        match answer.job() {
            Some(job) => {
                let id = id(job, "id").with_context(|| format!("a job without an id: {job}"))?;
                self.accepted.insert(id, asked);
                self.read(id, job);
            }
            None => self.turn_away(answer.code()),
        }
        Ok(())
    }

    /// Notes what a job's document tells of its end, if it has ended.
    pub(crate) fn read(&mut self, id: i64, job: &Value) {
        let end = match text(job, "state") {
            "settled" => End::Settled,
            "rejected" => End::Rejected(text(job, "reason").to_owned()),
            _ => return,
        };
        self.ended.insert(id, end);
    }

    /// Notes that everything asked for so far has ended.
    pub(crate) fn quiet(&mut self) {
        self.quiet.extend(self.accepted.last_key_value().map(|(id, _)| *id));
    }

    /// Notes that time has passed by more than anybody has for paying: what was locked so far and
    /// not paid has expired.
    pub(crate) fn time_passed(&mut self) {
        self.expired_to = self.accepted.last_key_value().map(|(id, _)| *id);
    }

    /// Notes what never became a job.
    pub(crate) fn turn_away(&mut self, code: &str) {
        let count = self.turned_away.entry(code.to_owned()).or_default();
        *count = count.saturating_add(1);
    }
}
