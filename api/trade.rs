use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use chrono::{DateTime, Utc};
use jobs::{AnyJob, Assets, Kind, LockEscrow, MakerSide, TradeId};
use ledger::AssetId;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::answers::{Submitted, TradeUnknown};
use crate::app::Api;
use crate::auth::{Reader, Submitter};
use crate::body::{BODY_BYTES_MAX, read_json};
use crate::headers::idempotency_key;
use crate::job::id_in_path;
use crate::params::Asking;
use crate::problem::Problem;
use crate::shape;
use crate::submit::submit;
use crate::texts::{AmountText, AssetCode, CodeText, Id, PathText};
use crate::user::minor;

/// Open a trade
///
/// Sets the amount aside in the seller's wallet. The trade's id is the id of the job.
#[utoipa::path(
    post, path = "/v1/trades", tag = "trades", security(("key" = ["submit"])),
    params(Asking), request_body = LockEscrow, responses(Submitted),
)]
pub(crate) async fn post_trade(
    Submitter(submitter): Submitter,
    State(api): State<Api>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(&headers)?;
    let text = read_json(&headers, body, BODY_BYTES_MAX, api.body_within).await?;
    let payload = shape::read(&text, serde_json::from_str)?;
    submit(&api, submitter, key, &headers, AnyJob::LockEscrow(payload)).await
}

/// Those of the ids that name a trade, be it open, over or still to be opened: the ids of
/// lock-escrow jobs.
pub(crate) async fn known_trades(pool: &PgPool, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else {
        return Ok(Vec::new());
    };
    // The bounds let Postgres leave out partitions that cannot hold any of the ids.
    sqlx::query_scalar!(
        "select id from job where id = any ($1) and id between $3 and $4 and kind = $2",
        ids,
        LockEscrow::NAME,
        first,
        last,
    )
    .fetch_all(pool)
    .await
}

/// 404 for an id that names no trade.
pub(crate) fn unknown() -> Problem {
    Problem::not_found("trade_unknown", "No such trade")
}

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
    opened_at: DateTime<Utc>,
    #[schema(required = false)]
    pay_by: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    extended_at: Option<DateTime<Utc>>,
    undone_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
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
}

impl Links {
    fn of(id: TradeId) -> Self {
        Self { trade: format!("/v1/trades/{id}"), lock: format!("/v1/jobs/{id}") }
    }
}

/// A trade as it stands
#[utoipa::path(
    get, path = "/v1/trades/{id}", tag = "trades", security(("key" = ["read"])),
    params(("id" = TradeId, Path, description = "The trade")),
    responses(
        (status = 200, description = "From the moment that its lock is recorded", body = TradeDocument, example = json!({
            "id": "4", "state": "awaiting_payment", "seller_id": "1", "buyer_id": "2", "asset": "btc",
            "amount": "0.10000000", "maker": "seller", "maker_bps": 20, "taker_bps": 20, "maker_fee": null,
            "taker_fee": null, "opened_at": "2026-01-05T12:00:00.012345Z", "pay_by": "2026-01-05T14:00:00.012345Z",
            "paid_at": null, "closed_at": null, "extended_at": null, "undone_at": null, "ended_at": null, "links": { "self": "/v1/trades/4", "lock": "/v1/jobs/4" },
        })),
        TradeUnknown,
    ),
)]
pub(crate) async fn get_trade(
    _: Reader,
    State(api): State<Api>,
    Path(id): Path<String>,
) -> Result<Json<TradeDocument>, Problem> {
    let id: TradeId = id_in_path(&id, "trade_unknown")?;
    let assets = api.assets.current().await;
    let database = |error: sqlx::Error| Problem::database(&error);
    if let Some(trade) = opened(&api.pool, id, &assets).await.map_err(database)? {
        return Ok(Json(trade));
    }
    if let Some(trade) = asked(&api.pool, id, &assets).await.map_err(database)? {
        return Ok(Json(trade));
    }
    Err(unknown())
}

async fn opened(pool: &PgPool, id: TradeId, assets: &Assets) -> Result<Option<TradeDocument>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select seller_id, buyer_id, asset, amount::text as "amount!", state, maker, maker_bps, taker_bps,
            maker_fee::text, taker_fee::text, opened_at, pay_by, paid_at, closed_at,
            extended_at, undone_at, ended_at
        from trade where id = $1
        "#,
        id.0,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let known = assets.by_id(AssetId::new(row.asset));
    let asset = &known.ok_or_else(|| sqlx::Error::Decode(format!("asset {} is not known", row.asset).into()))?.asset;
    let decimal = |text: &str| minor(text).map(|minor| asset.format_signed(minor));
    Ok(Some(TradeDocument {
        id: id.to_string(),
        state: row.state,
        seller_id: row.seller_id.to_string(),
        buyer_id: row.buyer_id.to_string(),
        asset: asset.code.clone(),
        amount: decimal(&row.amount)?,
        maker: row.maker,
        reason: None,
        terms: Some(Terms {
            maker_bps: row.maker_bps,
            taker_bps: row.taker_bps,
            maker_fee: row.maker_fee.as_deref().map(decimal).transpose()?,
            taker_fee: row.taker_fee.as_deref().map(decimal).transpose()?,
            opened_at: row.opened_at,
            pay_by: row.pay_by,
            paid_at: row.paid_at,
            closed_at: row.closed_at,
            extended_at: row.extended_at,
            undone_at: row.undone_at,
            ended_at: row.ended_at,
        }),
        links: Links::of(id),
    }))
}

/// A trade whose lock was asked for and has not settled.
async fn asked(pool: &PgPool, id: TradeId, assets: &Assets) -> Result<Option<TradeDocument>, sqlx::Error> {
    let row = sqlx::query!(
        r#"
        select j.payload::text as "payload!", x.status as "status?", x.reason as "reason?"
        from job j left join outcome x on x.job_id = $1
        where j.id = $1 and j.kind = $2
        "#,
        id.0,
        LockEscrow::NAME,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    let lock: LockEscrow = serde_json::from_str(&row.payload).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let state = match row.status.as_deref() {
        // Settled between the two looks: the next one finds the trade.
        None | Some("settled") => "locking".to_owned(),
        Some(status) => status.to_owned(),
    };
    // A client may write 0.5 for 0.50000000; the document has one spelling from the beginning.
    let in_scale = assets.by_code(&lock.asset).map(|terms| &terms.asset).and_then(|asset| {
        let amount = asset.parse(&lock.amount).ok()?;
        Some(asset.format(amount))
    });
    Ok(Some(TradeDocument {
        id: id.to_string(),
        state,
        seller_id: lock.seller_id.to_string(),
        buyer_id: lock.buyer_id.to_string(),
        asset: lock.asset,
        amount: in_scale.unwrap_or(lock.amount),
        maker: lock.maker.as_str().to_owned(),
        reason: row.reason,
        terms: None,
        links: Links::of(id),
    }))
}
