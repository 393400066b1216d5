use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use outbox::{Ask, Recorded};
use settlement::Settler;
use tokio::sync::{Mutex, MutexGuard};

use super::processes::Process;
use super::rounds::{Round, rounds_of};
use crate::harness::{Db, until};

/// How many subjects the two workers meet on at once.
const GROUP: usize = 4;

/// How many jobs a worker claims at once: the sides of one group that come second, and those of the
/// next one that come first.
const BATCH: usize = 2 * GROUP;

/// Over a network every transaction takes some milliseconds. On this machine it may be over before
/// the other process has had its turn at a processor, and then the two never meet. So who has
/// written commits when the other process waits for it, or has written too; but not after a fifth of
/// a second, for the other one may have nothing to do with it. A quarter of them only take some
/// milliseconds, so that there are also commits that nobody waits for yet.
const LET_THEM_MEET: &str = "
    create table meeting (xid text primary key, process text not null, was_awaited boolean not null);
    create function let_them_meet() returns trigger language plpgsql security definer as $$
    declare
        me text := current_setting('application_name');
        until timestamptz := clock_timestamp() + interval '200 milliseconds';
        is_there boolean := false;
        is_awaited boolean := false;
    begin
        if random() < 0.25 then
            perform pg_sleep(random() * 0.005);
        else
            while not is_there and clock_timestamp() < until loop
                perform pg_sleep(0.001), pg_stat_clear_snapshot();
                select count(*) > 0, coalesce(bool_or(not l.granted), false) into is_there, is_awaited
                from pg_stat_activity a join pg_locks l using (pid)
                where a.datname = current_database() and a.application_name <> me and (
                    l.relation = tg_relid and l.mode = 'RowExclusiveLock'
                    or not l.granted and pg_backend_pid() = any (pg_blocking_pids(l.pid)));
            end loop;
        end if;
        insert into meeting values (pg_current_xact_id()::xid::text, me, is_awaited)
        on conflict (xid) do update set was_awaited = meeting.was_awaited or excluded.was_awaited;
        return null;
    end $$;
";

/// Longest time that the workers may take.
const PATIENCE: Duration = Duration::from_mins(5);

/// Races of two processes each would only wait for each other's processor time.
static ONE_RACE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// The database of one race.
pub(super) struct Ring {
    pub(super) db: Db,
    name: &'static str,
    sides: [&'static str; 2],
    _alone: MutexGuard<'static, ()>,
}

impl Ring {
    pub(super) async fn new(name: &'static str, sides: [&'static str; 2]) -> Self {
        let alone = ONE_RACE_AT_A_TIME.lock().await;
        Self { db: Db::new().await, name, sides, _alone: alone }
    }

    /// Lets two worker processes settle what `record` records: the jobs of each round. They are up
    /// and have nothing to do before it does.
    pub(super) async fn fight(&self, record: impl AsyncFnOnce(&Db) -> Vec<[i64; 2]>) -> Vec<Round> {
        self.let_them_meet("outcome").await;
        let workers = [Process::worker(&self.db, BATCH).await, Process::worker(&self.db, BATCH).await];
        until_they_know_of_each_other(&self.db).await;
        let jobs = record(&self.db).await;
        outbox::nudge(&self.db.owner, Settler::LANE).await.unwrap();
        self.until_nothing_is_due().await;
        for worker in workers {
            // Nothing of a race is weather: no deadlock, no batch that was rolled back.
            let log = worker.stop().await;
            assert!(log.contains(" INFO "), "{}: nobody would see trouble in this log:\n{log}", self.name);
            assert!(!log.contains(" WARN ") && !log.contains("ERROR "), "{}: a worker met trouble:\n{log}", self.name);
        }
        let meetings: Vec<(String, String, bool)> =
            sqlx::query_as("select xid, process, was_awaited from meeting").fetch_all(&self.db.owner).await.unwrap();
        let awaited = meetings.iter().filter(|(_, _, was_awaited)| *was_awaited).count();
        // Fewer where a worker has two batches in hand, as it may with more cores: its own also wait for each other.
        assert!(awaited * 10 >= meetings.len(), "{}: {awaited} of {} were awaited", self.name, meetings.len());
        let workers = meetings.into_iter().map(|(xid, process, _)| (xid, process)).collect();
        rounds_of(&self.db, &jobs, &workers).await
    }

    /// Has those who write into a table wait for each other before they commit.
    pub(super) async fn let_them_meet(&self, table: &str) {
        self.db.sql(LET_THEM_MEET).await;
        let each = "for each statement execute function let_them_meet()";
        self.db.sql(&format!("create trigger let_them_meet after insert on {table} {each}")).await;
    }

    /// As [`Ring::fight`], with jobs that are all asked for in one commit.
    pub(super) async fn fight_over(&self, asks: Vec<[Ask; 2]>) -> Vec<Round> {
        self.fight(async |db| record(db, asks).await).await
    }

