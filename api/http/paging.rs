//! Lists, read page by page.

use std::fmt::Display;

use serde::Deserialize;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use utoipa::IntoParams;

use crate::http::problem::Problem;

const LIMIT_DEFAULT: u16 = 50;
const LIMIT_MAX: u16 = 200;
/// How many rows are looked at for one page of a list that leaves some of them out: a rare filter
/// costs more pages, never a long query.
const LOOKED_AT_MAX: i64 = 5_000;

/// Names the encoding of an id as a cursor, so that it can change; 1 is that of a person's transactions.
const FORMAT: u8 = 2;
/// As much of a hash as keeps the cursor of one list from being taken for one of another.
const LIST_BYTES: usize = 8;

/// A list that clients read page by page. It says what it is, where a page of it may begin and what its rows
/// are; limits, cursors and refusals are the same for all lists.
///
/// Rows that come meanwhile lie before the first page or behind the last one, so that they never shift what is
/// on the next.
pub(crate) trait List {
    /// One as it is stored.
    type Row;
    /// Where a page begins.
    type Place: Place;

    /// What a cursor must be of.
    fn name(&self) -> ListName;

    /// At most as many rows as the limit says, from a place on or from the beginning, and the place where the
    /// next page begins if there is one.
    ///
    /// # Errors
    /// Any error of the database; 422 for a place that is none of this list.
    async fn read(
        &self,
        pool: &PgPool,
        from: Option<Self::Place>,
        limit: Limit,
    ) -> Result<(Vec<Self::Row>, Option<Self::Place>), Problem>;
}

/// A place between two pages. To the client it is an opaque text.
pub(crate) trait Place: Sized {
    /// The text of the place in a list.
    fn cursor(&self, list: ListName) -> String;

    /// Reads what [`Place::cursor`] wrote for this very list.
    fn parse(text: &str, list: ListName) -> Option<Self>;
}

/// A page of a list that a client asks for.
#[derive(Clone, Debug)]
pub(crate) struct Page<L: List> {
    list: L,
    from: Option<L::Place>,
    limit: Limit,
}

impl<L: List> Page<L> {
    /// # Errors
    /// 400 for a limit out of range, 422 for a cursor that is not of this very list.
    pub(crate) fn of(list: L, limit: Option<u16>, cursor: Option<&str>) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit must be 1 to {LIMIT_MAX}");
            return Err(Problem::bad_request("query_invalid", detail).field("limit"));
        }
        let from = cursor.map(|text| L::Place::parse(text, list.name()).ok_or_else(cursor_invalid)).transpose()?;
        Ok(Self { list, from, limit: Limit(limit) })
    }

    pub(crate) const fn is_first(&self) -> bool {
        self.from.is_none()
    }

    /// The rows of the page, and the cursor of the next one unless it is the last.
    ///
    /// # Errors
    /// Those of [`List::read`].
    pub(crate) async fn read(self, pool: &PgPool) -> Result<(Vec<L::Row>, Option<String>), Problem> {
        let (rows, next) = self.list.read(pool, self.from, self.limit).await?;
        Ok((rows, next.map(|place| place.cursor(self.list.name()))))
    }
}

/// 422: the cursor is of another list.
pub(crate) fn cursor_invalid() -> Problem {
    Problem::invalid("cursor_invalid", "The cursor is not one of this list").field("cursor")
}

/// How many rows a page has at most.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit(u16);

impl Limit {
    pub(crate) fn rows(self) -> usize {
        self.0.into()
    }

    /// How many rows to ask for: one more than are shown tells whether there is another page.
    pub(crate) fn rows_max(self) -> i64 {
        i64::from(self.0).saturating_add(1)
    }

    /// How many rows to look at where the filters may leave some of them out.
    pub(crate) fn looked_at_max(self, leaves_out: bool) -> i64 {
        if leaves_out { LOOKED_AT_MAX } else { self.rows_max() }
    }

    /// Takes away the row that is not shown, and says where the next page begins if there is one.
    pub(crate) fn cut<R>(self, mut rows: Vec<R>, id: impl Fn(&R) -> i64) -> (Vec<R>, Option<i64>) {
        if rows.len() <= self.rows() {
            return (rows, None);
        }
        rows.truncate(self.rows());
        let next = rows.last().map(id);
        (rows, next)
    }

