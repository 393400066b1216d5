//! Trades as clients see them: one, or a list.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::machines::trade::TradeState;
use jobs::{Assets, Kind, LockEscrow, MakerSide, TradeId, UserId};
use ledger::AssetId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::amounts::{asset_of, minor, one_spelling};
use crate::documents::texts::{AmountText, AssetCode, CodeText, Id, PathText};
use crate::documents::time::Time;
use crate::endpoints::history::{HistoryDocument, history};
use crate::http::auth::Reader;
use crate::http::paging::Page;
use crate::http::paging::Turned;
use crate::http::path::{InPath, Thing};
use crate::http::problem::Problem;
use crate::http::query::InQuery;
use crate::http::query::{asset_in_query, user_in_query, word_in_query};
use crate::openapi::answers::{PayloadDropped, QueryRefused, TradeUnknown};
use crate::state::Api;

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

/// A trade as it stands
#[utoipa::path(
    get, path = "/v1/trades/{id}", tag = "trades", security(("key" = ["read"])),
    params(("id" = TradeId, Path, description = "The trade")),
    responses(
        (status = 200, description = "From the moment that its lock is recorded", body = TradeDocument, example = json!({
            "id": "4", "state": "awaiting_payment", "seller_id": "1", "buyer_id": "2", "asset": "btc",
            "amount": "0.10000000", "maker": "seller", "maker_bps": 20, "taker_bps": 20, "maker_fee": null,
            "taker_fee": null, "opened_at": "2026-01-05T12:00:00.012345Z", "pay_by": "2026-01-05T14:00:00.012345Z",
            "paid_at": null, "closed_at": null, "extended_at": null, "undone_at": null, "ended_at": null,
            "links": { "self": "/v1/trades/4", "lock": "/v1/jobs/4", "history": "/v1/trades/4/history" },
        })),
        TradeUnknown, PayloadDropped,
    ),
)]
pub(crate) async fn get_trade(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<TradeId>,
) -> Result<Json<TradeDocument>, Problem> {
    let assets = api.assets.current().await;
    let opened = rows(&api.pool, &Filter::default(), &[id.0], 1).await?;
    if let Some(row) = opened.into_iter().next() {
        return Ok(Json(row.document(&assets)?));
    }
    if let Some(trade) = asked(&api.pool, id, &assets).await? {
        return Ok(Json(trade));
    }
    Err(TradeId::unknown())
}

/// Everything about a trade
///
/// The lock, events, timers, release, refund and commissions, with what each did to whose account:
/// the changes of all of them together are why the money is where it is.
#[utoipa::path(
    get, path = "/v1/trades/{id}/history", tag = "trades", security(("key" = ["read"])),
    params(("id" = TradeId, Path, description = "The trade"), Turned),
    responses(
        (status = 200, description = "One page, oldest first", body = HistoryDocument, example = json!({
            "about": "/v1/trades/4", "jobs": [{
                "job_id": "4", "kind": "lock-escrow", "event": null,
                "actor": { "by": "principal", "principal_id": "100" },
                "principal": { "id": "100", "name": "tests" }, "caused_by": null,
                "received_at": "2026-01-05T12:00:00.012345Z", "finished_at": "2026-01-05T12:00:00.013579Z",
                "state": "settled", "reason": null, "entries": [{
                    "account": { "user_id": "1", "purpose": "wallet", "asset": "btc" }, "what": "hold_opened",
                    "posted": "0.00000000", "held": "0.10000000",
                }],
            }], "next_cursor": null,
        })),
        QueryRefused, TradeUnknown,
    ),
)]
pub(crate) async fn get_trade_history(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<TradeId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<HistoryDocument>, Problem> {
    history(&api, id, format!("/v1/trades/{id}"), &query).await
}

/// What a client asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only those in which this person sells or buys.
    #[param(value_type = Option<Id>, nullable = false)]
    user_id: Option<String>,
    /// Only those in which the person is the `seller` or the `buyer`; needs `user_id`.
    #[param(value_type = Option<CodeText>, nullable = false)]
    role: Option<String>,
    /// Only those in this state: `awaiting_payment`, `paid`, `released`, `refunded`, `cancelled` or
    /// `expired`.
    #[param(value_type = Option<CodeText>, nullable = false)]
    state: Option<String>,
    /// Only those of this asset.
    #[param(value_type = Option<AssetCode>, nullable = false)]
    asset: Option<String>,
    /// How many at most; 50 unless said otherwise.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

/// One page, newest first; `next_cursor` is null on the last one. A page may have fewer trades than
/// the limit, even none, and not be the last one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Trades)]
pub(crate) struct TradesDocument {
    trades: Vec<TradeDocument>,
    next_cursor: Option<String>,
}

/// Trades, newest first
///
/// Those that were opened: a lock that has not settled, or was refused, is found by its id.
#[utoipa::path(
    get, path = "/v1/trades", tag = "trades", security(("key" = ["read"])), params(Wanted),
    responses((status = 200, description = "One page", body = TradesDocument), QueryRefused),
)]
pub(crate) async fn get_trades(
    _: Reader,
    State(api): State<Api>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<TradesDocument>, Problem> {
    let assets = api.assets.current().await;
    let texts = [&wanted.user_id, &wanted.role, &wanted.state, &wanted.asset].map(Option::as_deref);
    let [user, role, state, asset] = texts;
    let filter = Filter {
        user: user_in_query(user)?,
        role: word_in_query("role", role, &["seller", "buyer"])?,
        state: word_in_query("state", state, &TradeState::ALL.map(TradeState::as_str))?,
        asset: asset_in_query(&assets, asset)?,
    };
    if filter.role.is_some() && filter.user.is_none() {
        return Err(Problem::invalid("filter_invalid", "role needs user_id: whose role it is").field("role"));
    }
    let [user, role, state, asset] = texts.map(Option::unwrap_or_default);
    let page = Page::read(wanted.limit, wanted.cursor.as_deref(), &["trades", user, role, state, asset])?;
    let looked_at_max = page.looked_at_max(filter.state.is_some() || filter.asset.is_some());
    let looked_at = places(&api.pool, &filter, page.before(), looked_at_max).await?;
    let mut rows = rows(&api.pool, &filter, &looked_at, page.rows_max()).await?;
    let next_cursor = page.cut_of_looked_at(&mut rows, |row| row.id, &looked_at, looked_at_max);
    let trades = rows.into_iter().map(|row| row.document(&assets)).collect::<Result<_, _>>()?;
    Ok(Json(TradesDocument { trades, next_cursor }))
}

#[derive(Clone, Copy, Debug, Default)]
struct Filter<'a> {
    user: Option<UserId>,
    role: Option<&'a str>,
    state: Option<&'a str>,
    asset: Option<AssetId>,
}

