use std::collections::VecDeque;

use axum::Json;
use axum::extract::State;
use chrono::{DateTime, Utc};
use jobs::{Assets, UserId};
use ledger::AssetId;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use utoipa::{IntoParams, ToSchema};

use crate::documents::amounts::minor;
use crate::documents::texts::{AssetCode, CodeText, Id, SignedAmountText};
use crate::documents::time::Time;
use crate::endpoints::users::queries::cursor::Cursor;
use crate::endpoints::users::registered::require_user;
use crate::http::auth::Reader;
use crate::http::paging::{Limit, List, ListName, Page, cursor_invalid};
use crate::http::path::InPath;
use crate::http::problem::Problem;
use crate::http::query::{InQuery, asset_in_query};
use crate::openapi::answers::{QueryRefused, UserUnknown};
use crate::state::Api;

/// What a client asks for.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Wanted {
    /// How many at most; 50 unless said otherwise.
    #[param(minimum = 1, maximum = 200, nullable = false)]
    limit: Option<u16>,
    /// The `next_cursor` of the page before.
    #[param(nullable = false)]
    cursor: Option<String>,
    /// Only this asset.
    #[param(value_type = Option<AssetCode>, nullable = false)]
    asset: Option<String>,
}

/// One page, newest first; `next_cursor` is null on the last one.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Transactions)]
pub(crate) struct TransactionsDocument {
    #[schema(value_type = Id)]
    user_id: String,
    transactions: Vec<Transaction>,
    next_cursor: Option<String>,
}

/// One change of one account, and what the account had after it. Amounts are decimal text in the
/// asset's scale; changes carry a minus sign where something went away.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Transaction {
    #[schema(pattern = "^-?[0-9]+-[0-9]+$")]
    pub(crate) id: String,
    pub(crate) at: Time,
    #[schema(value_type = AssetCode)]
    pub(crate) asset: String,
    /// `wallet`, or `receivable` for what the person owes.
    #[schema(value_type = CodeText)]
    pub(crate) account: String,
    /// The code of a transfer, or `hold_opened` or `hold_closed`.
    #[schema(value_type = CodeText)]
    pub(crate) what: String,
    pub(crate) change: Amounts,
    pub(crate) balance: Amounts,
    #[schema(value_type = Id)]
    pub(crate) job_id: String,
    pub(crate) job_kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Id)]
    pub(crate) trade_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Id)]
    pub(crate) withdrawal_id: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Amounts {
    #[schema(value_type = SignedAmountText)]
    pub(crate) posted: String,
    #[schema(value_type = SignedAmountText)]
    pub(crate) held: String,
    #[schema(value_type = SignedAmountText)]
    pub(crate) available: String,
}

/// An account and the version before which a page begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AccountPlace {
    pub(crate) account_id: i64,
    pub(crate) before: i64,
}

/// A row as it is stored.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) account_id: i64,
    pub(crate) version: i64,
    asset: i16,
    purpose: String,
    pub(crate) job_id: i64,
    hold_id: Option<i64>,
    code: Option<String>,
    d_posted: String,
    d_held: String,
    posted: String,
    held: String,
    kind: String,
    /// The trade or the withdrawal that it was for.
    subject: Option<String>,
    of_withdrawal: bool,
    pub(crate) finished_at: DateTime<Utc>,
}

/// List transactions
///
/// What happened to a person's money, newest first. Turn pages with `cursor` until `next_cursor`
/// is null; what comes meanwhile never shifts a page.
#[utoipa::path(
    get, path = "/v1/users/{id}/transactions", tag = "users", security(("key" = ["read"])),
    params(("id" = UserId, Path, description = "The person"), Wanted),
    responses(
        (status = 200, description = "One page", body = TransactionsDocument, example = json!({
            "user_id": "2", "transactions": [{
                "id": "4-1", "at": "2026-01-05T12:00:00.012345Z", "asset": "btc", "account": "wallet",
                "what": "trade_settle",
                "change": { "posted": "0.09960000", "held": "0.00000000", "available": "0.09960000" },
                "balance": { "posted": "0.09960000", "held": "0.00000000", "available": "0.09960000" },
                "job_id": "6", "job_kind": "release", "trade_id": "4",
            }], "next_cursor": null,
        })),
        QueryRefused, UserUnknown,
    ),
)]
pub(crate) async fn get_transactions(
    _: Reader,
    State(api): State<Api>,
    InPath(id): InPath<UserId>,
    InQuery(wanted): InQuery<Wanted>,
) -> Result<Json<TransactionsDocument>, Problem> {
    let assets = api.assets.current().await;
    let asset = asset_in_query(&assets, wanted.asset.as_deref())?.map(|asset| asset.id);
    let page = Page::of(Transactions { user: id, asset }, wanted.limit, wanted.cursor.as_deref())?;
    require_user(&api.pool, id).await?;
    let (rows, next_cursor) = page.read(&api.pool).await?;
    let transactions = rows.into_iter().map(|row| show(row, &assets)).collect::<Result<_, _>>()?;
    Ok(Json(TransactionsDocument { user_id: id.to_string(), transactions, next_cursor }))
}

