//! Withdrawals as clients see them: one, or a list.

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::machines::withdrawal::WithdrawalState;
use jobs::{Assets, Kind, UserId, WithdrawalId, WithdrawalRequest};
use ledger::AssetId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::amounts::asset_of;
use crate::documents::amounts::minor;
use crate::documents::amounts::one_spelling;
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
use crate::openapi::answers::{PayloadDropped, QueryRefused, WithdrawalUnknown};
use crate::state::Api;

/// A withdrawal as a client sees it. Amounts are decimal text in the asset's scale.
///
/// It is there from the moment its request is recorded: `requesting` until that has settled, then
/// the withdrawal's own state, or `rejected` or `cancelled` with the `reason` if it never came to be.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Withdrawal)]
pub(crate) struct WithdrawalDocument {
    #[schema(value_type = Id)]
    id: String,
    #[schema(value_type = CodeText)]
    state: String,
    #[schema(value_type = Id)]
    user_id: String,
    /// The principal that asked for it.
    #[schema(value_type = Id)]
    requested_by: String,
    #[schema(value_type = AssetCode)]
    asset: String,
    /// What is to arrive; the fee comes on top.
    #[schema(value_type = AmountText)]
    amount: String,
    address: String,
    memo: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = CodeText)]
    reason: Option<String>,
    #[serde(flatten)]
    #[schema(value_type = Terms)]
    terms: Option<Terms>,
    links: Links,
}

/// What is known of a withdrawal once its money is held.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalTerms)]
struct Terms {
    /// `crypto` or `bank`.
    #[schema(required = false)]
    rail: String,
    #[schema(required = false)]
    network: String,
    /// What the exchange charges on top of the amount.
    #[schema(required = false, value_type = AmountText)]
    fee: String,
    /// The most that sending it may cost the exchange.
    #[schema(required = false, value_type = AmountText)]
    network_fee_max: String,
    /// What an approval names: it changes with anything that an approver should have seen.
    #[schema(required = false, pattern = "^[0-9a-f]{64}$")]
    content_hash: String,
    #[schema(required = false, minimum = 1)]
    approvals_needed: i16,
    /// In the order in which they were given.
    #[schema(required = false)]
    approvals: Vec<Approval>,
    #[schema(required = false)]
    requested_at: Time,
    approved_at: Option<Time>,
    /// When the first of the approvals that it rests on expires.
    approved_until: Option<Time>,
    closed_at: Option<Time>,
    /// What the operator who refused it said.
    close_reason: Option<String>,
}

/// Somebody approved it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalApproval)]
struct Approval {
    /// The principal that approved.
    #[schema(value_type = Id)]
    approver: String,
    at: Time,
    valid_until: Time,
    /// Whether it still counted when this was read.
    valid: bool,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalLinks)]
struct Links {
    #[serde(rename = "self")]
    #[schema(value_type = PathText)]
    withdrawal: String,
    /// The job that asked for it.
    #[schema(value_type = PathText)]
    request: String,
    /// Every job about it.
    #[schema(value_type = PathText)]
    history: String,
    #[schema(value_type = PathText)]
    user: String,
}

impl Links {
    fn of(id: i64, user: i64) -> Self {
        Self {
            withdrawal: format!("/v1/withdrawals/{id}"),
            request: format!("/v1/jobs/{id}"),
            history: format!("/v1/withdrawals/{id}/history"),
            user: format!("/v1/users/{user}"),
        }
    }
}

/// A withdrawal as it stands
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
    let held = rows(&api.pool, &Filter::default(), &[id.0], 1).await?;
    if let Some(row) = held.into_iter().next() {
        return Ok(Json(row.document(&assets)?));
    }
    asked(&api.pool, id, &assets).await?.map(Json).ok_or_else(WithdrawalId::unknown)
}

/// Everything about a withdrawal
///
/// The request and every decision, with what each did to whose account.
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

/// Withdrawals, newest first
///
/// Those whose money was held: a request that has not settled, or was refused, is found by its id.
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
    let texts = [&wanted.user_id, &wanted.state, &wanted.asset].map(Option::as_deref);
    let [user, state, asset] = texts;
    let filter = Filter {
        user: user_in_query(user)?,
        state: word_in_query("state", state, &WithdrawalState::ALL.map(WithdrawalState::as_str))?,
        asset: asset_in_query(&assets, asset)?,
    };
    let [user, state, asset] = texts.map(Option::unwrap_or_default);
    let page = Page::read(wanted.limit, wanted.cursor.as_deref(), &["withdrawals", user, state, asset])?;
    let leaves_out = filter.asset.is_some() || (filter.user.is_some() && filter.state.is_some());
    let looked_at_max = page.looked_at_max(leaves_out);
    let looked_at = places(&api.pool, &filter, page.before(), looked_at_max).await?;
    let mut rows = rows(&api.pool, &filter, &looked_at, page.rows_max()).await?;
    let next_cursor = page.cut_of_looked_at(&mut rows, |row| row.id, &looked_at, looked_at_max);
    let withdrawals = rows.into_iter().map(|row| row.document(&assets)).collect::<Result<_, _>>()?;
    Ok(Json(WithdrawalsDocument { withdrawals, next_cursor }))
}