/// The newest trades before an id: of everybody, or of the person in their role. Nobody trades with
/// themselves, so no trade comes twice.
async fn places(pool: &PgPool, filter: &Filter<'_>, before: i64, max: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select p.id as "id!" from (
            (select id from trade where $1::bigint is null and id < $3 order by id desc limit $4)
            union all
            (select id from trade where seller_id = $1 and $2::text is distinct from 'buyer' and id < $3
                order by id desc limit $4)
            union all
            (select id from trade where buyer_id = $1 and $2::text is distinct from 'seller' and id < $3
                order by id desc limit $4)
        ) p
        order by p.id desc
        limit $4
        "#,
        filter.user.map(|user| user.0),
        filter.role,
        before,
        max,
    )
    .fetch_all(pool)
    .await
}

/// A trade as it is stored.
#[derive(Debug)]
struct Row {
    id: i64,
    seller_id: i64,
    buyer_id: i64,
    asset: i16,
    amount: String,
    state: String,
    maker: String,
    maker_bps: i16,
    taker_bps: i16,
    maker_fee: Option<String>,
    taker_fee: Option<String>,
    opened_at: DateTime<Utc>,
    pay_by: DateTime<Utc>,
    paid_at: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    extended_at: Option<DateTime<Utc>>,
    undone_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

/// Those of the trades that the filter lets through, newest first.
async fn rows(pool: &PgPool, filter: &Filter<'_>, ids: &[i64], max: i64) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select id, seller_id, buyer_id, asset, amount::text as "amount!", state, maker, maker_bps, taker_bps,
            maker_fee::text, taker_fee::text, opened_at, pay_by, paid_at, closed_at,
            extended_at, undone_at, ended_at
        from trade
        where id = any ($1) and ($2::text is null or state = $2) and ($3::smallint is null or asset = $3)
        order by id desc
        limit $4
        "#,
        ids,
        filter.state,
        filter.asset.map(AssetId::get),
        max,
    )
    .fetch_all(pool)
    .await
}

impl Row {
    fn document(self, assets: &Assets) -> Result<TradeDocument, sqlx::Error> {
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

/// A trade whose lock was asked for and has not settled.
async fn asked(pool: &PgPool, id: TradeId, assets: &Assets) -> Result<Option<TradeDocument>, Problem> {
    let row = sqlx::query!(
        r#"
        select j.payload::text as "payload!", x.status as "status?", x.reason as "reason?",
            (select g.detached_at from retention g where g.part = j.id >> 24) as "payload_dropped_at?"
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
    if let Some(at) = row.payload_dropped_at {
        return Err(Problem::payload_dropped(id.0, at));
    }
    let lock: LockEscrow = serde_json::from_str(&row.payload).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let state = match row.status.as_deref() {
        // Settled between the two looks: the next one finds the trade.
        None | Some("settled") => "locking".to_owned(),
        Some(status) => status.to_owned(),
    };
    Ok(Some(TradeDocument {
        id: id.to_string(),
        state,
        seller_id: lock.seller_id.to_string(),
        buyer_id: lock.buyer_id.to_string(),
        amount: one_spelling(assets, &lock.asset, lock.amount),
        asset: lock.asset,
        maker: lock.maker.as_str().to_owned(),
        reason: row.reason,
        terms: None,
        links: Links::of(id),
    }))
}