/// The entries of a person's accounts.
#[derive(Clone, Copy, Debug)]
struct Transactions {
    user: UserId,
    asset: Option<AssetId>,
}

impl List for Transactions {
    type Row = Row;
    type Place = Cursor;

    fn name(&self) -> ListName {
        ListName::of("transactions").with(Some(self.user))
    }

    async fn read(
        &self,
        pool: &PgPool,
        from: Option<Cursor>,
        limit: Limit,
    ) -> Result<(Vec<Row>, Option<Cursor>), Problem> {
        let mut places = accounts(pool, self.user, self.asset).await?;
        if let Some(cursor) = from {
            if !names_only(&cursor, &places) {
                return Err(cursor_invalid());
            }
            places =
                cursor.before.into_iter().map(|(account_id, before)| AccountPlace { account_id, before }).collect();
        }
        let found = rows(pool, &places, limit.rows_max()).await?;
        Ok(merge(found, &places, limit.rows()))
    }
}

/// A cursor may name the person's own accounts, each once.
fn names_only(cursor: &Cursor, places: &[AccountPlace]) -> bool {
    let mut named: Vec<i64> = cursor.before.iter().map(|(account, _)| *account).collect();
    named.sort_unstable();
    let once = named.windows(2).all(|pair| matches!(pair, [first, second] if first != second));
    once && named.iter().all(|account| places.iter().any(|place| place.account_id == *account))
}

/// The person's accounts, each at its newest entry.
async fn accounts(pool: &PgPool, id: UserId, asset: Option<AssetId>) -> Result<Vec<AccountPlace>, sqlx::Error> {
    let ids = sqlx::query_scalar!(
        "select id from account where owner = $1 and ($2::smallint is null or asset = $2) order by id",
        id.0,
        asset.map(AssetId::get),
    )
    .fetch_all(pool)
    .await?;
    Ok(ids.into_iter().map(|account_id| AccountPlace { account_id, before: i64::MAX }).collect())
}

/// Of every account at most so many entries, the newest first.
pub(crate) async fn rows(pool: &PgPool, places: &[AccountPlace], max: i64) -> Result<Vec<Row>, sqlx::Error> {
    let accounts: Vec<i64> = places.iter().map(|place| place.account_id).collect();
    let before: Vec<i64> = places.iter().map(|place| place.before).collect();
    sqlx::query_as!(
        Row,
        r#"
        select e.account_id, e.version, a.asset, a.purpose, e.job_id, e.hold_id, t.code as "code?",
            e.d_posted::text as "d_posted!", e.d_held::text as "d_held!", e.posted::text as "posted!",
            e.held::text as "held!", j.kind,
            coalesce(h.subject::text, j.payload ->> 'trade_id', j.payload ->> 'withdrawal_id') as subject,
            exists (select from withdrawal w where w.id = coalesce(h.subject, (j.payload ->> 'withdrawal_id')::bigint))
                as "of_withdrawal!",
            x.finished_at
        from unnest($1::bigint[], $2::bigint[]) as place (account_id, before)
        cross join lateral (
            select * from entry where entry.account_id = place.account_id and version < place.before
            order by version desc limit $3
        ) e
        join account a on a.id = e.account_id
        join job j on j.id = e.job_id
        join outcome x on x.job_id = e.job_id
        left join transfer t on t.job_id = e.job_id and t.leg = e.leg
        left join hold h on h.id = e.hold_id
        order by e.account_id, e.version desc
        "#,
        &accounts,
        &before,
        max,
    )
    .fetch_all(pool)
    .await
}

/// Merges the accounts into one page: always the newest of what comes next, while each account
/// keeps its own order. Returns the page and, if something is left, where to go on.
fn merge(rows: Vec<Row>, places: &[AccountPlace], limit: usize) -> (Vec<Row>, Option<Cursor>) {
    let mut accounts: Vec<VecDeque<Row>> = places.iter().map(|_| VecDeque::new()).collect();
    for row in rows {
        let place = places.iter().position(|place| place.account_id == row.account_id);
        if let Some(account) = place.and_then(|place| accounts.get_mut(place)) {
            account.push_back(row);
        }
    }
    let mut page = Vec::with_capacity(limit);
    while page.len() < limit {
        let newest = accounts.iter_mut().max_by_key(|account| account.front().map(|row| (row.finished_at, row.job_id)));
        match newest.and_then(VecDeque::pop_front) {
            Some(row) => page.push(row),
            None => return (page, None),
        }
    }
    // What is next in an account is shown first on the next page.
    let before: Vec<(i64, i64)> = accounts
        .iter()
        .filter_map(VecDeque::front)
        .map(|row| (row.account_id, row.version.saturating_add(1)))
        .collect();
    let cursor = (!before.is_empty()).then_some(Cursor { before });
    (page, cursor)
}

