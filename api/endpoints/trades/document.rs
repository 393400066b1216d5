//! A trade as clients see it.

use chrono::{DateTime, Utc};
use jobs::{Assets, LockEscrow, MakerSide, TradeId};
use serde::Serialize;
use utoipa::ToSchema;

use crate::documents::amounts::{asset_of, minor, one_spelling};
use crate::documents::texts::{AmountText, AssetCode, CodeText, Id, PathText};
use crate::documents::time::Time;

/// A trade as a client sees it. Amounts are decimal text in the asset's scale.
///
/// It is there from the moment its lock is recorded: `locking` until that has settled, then the
/// trade's own state, or `rejected` or `cancelled` with the reason if it never came to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trade)]
pub(crate) struct TradeDocument {
    #[schema(value_type = Id)]
    id: String,
    #[schema(value_type = CodeText)]
    state: String,
    #[schema(value_type = Id)]
    seller_id: String,
    #[schema(value_type = Id)]
    buyer_id: String,
    #[schema(value_type = AssetCode)]
    asset: String,
    #[schema(value_type = AmountText)]
    amount: String,
    #[schema(value_type = MakerSide)]
    maker: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CodeText)]
    reason: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Terms)]
    terms: Option<Terms>,
    links: Links,
}

/// What is known of a trade once it is open.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TradeTerms)]
struct Terms {
    /// The maker's fee, in basis points.
    #[schema(required = false)]
    maker_bps: i16,
    /// The taker's fee, in basis points.
    #[schema(required = false)]
    taker_bps: i16,
    maker_fee: Option<String>,
    taker_fee: Option<String>,
    #[schema(required = false)]
    opened_at: Time,
    #[schema(required = false)]
    pay_by: Time,
    paid_at: Option<Time>,
    closed_at: Option<Time>,
    extended_at: Option<Time>,
    undone_at: Option<Time>,
    ended_at: Option<Time>,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TradeLinks)]
struct Links {
    #[serde(rename = "self")]
    #[schema(value_type = PathText)]
    trade: String,
    /// The job that opened it.
    #[schema(value_type = PathText)]
    lock: String,
    /// Every job about it, with what it did to whose money.
    #[schema(value_type = PathText)]
    history: String,
}

impl Links {
    fn of(id: TradeId) -> Self {
        Self {
            trade: format!("/v1/trades/{id}"),
            lock: format!("/v1/jobs/{id}"),
            history: format!("/v1/trades/{id}/history"),
        }
    }
}

/// A trade as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) id: i64,
    pub(crate) seller_id: i64,
    pub(crate) buyer_id: i64,
    pub(crate) asset: i16,
    pub(crate) amount: String,
    pub(crate) state: String,
    pub(crate) maker: String,
    pub(crate) maker_bps: i16,
    pub(crate) taker_bps: i16,
    pub(crate) maker_fee: Option<String>,
    pub(crate) taker_fee: Option<String>,
    pub(crate) opened_at: DateTime<Utc>,
    pub(crate) pay_by: DateTime<Utc>,
    pub(crate) paid_at: Option<DateTime<Utc>>,
    pub(crate) closed_at: Option<DateTime<Utc>>,
    pub(crate) extended_at: Option<DateTime<Utc>>,
    pub(crate) undone_at: Option<DateTime<Utc>>,
    pub(crate) ended_at: Option<DateTime<Utc>>,
}

impl Row {
    pub(crate) fn document(self, assets: &Assets) -> Result<TradeDocument, sqlx::Error> {
        let asset = asset_of(assets, self.asset)?;
        let decimal = |text: &str| minor(text).map(|minor| asset.format_signed(minor));
        Ok(TradeDocument {
            id: self.id.to_string(),
            state: self.state,
            seller_id: self.seller_id.to_string(),
            buyer_id: self.buyer_id.to_string(),
            asset: asset.code.clone(),
            amount: decimal(&self.amount)?,
            maker: self.maker,
            reason: None,
            terms: Some(Terms {
                maker_bps: self.maker_bps,
                taker_bps: self.taker_bps,
                maker_fee: self.maker_fee.as_deref().map(decimal).transpose()?,
                taker_fee: self.taker_fee.as_deref().map(decimal).transpose()?,
                opened_at: self.opened_at.into(),
                pay_by: self.pay_by.into(),
                paid_at: self.paid_at.map(Time::from),
                closed_at: self.closed_at.map(Time::from),
                extended_at: self.extended_at.map(Time::from),
                undone_at: self.undone_at.map(Time::from),
                ended_at: self.ended_at.map(Time::from),
            }),
            links: Links::of(TradeId(self.id)),
        })
    }
}

impl TradeDocument {
    /// A trade whose lock was asked for and has not settled, or was refused.
    pub(crate) fn asked(
        id: TradeId,
        lock: LockEscrow,
        status: Option<&str>,
        reason: Option<String>,
        assets: &Assets,
    ) -> Self {
        let state = match status {
            // Settled between the two looks: the next one finds the trade.
            None | Some("settled") => "locking".to_owned(),
            Some(status) => status.to_owned(),
        };
        Self {
            id: id.to_string(),
            state,
            seller_id: lock.seller_id.to_string(),
            buyer_id: lock.buyer_id.to_string(),
            amount: one_spelling(assets, &lock.asset, lock.amount),
            asset: lock.asset,
            maker: lock.maker.as_str().to_owned(),
            reason,
            terms: None,
            links: Links::of(id),
        }
    }
}