#[derive(Clone, Copy, Debug, Default)]
struct Filter<'a> {
    user: Option<UserId>,
    state: Option<&'a str>,
    asset: Option<AssetId>,
}

/// The newest withdrawals before an id, by the one index that serves the filter best.
async fn places(pool: &PgPool, filter: &Filter<'_>, before: i64, max: i64) -> Result<Vec<i64>, sqlx::Error> {
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
        filter.user.map(|user| user.0),
        filter.state,
        before,
        max,
    )
    .fetch_all(pool)
    .await
}

/// A withdrawal as it is stored, with its approvals.
#[derive(Debug)]
struct Row {
    id: i64,
    user_id: i64,
    requested_by: i64,
    asset: i16,
    rail: String,
    network: String,
    address: String,
    memo: Option<String>,
    amount: String,
    fee: String,
    network_fee_max: String,
    content_hash: Vec<u8>,
    state: String,
    approvals_needed: i16,
    requested_at: DateTime<Utc>,
    approved_at: Option<DateTime<Utc>>,
    approved_until: Option<DateTime<Utc>>,
    closed_at: Option<DateTime<Utc>>,
    close_reason: Option<String>,
    approvers: Vec<i64>,
    approvals_at: Vec<DateTime<Utc>>,
    valid_until: Vec<DateTime<Utc>>,
    valid: Vec<bool>,
}

/// Those of the withdrawals that the filter lets through, newest first. One statement, so that
/// states and approvals are of one moment.
async fn rows(pool: &PgPool, filter: &Filter<'_>, ids: &[i64], max: i64) -> Result<Vec<Row>, sqlx::Error> {
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
        filter.state,
        filter.asset.map(AssetId::get),
        max,
    )
    .fetch_all(pool)
    .await
}

impl Row {
    fn document(self, assets: &Assets) -> Result<WithdrawalDocument, sqlx::Error> {
        let asset = asset_of(assets, self.asset)?;
        let decimal = |text: &str| minor(text).map(|minor| asset.format_signed(minor));
        let times = self.approvals_at.into_iter().zip(self.valid_until).zip(self.valid);
        let approvals = self.approvers.into_iter().zip(times).map(|(approver, ((at, valid_until), valid))| Approval {
            approver: approver.to_string(),
            at: at.into(),
            valid_until: valid_until.into(),
            valid,
        });
        Ok(WithdrawalDocument {
            id: self.id.to_string(),
            state: self.state,
            user_id: self.user_id.to_string(),
            requested_by: self.requested_by.to_string(),
            asset: asset.code.clone(),
            amount: decimal(&self.amount)?,
            address: self.address,
            memo: self.memo,
            reason: None,
            terms: Some(Terms {
                rail: self.rail,
                network: self.network,
                fee: decimal(&self.fee)?,
                network_fee_max: decimal(&self.network_fee_max)?,
                content_hash: hex::encode(self.content_hash),
                approvals_needed: self.approvals_needed,
                approvals: approvals.collect(),
                requested_at: self.requested_at.into(),
                approved_at: self.approved_at.map(Time::from),
                approved_until: self.approved_until.map(Time::from),
                closed_at: self.closed_at.map(Time::from),
                close_reason: self.close_reason,
            }),
            links: Links::of(self.id, self.user_id),
        })
    }
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
    let state = match row.status.as_deref() {
        // Settled between the two looks: the next one finds the withdrawal.
        None | Some("settled") => "requesting".to_owned(),
        Some(status) => status.to_owned(),
    };
    Ok(Some(WithdrawalDocument {
        id: id.to_string(),
        state,
        user_id: request.user_id.to_string(),
        requested_by: row.submitted_by.to_string(),
        amount: one_spelling(assets, &request.asset, request.amount),
        asset: request.asset,
        address: request.address,
        memo: request.memo,
        reason: row.reason,
        terms: None,
        links: Links::of(id.0, request.user_id.0),
    }))
}