    /// The same where `looked_at` are the ids that were looked at, `max` of them if there may be
    /// more. A page may then have fewer rows than its limit, even none, and not be the last one.
    pub(crate) fn cut_of_looked_at<R>(
        self,
        rows: Vec<R>,
        id: impl Fn(&R) -> i64,
        looked_at: &[i64],
        max: i64,
    ) -> (Vec<R>, Option<i64>) {
        let there_may_be_more = i64::try_from(looked_at.len()).is_ok_and(|looked_at| looked_at >= max);
        let behind = looked_at.last().copied().filter(|_| there_may_be_more);
        let (rows, next) = self.cut(rows, id);
        (rows, next.or(behind))
    }
}

/// What a list is called, with all that its rows depend on: a cursor is good for the list that it was given out by.
#[derive(Clone, Debug)]
pub(crate) struct ListName(Sha256);

impl ListName {
    /// The list of this name, without any filter.
    pub(crate) fn of(name: &str) -> Self {
        Self(Sha256::new()).part(name)
    }

    /// With a filter, or without it in its place.
    #[must_use]
    pub(crate) fn with(self, filter: Option<impl Display>) -> Self {
        self.part(&filter.map(|filter| filter.to_string()).unwrap_or_default())
    }

    /// Each part is length-delimited.
    fn part(mut self, part: &str) -> Self {
        self.0.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        self.0.update(part.as_bytes());
        self
    }

    fn short(self) -> [u8; LIST_BYTES] {
        let hash: [u8; 32] = self.0.finalize().into();
        hash.first_chunk().copied().unwrap_or_default()
    }
}

/// The id of the last row of the page before, excluded.
impl Place for i64 {
    fn cursor(&self, list: ListName) -> String {
        format!("{FORMAT:02x}{}{}", hex::encode(list.short()), hex::encode(self.to_be_bytes()))
    }

    fn parse(text: &str, list: ListName) -> Option<Self> {
        let bytes = hex::decode(text).ok()?;
        let (&FORMAT, rest) = bytes.split_first()? else {
            return None;
        };
        let (named, id) = rest.split_first_chunk::<LIST_BYTES>()?;
        let id = Self::from_be_bytes(id.try_into().ok()?);
        (*named == list.short() && id > 0).then_some(id)
    }
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
    /// The page of a list.
    ///
    /// # Errors
    /// Those of [`Page::of`].
    pub(crate) fn page<L: List>(&self, list: L) -> Result<Page<L>, Problem> {
        Page::of(list, self.limit, self.cursor.as_deref())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

    use super::{Limit, ListName, Place};

    fn trades(of: &str) -> ListName {
        ListName::of("trades").with(Some(of))
    }

    #[test]
    fn a_cursor_is_of_one_list_and_its_filters() {
        let cursor = 9.cursor(trades("7"));
        assert_eq!(cursor, format!("02{}0000000000000009", &cursor[2..18]));
        assert_eq!(i64::parse(&cursor, trades("7")), Some(9));
        let others =
            [trades("8"), ListName::of("trades"), ListName::of("trades7"), ListName::of("tradess").with(Some(7))];
        for other in others {
            assert_eq!(i64::parse(&cursor, other), None);
        }
        let zero = format!("{}{}", &cursor[..18], "0".repeat(16));
        let format = cursor.replacen("02", "01", 1);
        for bad in ["", "02", "zz", &cursor[..cursor.len() - 2], &format!("{cursor}00"), &zero, &format] {
            assert_eq!(i64::parse(bad, trades("7")), None, "{bad}");
        }
    }

    /// Cursors that were given out before stay good.
    #[test]
    fn the_name_of_a_list_is_what_it_was() {
        let with_filters =
            ListName::of("trades").with(Some(7)).with(None::<&str>).with(Some("paid")).with(None::<&str>);
        assert_eq!(hex::encode(with_filters.short()), "08ea38e3294a3b33");
    }

    #[test]
    fn a_full_last_page_has_no_next_one() {
        assert_eq!(Limit(2).cut(vec![3, 2], |id| *id), (vec![3, 2], None));
        assert_eq!(Limit(1).cut(vec![3, 2], |id| *id), (vec![3], Some(3)));
    }

    #[test]
    fn what_was_left_out_is_not_looked_at_again() {
        let next = |rows: Vec<i64>, looked_at: &[i64]| Limit(2).cut_of_looked_at(rows, |id| *id, looked_at, 3).1;
        assert_eq!(next(vec![9], &[9, 8, 7]), Some(7));
        assert_eq!(next(vec![9], &[9, 8]), None);
        assert_eq!(next(vec![9, 8, 7], &[9, 8, 7]), Some(8));
        assert_eq!(next(Vec::new(), &[]), None);
    }
}
