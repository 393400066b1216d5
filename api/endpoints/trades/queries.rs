//! Trades as clients see them: one, or a list.

use axum::Json;
use axum::extract::State;
use jobs::machines::trade::TradeState;
use jobs::{Assets, Kind, LockEscrow, TradeId, UserId};
use ledger::Asset;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::texts::{AssetCode, CodeText, Id};
use crate::endpoints::history::{HistoryDocument, history};
use crate::endpoints::trades::document::{Row, TradeDocument};
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Page, Turned};
use crate::http::path::{InPath, Thing};
use crate::http::problem::Problem;
use crate::http::query::{InQuery, asset_in_query, user_in_query, word_in_query};
use crate::openapi::answers::{PayloadDropped, QueryRefused, TradeUnknown};
use crate::state::Api;

/// Get a trade
///
/// As it stands.
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
    let opened = rows(&api.pool, &Trades::default(), &[id.0], 1).await?;
    if let Some(row) = opened.into_iter().next() {
        return Ok(Json(row.document(&assets)?));
    }
    if let Some(trade) = asked(&api.pool, id, &assets).await? {
        return Ok(Json(trade));
    }
    Err(TradeId::unknown())
}

/// Get the history of a trade
///
/// Everything about it: the lock, events, timers, release, refund and commissions, with what
/// each did to whose account: the changes of all of them together are why the money is where it
/// is.
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

/// List trades
///
/// Newest first. Those that were opened: a lock that has not settled, or was refused, is found by its id.
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
    let list = Trades {
        user: user_in_query(wanted.user_id.as_deref())?,
        role: word_in_query("role", wanted.role.as_deref(), &["seller", "buyer"])?,
        state: word_in_query("state", wanted.state.as_deref(), &TradeState::ALL.map(TradeState::as_str))?,
        asset: asset_in_query(&assets, wanted.asset.as_deref())?,
    };
    if list.role.is_some() && list.user.is_none() {
        return Err(Problem::invalid("filter_invalid", "role needs user_id: whose role it is").field("role"));
    }
    let page = Page::of(list, wanted.limit, wanted.cursor.as_deref())?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let trades = rows.into_iter().map(|row| row.document(&assets)).collect::<Result<_, _>>()?;
    Ok(Json(TradesDocument { trades, next_cursor }))
}

/// Trades that were opened.
#[derive(Clone, Copy, Debug, Default)]
struct Trades<'a> {
    user: Option<UserId>,
    role: Option<&'a str>,
    state: Option<&'a str>,
    asset: Option<&'a Asset>,
}

impl List for Trades<'_> {
    type Row = Row;
    type Place = i64;

    fn name(&self) -> ListName {
        let asset = self.asset.map(|asset| &asset.code);
        ListName::of("trades").with(self.user).with(self.role).with(self.state).with(asset)
    }

    async fn read(&self, pool: &PgPool, from: Option<i64>, limit: Limit) -> Result<(Vec<Row>, Option<i64>), Problem> {
        let max = limit.looked_at_max(self.state.is_some() || self.asset.is_some());
        let ids = places(pool, self, from.unwrap_or(i64::MAX), max).await?;
        let rows = rows(pool, self, &ids, limit.rows_max()).await?;
        Ok(limit.cut_of_looked_at(rows, |row| row.id, &ids, max))
    }
}

/// The newest trades before an id: of everybody, or of the person in their role. Nobody trades with
/// themselves, so no trade comes twice.
async fn places(pool: &PgPool, list: &Trades<'_>, before: i64, max: i64) -> Result<Vec<i64>, sqlx::Error> {
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
        list.user.map(|user| user.0),
        list.role,
        before,
        max,
    )
    .fetch_all(pool)
    .await
}

/// Those of the trades that the filter lets through, newest first.
async fn rows(pool: &PgPool, list: &Trades<'_>, ids: &[i64], max: i64) -> Result<Vec<Row>, sqlx::Error> {
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
        list.state,
        list.asset.map(|asset| asset.id.get()),
        max,
    )
    .fetch_all(pool)
    .await
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
    Ok(Some(TradeDocument::asked(id, lock, row.status.as_deref(), row.reason, assets)))
}
