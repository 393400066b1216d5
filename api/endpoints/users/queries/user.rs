//! A person: who they are to the exchange, and what operators set on them.

use axum::Json;
use axum::extract::State;
use chrono::NaiveDate;
use jobs::{Assets, Tier, UserId};
use ledger::AssetId;
use serde::Serialize;
use sqlx::PgPool;
use utoipa::ToSchema;

use crate::documents::amounts::minor;
use crate::documents::texts::{AmountText, AssetCode, Id, PathText};
use crate::documents::time::Time;
use crate::http::auth::Reader;
use crate::http::path::{InPath, Thing};
use crate::http::problem::Problem;
use crate::openapi::answers::UserUnknown;
use crate::state::Api;

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

/// Get a user
///
/// Who they are to the exchange, and what they may withdraw today.
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
