//! Withdrawals as clients see them: one, or a list.

use axum::Json;
use axum::extract::State;
use jobs::machines::withdrawal::WithdrawalState;
use jobs::{Assets, Kind, UserId, WithdrawalId, WithdrawalRequest};
use ledger::Asset;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::texts::{AssetCode, CodeText, Id};
use crate::endpoints::history::{HistoryDocument, history};
use crate::endpoints::withdrawals::document::{Row, WithdrawalDocument};
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Page, Turned};
use crate::http::path::{InPath, Thing};
use crate::http::problem::Problem;
use crate::http::query::{InQuery, asset_in_query, user_in_query, word_in_query};
use crate::openapi::answers::{PayloadDropped, QueryRefused, WithdrawalUnknown};
use crate::state::Api;

/// Get a withdrawal
///
/// As it stands.
#[utoipa::path(
    get, path = "/v1/withdrawals/{id}", tag = "withdrawals", security(("key" = ["read"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal")),
    responses(
        (status = 200, description = "From the moment that its request is recorded", body = WithdrawalDocument,
            example = json!({
                "id": "7", "state": "awaiting_approval", "user_id": "1", "requested_by": "100", "asset": "btc",
                "amount": "0.05000000", "address": "bc1qar0srrr7xfkvy5l643lydnw9re59gtzzwf5mdq", "memo": null,
                "rail": "crypto", "network": "bitcoin", "fee": "0.00002000", "network_fee_max": "0.00010000",
                "content_hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
                "approvals_needed": 2, "approvals": [{
                    "approver": "101", "at": "2026-01-05T12:10:00.012345Z",
                    "valid_until": "2026-01-06T12:10:00.012345Z", "valid": true,
                }],
                "requested_at": "2026-01-05T12:00:00.012345Z", "approved_at": null, "approved_until": null,
                "closed_at": null, "close_reason": null,
                "links": {
                    "self": "/v1/withdrawals/7", "request": "/v1/jobs/7", "history": "/v1/withdrawals/7/history",
                    "user": "/v1/users/1",
                },
            })),
        WithdrawalUnknown, PayloadDropped,
    ),
)]
pub(crate) async fn get_withdrawal(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<WithdrawalId>,
) -> Result<Json<WithdrawalDocument>, Problem> {
    let assets = api.assets.current().await;
    let held = rows(&api.pool, &Withdrawals::default(), &[id.0], 1).await?;
    if let Some(row) = held.into_iter().next() {
        return Ok(Json(row.document(&assets)?));
    }
    asked(&api.pool, id, &assets).await?.map(Json).ok_or_else(WithdrawalId::unknown)
}

/// Get the history of a withdrawal
///
/// Everything about it: the request and every decision, with what each did to whose account.
#[utoipa::path(
    get, path = "/v1/withdrawals/{id}/history", tag = "withdrawals", security(("key" = ["read"])),
    params(("id" = WithdrawalId, Path, description = "The withdrawal"), Turned),
    responses(
        (status = 200, description = "One page, oldest first", body = HistoryDocument), QueryRefused, WithdrawalUnknown,
    ),
)]
pub(crate) async fn get_withdrawal_history(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<WithdrawalId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<HistoryDocument>, Problem> {
    history(&api, id, format!("/v1/withdrawals/{id}"), &query).await
}

/// What a client asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// Only this person's.
    #[param(value_type = Option<Id>, nullable = false)]
    user_id: Option<String>,
    /// Only those in this state: `awaiting_approval`, `approved`, `rejected` or `cancelled`.
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

/// One page, newest first; `next_cursor` is null on the last one. A page may have fewer withdrawals
/// than the limit, even none, and not be the last one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawals)]
pub(crate) struct WithdrawalsDocument {
    withdrawals: Vec<WithdrawalDocument>,
    next_cursor: Option<String>,
}

/// List withdrawals
///
/// Newest first. Those whose money was held: a request that has not settled, or was refused, is
/// found by its id.
#[utoipa::path(
    get, path = "/v1/withdrawals", tag = "withdrawals", security(("key" = ["read"])), params(Wanted),
    responses((status = 200, description = "One page", body = WithdrawalsDocument), QueryRefused),
)]
pub(crate) async fn get_withdrawals(
    _: Reader,
    State(api): State<Api>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<WithdrawalsDocument>, Problem> {
    let assets = api.assets.current().await;
    let list = Withdrawals {
        user: user_in_query(wanted.user_id.as_deref())?,
        state: word_in_query("state", wanted.state.as_deref(), &WithdrawalState::ALL.map(WithdrawalState::as_str))?,
        asset: asset_in_query(&assets, wanted.asset.as_deref())?,
    };
    let page = Page::of(list, wanted.limit, wanted.cursor.as_deref())?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let withdrawals = rows.into_iter().map(|row| row.document(&assets)).collect::<Result<_, _>>()?;
    Ok(Json(WithdrawalsDocument { withdrawals, next_cursor }))
}

/// Withdrawals whose money was held.
#[derive(Clone, Copy, Debug, Default)]
struct Withdrawals<'a> {
    user: Option<UserId>,
    state: Option<&'a str>,
    asset: Option<&'a Asset>,
}

