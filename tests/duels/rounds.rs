use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::harness::Db;

/// How the job of one side ended.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    /// The job; of two in one transaction the lower one was decided first.
    pub(super) job: i64,
    /// `settled`, or how it was refused and the state that it found: `rejected wrong_state paid`.
    pub(super) said: String,
    /// How often it was tried.
    pub(super) attempts: i32,
    /// Its transaction.
    pub(super) xid: String,
    /// The process whose transaction it was.
    pub(super) process: String,
    /// When that transaction began, in the server's time.
    pub(super) began: DateTime<Utc>,
    /// When it committed.
    pub(super) committed: DateTime<Utc>,
}

/// One subject, and what came of the two jobs about it.
#[derive(Clone, Debug)]
pub(super) struct Round(pub(super) [Turn; 2]);

impl Round {
    /// Whether each side had a transaction of its own.
    pub(super) fn apart(&self) -> bool {
        self.0[0].xid != self.0[1].xid
    }

    /// Whether transactions of both processes were open at the same moment.
    pub(super) fn overlapped(&self) -> bool {
        let [one, two] = &self.0;
        one.process != two.process && one.began < two.committed && two.began < one.committed
    }

    /// The side that came first.
    pub(super) fn first(&self) -> usize {
        let [one, two] = &self.0;
        usize::from((two.committed, two.job) < (one.committed, one.job))
    }

    /// What each side was told.
    pub(super) fn said(&self) -> [&str; 2] {
        [&self.0[0].said, &self.0[1].said]
    }

    /// The one side that settled. The other one came later and was told `refused` of its side.
    pub(super) fn one_winner(&self, refused: [&str; 2]) -> usize {
        let winner = match self.said() {
            ["settled", told] if told == refused[1] => 0,
            [told, "settled"] if told == refused[0] => 1,
            _ => panic!("no winner, or two: {self:?}"),
        };
        assert_eq!(winner, self.first(), "the one who came first was refused: {self:?}");
        winner
    }
}

/// What came of the jobs. The time at which an outcome was finished is that at which its
/// transaction began; the server keeps when it committed. `processes` has whose each transaction was.
pub(super) async fn rounds_of(db: &Db, jobs: &[[i64; 2]], processes: &HashMap<String, String>) -> Vec<Round> {
    let ids: Vec<i64> = jobs.iter().flatten().copied().collect();
    let rows = sqlx::query!(
        r#"
        select o.job_id, concat_ws(' ', o.status, o.reason, o.result ->> 'state') as "said!", o.attempts,
            o.xmin::text as "xid!", o.finished_at - s.shift as "began!", pg_xact_commit_timestamp(o.xmin) as "committed!"
        from outcome o cross join clock_shift s
        where o.job_id = any ($1)
        "#,
        &ids,
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let mut turns: HashMap<i64, Turn> = rows
        .into_iter()
        .map(|row| {
            let (job, said, attempts) = (row.job_id, row.said, row.attempts);
            let process = processes[&row.xid].clone();
            (job, Turn { job, said, attempts, xid: row.xid, process, began: row.began, committed: row.committed })
        })
        .collect();
    let mut turn = |job| turns.remove(&job).unwrap_or_else(|| panic!("job {job} has no outcome"));
    jobs.iter().map(|[one, two]| Round([turn(*one), turn(*two)])).collect()
}