    /// Returns when nothing is queued but timers whose time is yet to come.
    async fn until_nothing_is_due(&self) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let due = sqlx::query_scalar!(
                r#"select count(*) as "n!" from outbox where lane = 'ledger' and run_at < clock() + interval '5 minutes'"#
            );
            let due = due.fetch_one(&self.db.owner).await.unwrap();
            if due == 0 {
                return;
            }
            assert!(Instant::now() < deadline, "{}: {due} jobs are left, and time is up", self.name);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sees that the run proves something: enough rounds overlapped, and each side won its share of
    /// those. `winners` has the side that won each round.
    pub(super) async fn over(self, rounds: &[Round], winners: &[usize]) {
        assert_eq!((rounds.len(), winners.len()), (super::asked_rounds(), super::asked_rounds()));
        let overlapped: Vec<usize> =
            rounds.iter().zip(winners).filter(|(round, _)| round.overlapped()).map(|(_, winner)| *winner).collect();
        let wins = [0, 1].map(|side| overlapped.iter().filter(|winner| **winner == side).count());
        let again = rounds.iter().flat_map(|round| &round.0).filter(|turn| turn.attempts > 1).count();
        let [one, two] = self.sides;
        let line = format!(
            "duel: {:<38} {:>5} rounds, {} overlapped, of which {one} won {} and {two} {}; {again} jobs were put back",
            self.name,
            rounds.len(),
            share(overlapped.len(), rounds.len()),
            share(wins[0], overlapped.len()),
            share(wins[1], overlapped.len()),
        );
        #[expect(clippy::print_stdout, reason = "the run says how often the two sides really met")]
        {
            println!("{line}");
        }
        assert!(overlapped.len() * 5 >= rounds.len(), "too few transactions overlapped; {line}");
        assert!(wins.iter().all(|wins| wins * 20 >= overlapped.len()), "one side hardly ever wins; {line}");
        let parked = sqlx::query_scalar!(r#"select count(*) as "n!" from parked"#);
        assert_eq!(parked.fetch_one(&self.db.owner).await.unwrap(), 0, "no job of a race needs a person");
        self.db.verified().await;
    }
}

/// Returns when both workers have nothing to do and know that they are two: a worker that takes itself to be alone has
/// more in hand, and trusts what it remembers.
pub(super) async fn until_they_know_of_each_other(db: &Db) {
    let (mut seen, mut beats) = (HashMap::new(), 0);
    // Whoever has beaten twice since both were there has looked in between who is about.
    until("both workers are idle and have beaten twice", async || {
        let now = idle_workers(db).await;
        if now.len() != 2 {
            return false;
        }
        if now.keys().any(|run| !seen.contains_key(run)) {
            (seen, beats) = (now, 0);
        } else if now.iter().all(|(run, beat_at)| *beat_at > seen[run]) {
            (seen, beats) = (now, beats + 1);
        }
        beats == 2
    })
    .await;
}

/// The workers that are alive, hold nothing and listen for what there is to do; each with when it last beat.
async fn idle_workers(db: &Db) -> HashMap<i64, DateTime<Utc>> {
    let rows = sqlx::query!(
        r#"
        select r.id, r.beat_at from worker_run r
        where r.lane = 'ledger' and r.end_kind is null and r.beat_at > clock() - interval '2 seconds' and r.holding = '{}' and exists (
            select from pg_stat_activity a where a.datname = current_database()
                and starts_with(a.application_name, left(r.name, 63)) and a.query = 'LISTEN "holdfast_ledger"')
        "#
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    rows.into_iter().map(|row| (row.id, row.beat_at)).collect()
}

/// Per cent with one decimal.
fn share(part: usize, whole: usize) -> String {
    let thousandths = (part * 1_000).checked_div(whole).unwrap_or_default();
    format!("{}.{} %", thousandths / 10, thousandths % 10)
}

/// Puts what belongs to each side of each pair into the order in which two workers meet again and
/// again: each batch has the second sides of the group that the batch before it had the first sides
/// of, so that whoever holds it waits for the other worker, is waited for by it next, and neither
/// gets ahead. Which side comes second changes with each group. Wherever a batch begins, no pair is
/// in one. With each, its place in the pairs.
pub(super) fn in_order_of_meeting<T>(pairs: Vec<[T; 2]>) -> Vec<(usize, usize, T)> {
    let places = 2 * pairs.len();
    let numbered = pairs.into_iter().enumerate().flat_map(|(pair, [one, two])| [(pair, 0, one), (pair, 1, two)]);
    let mut ordered: Vec<(usize, usize, T)> = numbered.collect();
    ordered.sort_by_key(|(pair, side, _)| {
        let comes_second = pair / GROUP % 2 != *side;
        // The first batch has to be whole as well, so the last group is met at both ends.
        if comes_second { (2 * pair + BATCH + 1) % places } else { 2 * pair }
    });
    ordered
}

/// Records the asks of all pairs in one commit. The jobs of each pair.
async fn record(db: &Db, asks: Vec<[Ask; 2]>) -> Vec<[i64; 2]> {
    let mut jobs = vec![[0; 2]; asks.len()];
    let (places, asks): (Vec<_>, Vec<_>) =
        in_order_of_meeting(asks).into_iter().map(|(pair, side, ask)| ((pair, side), ask)).unzip();
    let recorded = db.enqueue(&asks).await.unwrap();
    for ((pair, side), recorded) in places.into_iter().zip(recorded) {
        assert!(matches!(recorded, Recorded::New(_)), "{recorded:?}");
        jobs[pair][side] = recorded.job_id();
    }
    jobs
}
