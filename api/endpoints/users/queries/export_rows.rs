//! The transactions of a person, all of them, read in parts.

use std::collections::VecDeque;

use chrono::{DateTime, TimeDelta, Utc};
use jobs::UserId;
use ledger::AssetId;
use sqlx::PgPool;

use crate::endpoints::users::queries::transactions::{AccountPlace, Row, rows};

/// How many rows of an account are read at once.
const PART: i64 = 500;
/// Entries of an account follow each other by version, and their times do so but for the time that a
/// settling transaction may take. An hour is far more than any is given.
const OUT_OF_ORDER_MAX: TimeDelta = TimeDelta::hours(1);

/// A time from, inclusive, and a time to, exclusive.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Span {
    pub(crate) from: Option<DateTime<Utc>>,
    pub(crate) to: Option<DateTime<Utc>>,
}

/// The rows that are still to be read, newest first over all accounts.
///
/// Entries are never changed and never taken away, so that reading an account down from the version
/// that it had at the beginning is reading one snapshot, without holding one: no transaction stays
/// open and no connection is held while a slow reader takes its time.
#[derive(Debug)]
pub(crate) struct Rows {
    pool: PgPool,
    accounts: Vec<Account>,
    span: Span,
}

#[derive(Debug)]
struct Account {
    place: AccountPlace,
    /// Read and not yet given out.
    rows: VecDeque<Row>,
    /// Whether there are older ones in the database.
    more: bool,
}

impl Rows {
    /// Those of a person's accounts as they stand now.
    pub(crate) async fn open(
        pool: PgPool,
        user: UserId,
        asset: Option<AssetId>,
        span: Span,
    ) -> Result<Self, sqlx::Error> {
        // One statement, so that all accounts are of one moment.
        let places = sqlx::query!(
            r#"
            select a.id, e.version from account a
            cross join lateral (select version from entry where account_id = a.id order by version desc limit 1) e
            where a.owner = $1 and ($2::smallint is null or a.asset = $2) order by a.id
            "#,
            user.0,
            asset.map(AssetId::get),
        )
        .fetch_all(&pool)
        .await?;
        let accounts = places.into_iter().map(|row| Account {
            place: AccountPlace { account_id: row.id, before: row.version.saturating_add(1) },
            rows: VecDeque::new(),
            more: true,
        });
        Ok(Self { accounts: accounts.collect(), pool, span })
    }

    /// The next ones, at most so many; none after the last one.
    pub(crate) async fn next(&mut self, max: usize) -> Result<Vec<Row>, sqlx::Error> {
        let mut found = Vec::new();
        while found.len() < max {
            self.read().await?;
            let fronts = self.accounts.iter_mut();
            let newest = fronts.max_by_key(|account| account.rows.front().map(|row| (row.finished_at, row.job_id)));
            let Some(row) = newest.and_then(|account| account.rows.pop_front()) else {
                break;
            };
            if self.span.has(row.finished_at) {
                found.push(row);
            }
        }
        Ok(found)
    }

    /// Reads on in the accounts of which everything that was read is given out.
    async fn read(&mut self) -> Result<(), sqlx::Error> {
        let dry = |account: &Account| account.more && account.rows.is_empty();
        let places: Vec<AccountPlace> =
            self.accounts.iter().filter(|account| dry(account)).map(|one| one.place).collect();
        if places.is_empty() {
            return Ok(());
        }
        let mut read: Vec<(i64, VecDeque<Row>)> =
            places.iter().map(|place| (place.account_id, VecDeque::new())).collect();
        for row in rows(&self.pool, &places, PART.saturating_add(1)).await? {
            if let Some((_, rows)) = read.iter_mut().find(|(account, _)| *account == row.account_id) {
                rows.push_back(row);
            }
        }
        for (account_id, rows) in read {
            let Some(account) = self.accounts.iter_mut().find(|account| account.place.account_id == account_id) else {
                continue;
            };
            // One more than a part was asked for: it is not there in the last part.
            let is_last = i64::try_from(rows.len()).is_ok_and(|read| read <= PART);
            account.more = !is_last && rows.back().is_some_and(|oldest| !self.span.ends_before(oldest.finished_at));
            account.place.before = rows.back().map_or(account.place.before, |oldest| oldest.version);
            account.rows = rows;
        }
        Ok(())
    }
}

impl Span {
    fn has(self, time: DateTime<Utc>) -> bool {
        self.from.is_none_or(|from| from <= time) && self.to.is_none_or(|to| time < to)
    }

    /// Whether nothing older than an entry of this time is in the span.
    fn ends_before(self, time: DateTime<Utc>) -> bool {
        let latest = time.checked_add_signed(OUT_OF_ORDER_MAX);
        self.from.zip(latest).is_some_and(|(from, latest)| latest < from)
    }
}
