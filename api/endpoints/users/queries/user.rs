//! A person: who they are to the exchange, and what operators set on them.

use axum::Json;
use axum::extract::State;
use axum::response::Response;
use chrono::{DateTime, NaiveDate, Utc};
use jobs::{AnyJob, Assets, Tier, UserFlag, UserId};
use ledger::AssetId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::app::Api;
use crate::documents::texts::{AmountText, AssetCode, Id, PathText};
use crate::documents::time::Time;
use crate::endpoints::users::queries::balances::{minor, require_user};
use crate::http::auth::{Operator, Reader};
use crate::http::paging::Page;
use crate::http::problem::Problem;
use crate::intake::extract::{Asked, InPath, InQuery, Thing};
use crate::intake::submit::submit_about;
use crate::openapi::answers::{QueryRefused, Submitted, UserUnknown};
use crate::openapi::params::Asking;

/// A person, by id only: Holdfast knows no personal data.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = User)]
pub(crate) struct UserDocument {
    #[schema(value_type = Id)]
    id: String,
    registered_at: Time,
    /// Who brought them; never changes.
    #[schema(value_type = Option<Id>)]
    referrer_id: Option<String>,
    /// Referral tier.
    #[schema(value_type = Tier)]
    tier: String,
    /// How well they are known: limits of withdrawals rise with it.
    #[schema(minimum = 0, maximum = 3)]
    kyc: i16,
    /// A frozen person may neither lock nor withdraw.
    frozen: bool,
    /// The day of UTC that the limits are of.
    limits_day: NaiveDate,
    /// What they may withdraw on that day: one entry for each asset of the exchange.
    withdrawal_limits: Vec<DayLimit>,
    links: UserLinks,
}

/// A limit for a day, as decimal text in the asset's scale.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = WithdrawalLimit)]
struct DayLimit {
    #[schema(value_type = AssetCode)]
    asset: String,
    /// What was asked for on that day and not refused since. It may be more than `max` once they are
    /// known less well.
    #[schema(value_type = AmountText)]
    used: String,
    #[schema(value_type = AmountText)]
    max: String,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserLinks)]
struct UserLinks {
    #[serde(rename = "self")]
    #[schema(value_type = PathText)]
    user: String,
    #[schema(value_type = PathText)]
    balances: String,
    #[schema(value_type = PathText)]
    transactions: String,
    #[schema(value_type = PathText)]
    flags: String,
    #[schema(value_type = PathText)]
    referrals: String,
}

impl UserLinks {
    fn of(id: UserId) -> Self {
        let path = |part: &str| format!("/v1/users/{id}{part}");
        Self {
            user: path(""),
            balances: path("/balances"),
            transactions: path("/transactions"),
            flags: path("/flags"),
            referrals: path("/referrals"),
        }
    }
}

/// A person
#[utoipa::path(
    get, path = "/v1/users/{id}", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person")),
    responses(
        (status = 200, description = "As they stand", body = UserDocument, example = json!({
            "id": "2", "registered_at": "2026-01-05T12:00:00.012345Z", "referrer_id": "1", "tier": "standard",
            "kyc": 1, "frozen": false, "limits_day": "2026-01-05",
            "withdrawal_limits": [{ "asset": "btc", "used": "0.00500000", "max": "0.01000000" }],
            "links": {
                "self": "/v1/users/2", "balances": "/v1/users/2/balances", "transactions": "/v1/users/2/transactions",
                "flags": "/v1/users/2/flags", "referrals": "/v1/users/2/referrals",
            },
        })),
        UserUnknown,
    ),
)]
pub(crate) async fn get_user(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
) -> Result<Json<UserDocument>, Problem> {
    let assets = api.assets.current().await;
    let found = user(&api.pool, id, &assets).await?;
    found.map(Json).ok_or_else(UserId::unknown)
}

async fn user(pool: &PgPool, id: UserId, assets: &Assets) -> Result<Option<UserDocument>, sqlx::Error> {
    // One statement, so that the limits are those of the person as they stand.
    let rows = sqlx::query!(
        r#"
        select u.registered_at, u.referrer_id, u.tier, u.kyc, u.frozen, t.day as "day!", a.id as asset,
            coalesce(l.day_max, 0)::text as "max!", coalesce(d.used, 0)::text as "used!"
        from app_user u
        cross join (select (clock() at time zone 'UTC')::date as day) t
        cross join asset a
        left join kyc_limit l on l.kyc = u.kyc and l.asset = a.id
        left join lateral (
            select used from withdrawal_day
            where user_id = u.id and asset = a.id and day = t.day order by version desc limit 1
        ) d on true
        where u.id = $1
        order by a.id
        "#,
        id.0,
    )
    .fetch_all(pool)
    .await?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut document = UserDocument {
        id: id.to_string(),
        registered_at: first.registered_at.into(),
        referrer_id: first.referrer_id.map(|referrer| referrer.to_string()),
        tier: first.tier.clone(),
        kyc: first.kyc,
        frozen: first.frozen,
        limits_day: first.day,
        withdrawal_limits: Vec::with_capacity(rows.len()),
        links: UserLinks::of(id),
    };
    for row in rows {
        // One that was added a moment ago is not in the registry yet, nor can anybody withdraw it.
        let Some(terms) = assets.by_id(AssetId::new(row.asset)) else {
            continue;
        };
        document.withdrawal_limits.push(DayLimit {
            asset: terms.asset.code.clone(),
            used: terms.asset.format_signed(minor(&row.used)?),
            max: terms.asset.format_signed(minor(&row.max)?),
        });
    }
    Ok(Some(document))
}

