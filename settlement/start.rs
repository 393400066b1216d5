//! Where the next claim starts.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use outbox::Cursor;

/// How long claims may start behind what came back, such as the jobs of a worker that died.
const LIFE: Duration = Duration::from_secs(1);
/// Two looks from the beginning in a row that take this long are dear: they step over more dead rows than are left in a
/// queue that is cleaned up every few seconds, as while somebody keeps a snapshot open.
const DEAR: Duration = Duration::from_millis(100);
/// After a dear look none is made for so many times what it took.
const REST: u32 = 20;
/// One is made this often, unless it takes longer still.
const REST_MAX: Duration = Duration::from_secs(30);

/// Where the next claim starts, and when one starts from the beginning.
#[derive(Debug)]
pub(crate) struct Start {
    /// Behind what was claimed last.
    next: Cursor,
    /// Before the first of what is due again since.
    owed: Option<Cursor>,
    /// When a claim last started further back than behind the one before.
    stepped_back: Instant,
    /// When the last look from the beginning was over.
    looked: Instant,
    was_dear: bool,
    /// How long none is made after that; zero unless they are dear.
    rest: Duration,
}

impl Start {
    /// At the beginning.
    pub(crate) const fn new(now: Instant) -> Self {
        Self { next: Cursor::START, owed: None, stepped_back: now, looked: now, was_dear: false, rest: Duration::ZERO }
    }

    /// Where a claim starts now.
    pub(crate) fn of_claim(&mut self, now: Instant) -> Cursor {
        let is_time = now.saturating_duration_since(self.stepped_back) >= LIFE;
        if is_time || self.owed.is_some() {
            self.stepped_back = now;
            if !self.is_dear() {
                self.owed = None;
                return Cursor::START;
            }
            if self.has_rested(now) {
                // What is owed stays owed, since such a look may not come to its end.
                return Cursor::START;
            }
        }
        match self.owed.take() {
            Some(owed) if owed.run_at <= self.next.run_at => owed,
            Some(_) | None if is_time => before_late(self.next),
            Some(_) | None => self.next,
        }
    }

    /// Where a claim starts once more that found nothing: what was recorded earlier and committed later, or came back,
    /// lies before it.
    pub(crate) fn once_more(&mut self, from: Cursor, now: Instant) -> Option<Cursor> {
        if from.is_start() {
            return None;
        }
        if self.has_rested(now) {
            self.stepped_back = now;
            return Some(Cursor::START);
        }
        (!from.sees_late()).then(|| Cursor::late(from.run_at))
    }

    /// A look from the beginning is over, and took that long.
    pub(crate) fn looked(&mut self, now: Instant, took: Duration) {
        let is_dear = took >= DEAR;
        self.rest =
            if is_dear && self.was_dear { took.saturating_mul(REST).min(REST_MAX.max(took)) } else { Duration::ZERO };
        self.was_dear = is_dear;
        self.looked = now;
    }

    /// A look did not come to its end: what it would have seen is still to be seen.
    pub(crate) fn failed(&mut self, from: Cursor, now: Instant, took: Duration) {
        if !from.is_start() {
            self.owe(from);
        } else if took >= DEAR {
            self.looked(now, took);
        }
    }

    /// Whether there is nowhere to look but the beginning, and looks from there are dear.
    pub(crate) fn is_lost(&self) -> bool {
        self.is_dear() && self.next.is_start()
    }

    /// Goes on behind the last row of a claim; or, if it found all that was due further back, where it was.
    pub(crate) fn found(&mut self, last: Cursor) {
        let is_behind = last.sees_late() && last.run_at < self.next.run_at;
        self.next = if self.is_dear() && is_behind { before_late(self.next) } else { last };
    }

    /// Nothing is due, or the lane is paused. Where that is dear to find out the next claim starts where this one did,
    /// or before what became due since `at`.
    pub(crate) fn found_nothing(&mut self, at: Option<DateTime<Utc>>) {
        self.next = match at {
            Some(_) | None if !self.is_dear() => Cursor::START,
            Some(at) => Cursor::late(at),
            None => before_late(self.next),
        };
    }

    /// Something is due again that was claimed.
    pub(crate) fn go_back(&mut self, to: DateTime<Utc>) {
        self.owe(Cursor::late(to));
    }

    fn owe(&mut self, cursor: Cursor) {
        if self.owed.is_none_or(|owed| cursor.run_at < owed.run_at) {
            self.owed = Some(cursor);
        }
    }

    const fn is_dear(&self) -> bool {
        !self.rest.is_zero()
    }

    fn has_rested(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.looked) >= self.rest
    }
}