pub(crate) fn show(row: Row, assets: &Assets) -> Result<Transaction, sqlx::Error> {
    let terms = assets.by_id(AssetId::new(row.asset));
    let asset = &terms.ok_or_else(|| sqlx::Error::Decode(format!("asset {} is not known", row.asset).into()))?.asset;
    let amounts = |posted: &str, held: &str| -> Result<Amounts, sqlx::Error> {
        let (posted, held) = (minor(posted)?, minor(held)?);
        Ok(Amounts {
            posted: asset.format_signed(posted),
            held: asset.format_signed(held),
            available: asset.format_signed(posted.saturating_sub(held)),
        })
    };
    let what = match (row.hold_id, row.code) {
        (Some(_), _) if row.d_held.starts_with('-') => "hold_closed".to_owned(),
        (Some(_), _) => "hold_opened".to_owned(),
        (None, Some(code)) => code,
        (None, None) => return Err(sqlx::Error::Decode("an entry without its transfer".into())),
    };
    let (withdrawal_id, trade_id) = if row.of_withdrawal { (row.subject, None) } else { (None, row.subject) };
    Ok(Transaction {
        id: format!("{}-{}", row.account_id, row.version),
        at: row.finished_at.into(),
        asset: asset.code.clone(),
        account: row.purpose,
        what,
        change: amounts(&row.d_posted, &row.d_held)?,
        balance: amounts(&row.posted, &row.held)?,
        job_id: row.job_id.to_string(),
        job_kind: row.kind,
        trade_id,
        withdrawal_id,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

    use chrono::{DateTime, TimeDelta};

    use super::{AccountPlace, Row, merge};
    use crate::endpoints::users::queries::cursor::Cursor;

    fn row(account_id: i64, version: i64, at_s: i64) -> Row {
        let zero = || "0".to_owned();
        Row {
            account_id,
            version,
            asset: 1,
            purpose: "wallet".to_owned(),
            job_id: at_s,
            hold_id: None,
            code: None,
            d_posted: zero(),
            d_held: zero(),
            posted: zero(),
            held: zero(),
            kind: "release".to_owned(),
            subject: None,
            of_withdrawal: false,
            finished_at: DateTime::UNIX_EPOCH + TimeDelta::seconds(at_s),
        }
    }

    fn ids(rows: &[Row]) -> Vec<(i64, i64)> {
        rows.iter().map(|row| (row.account_id, row.version)).collect()
    }

    const PLACES: [AccountPlace; 2] =
        [AccountPlace { account_id: 1, before: i64::MAX }, AccountPlace { account_id: 2, before: i64::MAX }];

    #[test]
    fn the_newest_comes_first_and_the_rest_is_where_the_cursor_points() {
        let rows = vec![row(1, 3, 30), row(1, 2, 10), row(2, 9, 20), row(2, 8, 5)];
        let (page, cursor) = merge(rows, &PLACES, 2);
        assert_eq!(ids(&page), [(1, 3), (2, 9)]);
        assert_eq!(cursor, Some(Cursor { before: vec![(1, 3), (2, 9)] }));
    }

    #[test]
    fn an_account_keeps_its_order_whatever_its_times_say() {
        let rows = vec![row(1, 3, 10), row(1, 2, 40), row(2, 9, 20)];
        let (page, cursor) = merge(rows, &PLACES, 10);
        assert_eq!(ids(&page), [(2, 9), (1, 3), (1, 2)]);
        assert_eq!(cursor, None);
    }

    #[test]
    fn an_account_that_is_exhausted_is_not_in_the_cursor() {
        let (page, cursor) = merge(vec![row(1, 1, 30), row(2, 2, 20), row(2, 1, 10)], &PLACES, 2);
        assert_eq!(ids(&page), [(1, 1), (2, 2)]);
        assert_eq!(cursor, Some(Cursor { before: vec![(2, 2)] }));
    }

    #[test]
    fn a_full_last_page_has_no_next_one() {
        let (page, cursor) = merge(vec![row(1, 2, 30), row(1, 1, 20)], &PLACES, 2);
        assert_eq!(ids(&page), [(1, 2), (1, 1)]);
        assert_eq!(cursor, None);
    }
}