impl List for Withdrawals<'_> {
    type Row = Row;
    type Place = i64;

    fn name(&self) -> ListName {
        ListName::of("withdrawals").with(self.user).with(self.state).with(self.asset.map(|asset| &asset.code))
    }

    async fn read(&self, pool: &PgPool, from: Option<i64>, limit: Limit) -> Result<(Vec<Row>, Option<i64>), Problem> {
        let leaves_out = self.asset.is_some() || (self.user.is_some() && self.state.is_some());
        let max = limit.looked_at_max(leaves_out);
        let ids = places(pool, self, from.unwrap_or(i64::MAX), max).await?;
        let rows = rows(pool, self, &ids, limit.rows_max()).await?;
        Ok(limit.cut_of_looked_at(rows, |row| row.id, &ids, max))
    }
}

/// The newest withdrawals before an id, by the one index that serves the filter best.
async fn places(pool: &PgPool, list: &Withdrawals<'_>, before: i64, max: i64) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        select p.id as "id!" from (
            (select id from withdrawal where $1::bigint is null and $2::text is null and id < $3
                order by id desc limit $4)
            union all
            (select id from withdrawal where $1::bigint is null and state = $2 and id < $3 order by id desc limit $4)
            union all
            (select id from withdrawal where user_id = $1 and id < $3 order by id desc limit $4)
        ) p
        order by p.id desc
        "#,
        list.user.map(|user| user.0),
        list.state,
        before,
        max,
    )
    .fetch_all(pool)
    .await
}

/// Those of the withdrawals that the filter lets through, newest first. One statement, so that
/// states and approvals are of one moment.
async fn rows(pool: &PgPool, list: &Withdrawals<'_>, ids: &[i64], max: i64) -> Result<Vec<Row>, sqlx::Error> {
    sqlx::query_as!(
        Row,
        r#"
        select w.id, w.user_id, w.requested_by, w.asset, w.rail, w.network, w.address, w.memo,
            w.amount::text as "amount!", w.fee::text as "fee!", w.network_fee_max::text as "network_fee_max!",
            w.content_hash, w.state, w.approvals_needed, w.requested_at, w.approved_at, w.approved_until,
            w.closed_at, w.close_reason, a.approvers as "approvers!", a.approvals_at as "approvals_at!",
            a.valid_until as "valid_until!", a.valid as "valid!"
        from withdrawal w
        cross join lateral (
            select coalesce(array_agg(approver order by job_id), '{}') as approvers,
                coalesce(array_agg(approved_at order by job_id), '{}') as approvals_at,
                coalesce(array_agg(valid_until order by job_id), '{}') as valid_until,
                coalesce(array_agg(valid_until > (select clock()) order by job_id), '{}') as valid
            from approval where withdrawal_id = w.id
        ) a
        where w.id = any ($1) and ($2::text is null or w.state = $2) and ($3::smallint is null or w.asset = $3)
        order by w.id desc
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

/// A withdrawal that was asked for and has not settled, or was refused.
async fn asked(pool: &PgPool, id: WithdrawalId, assets: &Assets) -> Result<Option<WithdrawalDocument>, Problem> {
    let row = sqlx::query!(
        r#"
        select j.payload::text as "payload!", j.submitted_by, x.status as "status?", x.reason as "reason?",
            (select g.detached_at from retention g where g.part = j.id >> 24) as "payload_dropped_at?"
        from job j left join outcome x on x.job_id = $1
        where j.id = $1 and j.kind = $2
        "#,
        id.0,
        WithdrawalRequest::NAME,
    )
    .fetch_optional(pool)
    .await?;
    let Some(row) = row else {
        return Ok(None);
    };
    if let Some(at) = row.payload_dropped_at {
        return Err(Problem::payload_dropped(id.0, at));
    }
    let request: WithdrawalRequest =
        serde_json::from_str(&row.payload).map_err(|error| sqlx::Error::Decode(error.into()))?;
    let asked = (request, row.submitted_by);
    Ok(Some(WithdrawalDocument::asked(id, asked, row.status.as_deref(), row.reason, assets)))
}