/// Where what was committed late is seen as well.
fn before_late(cursor: Cursor) -> Cursor {
    if cursor.sees_late() { cursor } else { Cursor::late(cursor.run_at) }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use chrono::{DateTime, Utc};
    use outbox::Cursor;

    use super::Start;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    /// The second and the job that a claim starts behind.
    fn place(cursor: Cursor) -> (i64, i64) {
        (cursor.run_at.timestamp(), cursor.job_id)
    }

    const START: (i64, i64) = (0, 0);

    /// A start behind job 7 of second 100, after two looks that took so many milliseconds, and a later moment.
    fn behind(took: u64) -> (Start, impl Fn(u64) -> Instant) {
        let begin = Instant::now();
        let mut start = Start::new(begin);
        assert_eq!(place(start.of_claim(begin)), START);
        start.looked(begin, Duration::from_millis(took));
        start.looked(begin, Duration::from_millis(took));
        start.found(Cursor { run_at: at(100), job_id: 7 });
        (start, move |ms| begin.checked_add(Duration::from_millis(ms)).unwrap())
    }

    #[test]
    fn cheap_looks_from_the_beginning_are_made_each_second_and_whenever_nothing_was_found() {
        let (mut start, later) = behind(99);
        let from = start.of_claim(later(1));
        assert_eq!(place(from), (100, 7));
        assert_eq!(start.once_more(from, later(1)).map(place), Some(START));
        assert_eq!(place(start.of_claim(later(1000))), (100, 7));
        assert_eq!(place(start.of_claim(later(1001))), START);
        assert_eq!(start.once_more(Cursor::START, later(1001)).map(place), None, "it was just done");
        start.found_nothing(None);
        assert_eq!(place(start.of_claim(later(1002))), START);
    }

    #[test]
    fn one_long_look_is_an_accident() {
        let (mut start, later) = behind(1);
        start.looked(later(500), Duration::from_millis(500));
        assert_eq!(place(start.of_claim(later(1000))), START);
    }

    #[test]
    fn after_a_dear_one_there_is_rest_and_the_last_second_is_looked_through_meanwhile() {
        let (mut start, later) = behind(200);
        let from = start.of_claim(later(999));
        assert_eq!(place(from), (100, 7));
        let again = start.once_more(from, later(999)).unwrap();
        assert_eq!(place(again), (99, 0));
        assert_eq!(start.once_more(again, later(999)).map(place), None, "nothing else is there to be seen");
        assert_eq!(place(start.of_claim(later(1000))), (99, 0), "once a second in any case");
        assert_eq!(place(start.of_claim(later(1001))), (100, 7));
        assert_eq!(start.once_more(from, later(4000)).map(place), Some(START));
        start.looked(later(4200), Duration::from_millis(200));
        assert_eq!(place(start.of_claim(later(8199))), (99, 0));
        assert_eq!(place(start.of_claim(later(9199))), START);
    }

    #[test]
    fn an_empty_queue_is_not_walked_through_with_each_claim_nor_is_a_paused_one_jumped_over() {
        let (mut start, later) = behind(200);
        assert!(!start.is_lost());
        start.found_nothing(None);
        start.found_nothing(None);
        assert_eq!(place(start.of_claim(later(1))), (99, 0));
        let begin = later(0);
        let mut fresh = Start::new(begin);
        fresh.looked(begin, Duration::from_millis(200));
        fresh.looked(begin, Duration::from_millis(200));
        assert!(fresh.is_lost());
        fresh.found_nothing(None);
        assert_eq!(place(fresh.of_claim(later(1))), START);
        fresh.found_nothing(Some(at(50)));
        assert_eq!(place(fresh.of_claim(later(2))), (49, 0));
    }

    #[test]
    fn rest_has_an_end_and_is_no_shorter_than_the_look() {
        let (mut start, later) = behind(20_000);
        assert_ne!(place(start.of_claim(later(29_999))), START);
        assert_eq!(place(start.of_claim(later(30_999))), START);
        start.looked(later(100_000), Duration::from_secs(45));
        assert_ne!(place(start.of_claim(later(144_999))), START);
        start.looked(later(145_000), Duration::ZERO);
        assert_eq!(place(start.of_claim(later(146_000))), START, "they are cheap again");
    }

    #[test]
    fn what_is_due_again_is_gone_back_to_whatever_was_claimed_meanwhile() {
        let (mut start, later) = behind(1);
        start.go_back(at(50));
        start.found(Cursor { run_at: at(200), job_id: 9 });
        assert_eq!(place(start.of_claim(later(1))), START);
        let (mut start, later) = behind(200);
        start.go_back(at(60));
        start.go_back(at(50));
        start.go_back(at(70));
        start.found(Cursor { run_at: at(200), job_id: 9 });
        assert_eq!(place(start.of_claim(later(1))), (49, 0));
        assert_eq!(place(start.of_claim(later(2))), (200, 9), "once");
    }

    #[test]
    fn however_often_something_is_gone_back_to_the_beginning_gets_its_turn() {
        let (mut start, later) = behind(200);
        for ms in (500..4000).step_by(500) {
            start.go_back(at(50));
            assert_eq!(place(start.of_claim(later(ms))), (49, 0));
            // All that was due there: claims go on where they were.
            start.found(Cursor::late(at(51)));
            assert_eq!(place(start.of_claim(later(ms + 1))), (99, 0));
        }
        start.go_back(at(50));
        assert_eq!(place(start.of_claim(later(4000))), START);
    }

    #[test]
    fn a_look_that_fails_has_seen_nothing() {
        let (mut start, later) = behind(200);
        start.go_back(at(50));
        let from = start.of_claim(later(1));
        start.failed(from, later(2), Duration::from_millis(1));
        assert_eq!(place(start.of_claim(later(3))), (49, 0), "from where it failed");
        // From the beginning the server gives up after thirty seconds.
        start.go_back(at(60));
        assert_eq!(place(start.of_claim(later(4000))), START);
        start.failed(Cursor::START, later(34_000), Duration::from_secs(30));
        assert_eq!(place(start.of_claim(later(34_001))), (59, 0), "which is not forgotten");
        assert_ne!(place(start.of_claim(later(63_999))), START);
        assert_eq!(place(start.of_claim(later(65_000))), START);
    }
}