/// What is set on a person: at least one of the three, and why. What is left out stays.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserFlagAsk)]
pub(crate) struct FlagAsk {
    /// A frozen person may neither lock nor withdraw.
    #[serde(default)]
    #[schema(nullable = false)]
    frozen: Option<bool>,
    /// Referral tier; trades that are locked keep theirs.
    #[serde(default)]
    #[schema(nullable = false)]
    tier: Option<Tier>,
    /// How well they are known.
    #[serde(default)]
    #[schema(minimum = 0, maximum = 3, nullable = false)]
    kyc: Option<i16>,
    /// Why, without personal data; 1 to 400 bytes.
    reason: String,
}

/// Set something on a person
///
/// Freezes them, or changes their referral tier or how well they are known. An operator who is the
/// person themselves may not.
#[utoipa::path(
    post, path = "/v1/users/{id}/flags", tag = "users", security(("key" = ["operate"])),
    params(("id" = UserId, Path, description = "The person"), Asking),
    request_body(content = FlagAsk, example = json!({ "kyc": 1, "reason": "papers seen, case 17" })),
    responses(Submitted, UserUnknown),
)]
pub(crate) async fn post_user_flag(
    Operator(operator): Operator,
    State(api): State<Api>,
    InPath(user_id): InPath<UserId>,
    Asked { body: FlagAsk { frozen, tier, kyc, reason }, how }: Asked<FlagAsk>,
) -> Result<Response, Problem> {
    let flag = UserFlag { user_id, frozen, tier, kyc, reason };
    submit_about(&api, operator, how, user_id, AnyJob::UserFlag(flag)).await
}

/// What a client asks for of a list without filters.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Turned {
    /// How many at most; 50 unless said otherwise.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
}

impl Turned {
    /// The page of the list that is named, with all that it depends on.
    ///
    /// # Errors
    /// 422: the cursor is of another list.
    pub(crate) fn page(&self, list: &[&str]) -> Result<Page, Problem> {
        Page::read(self.limit, self.cursor.as_deref(), list)
    }
}

/// What operators set on a person, newest first; `next_cursor` is null on the last page.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserFlags)]
pub(crate) struct FlagsDocument {
    #[schema(value_type = Id)]
    user_id: String,
    flags: Vec<FlagDocument>,
    next_cursor: Option<String>,
}

/// The person as they stood after an operator had set something on them.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UserFlagged)]
struct FlagDocument {
    #[schema(value_type = Id)]
    job_id: String,
    /// The principal that set it.
    #[schema(value_type = Id)]
    set_by: String,
    set_at: DateTime<Utc>,
    frozen: bool,
    #[schema(value_type = Tier)]
    tier: String,
    #[schema(minimum = 0, maximum = 3)]
    kyc: i16,
    reason: String,
}

/// What operators set on a person
#[utoipa::path(
    get, path = "/v1/users/{id}/flags", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Turned),
    responses((status = 200, description = "One page", body = FlagsDocument), QueryRefused, UserUnknown),
)]
pub(crate) async fn get_user_flags(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(query): InQuery<Turned>,
) -> Result<Json<FlagsDocument>, Problem> {
    let page = query.page(&["flags", &id.to_string()])?;
    require_user(&api.pool, id).await?;
    let mut rows = sqlx::query!(
        "
        select job_id, principal_id, frozen, tier, kyc, reason, set_at from user_flag
        where user_id = $1 and job_id < $2 order by job_id desc limit $3
        ",
        id.0,
        page.before(),
        page.rows_max(),
    )
    .fetch_all(&api.pool)
    .await?;
    let next_cursor = page.cut(&mut rows, |row| row.job_id);
    let flags = rows.into_iter().map(|row| FlagDocument {
        job_id: row.job_id.to_string(),
        set_by: row.principal_id.to_string(),
        set_at: row.set_at,
        frozen: row.frozen,
        tier: row.tier,
        kyc: row.kyc,
        reason: row.reason,
    });
    Ok(Json(FlagsDocument { user_id: id.to_string(), flags: flags.collect(), next_cursor }))
}
