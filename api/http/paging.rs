//! Pages of lists whose rows have an id and are read in its order.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use utoipa::IntoParams;

use crate::http::problem::Problem;

const LIMIT_DEFAULT: u16 = 50;
const LIMIT_MAX: u16 = 200;
/// How many rows are looked at for one page of a list that leaves some of them out: a rare filter
/// costs more pages, never a long query.
const LOOKED_AT_MAX: i64 = 5_000;

/// Names the encoding, so that it can change; 1 is that of a person's transactions.
const FORMAT: u8 = 2;
/// As much of a hash as keeps the cursor of one list from being taken for one of another.
const LIST_BYTES: usize = 8;

/// A page that a client asks for. Rows that come meanwhile lie before the first page or behind the
/// last one, so that they never shift what is on the next.
#[derive(Clone, Debug)]
pub(crate) struct Page {
    limit: u16,
    list: [u8; LIST_BYTES],
    after: Option<i64>,
}

impl Page {
    /// The page of a list, which is named by what it is and by all of its filters.
    ///
    /// # Errors
    /// 400 for a limit out of range, 422 for a cursor that is not of this very list.
    pub(crate) fn read(limit: Option<u16>, cursor: Option<&str>, list: &[&str]) -> Result<Self, Problem> {
        let limit = limit.unwrap_or(LIMIT_DEFAULT);
        if !(1..=LIMIT_MAX).contains(&limit) {
            let detail = format!("limit must be 1 to {LIMIT_MAX}");
            return Err(Problem::bad_request("query_invalid", detail).field("limit"));
        }
        let list = name(list);
        let after = cursor.map(|text| {
            let invalid = || Problem::invalid("cursor_invalid", "The cursor is not one of this list").field("cursor");
            parse(text, list).ok_or_else(invalid)
        });
        Ok(Self { limit, list, after: after.transpose()? })
    }

    /// The first page of a list that is read newest first begins before this id, excluded.
    pub(crate) fn before(&self) -> i64 {
        self.after.unwrap_or(i64::MAX)
    }

    /// The first page of a list that is read oldest first begins behind this id, excluded.
    pub(crate) fn behind(&self) -> i64 {
        self.after.unwrap_or_default()
    }

    pub(crate) const fn is_first(&self) -> bool {
        self.after.is_none()
    }

    /// How many rows to ask for: one more than are shown tells whether there is another page.
    pub(crate) fn rows_max(&self) -> i64 {
        i64::from(self.limit).saturating_add(1)
    }

    /// How many rows to look at where the filters may leave some of them out.
    pub(crate) fn looked_at_max(&self, leaves_out: bool) -> i64 {
        if leaves_out { LOOKED_AT_MAX } else { self.rows_max() }
    }

    /// Takes away the row that is not shown, and says where the next page begins if there is one.
    pub(crate) fn cut<R>(&self, rows: &mut Vec<R>, id: impl Fn(&R) -> i64) -> Option<String> {
        let limit = usize::from(self.limit);
        if rows.len() <= limit {
            return None;
        }
        rows.truncate(limit);
        rows.last().map(|row| self.cursor(id(row)))
    }

    /// The same where `looked_at` are the ids that were looked at, `max` of them if there may be
    /// more. A page may then have fewer rows than its limit, even none, and not be the last one.
    pub(crate) fn cut_of_looked_at<R>(
        &self,
        rows: &mut Vec<R>,
        id: impl Fn(&R) -> i64,
        looked_at: &[i64],
        max: i64,
    ) -> Option<String> {
        let there_may_be_more = i64::try_from(looked_at.len()).is_ok_and(|looked_at| looked_at >= max);
        let behind = looked_at.last().filter(|_| there_may_be_more).map(|last| self.cursor(*last));
        self.cut(rows, id).or(behind)
    }

    fn cursor(&self, id: i64) -> String {
        format!("{FORMAT:02x}{}{}", hex::encode(self.list), hex::encode(id.to_be_bytes()))
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
    /// The page of the list that is named, with all that it depends on.
    ///
    /// # Errors
    /// 422: the cursor is of another list.
    pub(crate) fn page(&self, list: &[&str]) -> Result<Page, Problem> {
        Page::read(self.limit, self.cursor.as_deref(), list)
    }
}

/// A short name for a list and its filters. Each part is length-delimited.
fn name(list: &[&str]) -> [u8; LIST_BYTES] {
    let mut hasher = Sha256::new();
    for part in list {
        hasher.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    let hash: [u8; 32] = hasher.finalize().into();
    hash.first_chunk().copied().unwrap_or_default()
}

fn parse(text: &str, list: [u8; LIST_BYTES]) -> Option<i64> {
    let bytes = hex::decode(text).ok()?;
    let (&FORMAT, rest) = bytes.split_first()? else {
        return None;
    };
    let (named, id) = rest.split_first_chunk::<LIST_BYTES>()?;
    let id = i64::from_be_bytes(id.try_into().ok()?);
    (*named == list && id > 0).then_some(id)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

    use super::Page;

    fn page(limit: u16) -> Page {
        Page::read(Some(limit), None, &["trades", "7"]).unwrap()
    }

    #[test]
    fn a_cursor_is_of_one_list_and_its_filters() {
        let cursor = page(1).cut(&mut vec![9, 8], |id| *id).unwrap();
        let next = Page::read(None, Some(&cursor), &["trades", "7"]).unwrap();
        assert_eq!((next.before(), next.behind(), next.is_first()), (9, 9, false));
        for other in [&["trades", "8"][..], &["trades"], &["trades7"], &["tradess", "7"]] {
            assert_eq!(Page::read(None, Some(&cursor), other).unwrap_err().code(), "cursor_invalid", "{other:?}");
        }
        let zero = format!("{}{}", &cursor[..18], "0".repeat(16));
        let format = cursor.replacen("02", "01", 1);
        for bad in ["", "02", "zz", &cursor[..cursor.len() - 2], &format!("{cursor}00"), &zero, &format] {
            assert!(Page::read(None, Some(bad), &["trades", "7"]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_full_last_page_has_no_next_one() {
        let mut rows = vec![3, 2];
        assert_eq!((page(2).cut(&mut rows, |id| *id), rows.len()), (None, 2));
        assert!(page(1).cut(&mut rows, |id| *id).is_some());
        assert_eq!(rows, [3]);
    }

    #[test]
    fn what_was_left_out_is_not_looked_at_again() {
        let page = page(2);
        let goes_on_after = |rows: &mut Vec<i64>, looked_at: &[i64], max| {
            let cursor = page.cut_of_looked_at(rows, |id| *id, looked_at, max)?;
            Some(Page::read(None, Some(&cursor), &["trades", "7"]).unwrap().before())
        };
        assert_eq!(goes_on_after(&mut vec![9], &[9, 8, 7], 3), Some(7));
        assert_eq!(goes_on_after(&mut vec![9], &[9, 8], 3), None);
        assert_eq!(goes_on_after(&mut vec![9, 8, 7], &[9, 8, 7], 3), Some(8));
        assert_eq!(goes_on_after(&mut Vec::new(), &[], 3), None);
    }
}
