//! The queue when things go wrong: a poisonous job, bad weather, a worker that dies.

use std::time::Duration;

use chrono::{DateTime, TimeDelta};
use jobs::{AnyJob, Verify};
use outbox::{Ask, Ended, Trouble, trouble};
use settlement::Report;

use crate::harness::{Db, SUBMITTER, ask_of, lease_one, register, release, run, until};

const LANE: &str = settlement::Settler::LANE;

/// Lets the registration of one person fail with an SQLSTATE, whenever it is tried.
async fn make_fail(db: &Db, job: i64, code: &str) {
    db.sql(&format!(
        "create or replace function fail() returns trigger language plpgsql as
            $$ begin raise exception 'made to fail' using errcode = '{code}'; end $$;
        create trigger fail_{job} before insert on app_user for each row when (new.id = {job}) execute function fail()"
    ))
    .await;
}

/// `scenario poison_neighbour`: one bad job among 500.
#[tokio::test]
async fn one_poisonous_job_is_parked_and_its_neighbours_settle() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 500]).await;
    let poisonous = ids[321];
    make_fail(&db, poisonous, "23514").await;
    db.sql(&format!("update outbox set attempt = 7 where job_id = {poisonous}")).await;
    let settler = db.settler().await;
    let report = settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap();
    assert_eq!(report, Report { settled: 499, parked: 1, ..Report::default() });
    assert_eq!(db.queue_text().await, "");
    let parked = sqlx::query!("select job_id, reason, detail, attempt, lane, subject from parked")
        .fetch_all(&db.owner)
        .await
        .unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((parked[0].job_id, parked[0].reason.as_str(), parked[0].lane.as_str()), (poisonous, "poison", LANE));
    assert_eq!((parked[0].attempt, parked[0].subject), (7, poisonous), "the fence and the subject go with it");
    assert!(parked[0].detail.contains("made to fail"), "{}", parked[0].detail);
    db.verified().await;
}

#[tokio::test]
async fn several_poisonous_jobs_are_each_found() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 40]).await;
    for place in [0, 7, 8, 39] {
        make_fail(&db, ids[place], "22003").await;
    }
    assert_eq!(db.drain().await, Report { settled: 36, parked: 4, ..Report::default() });
    for place in [0, 7, 8, 39] {
        assert_eq!(db.outcome(ids[place]).await, "parked poison");
    }
    db.verified().await;
}

/// What was recorded by a newer release, or by hand. Its neighbours are not even tried again.
#[tokio::test]
async fn a_payload_that_cannot_be_read_is_parked() {
    let db = Db::new().await;
    let mut ids = Vec::new();
    for (kind, payload) in
        [("user-register", r#"{"surprise":1}"#), ("user-register", "7"), ("user-register", r#"{"referrer_id":7}"#)]
    {
        let mut ask = ask_of(&format!("{kind} {payload}"), &register(None));
        ask.kind = kind;
        ask.payload = payload.to_owned();
        let mut tx = db.owner.begin().await.unwrap();
        ids.push(outbox::enqueue(&mut tx, &[ask]).await.unwrap()[0].job_id());
        tx.commit().await.unwrap();
    }
    let neighbour = db.ask(register(None)).await;
    assert_eq!(db.drain().await, Report { settled: 1, parked: 3, ..Report::default() });
    assert_eq!(db.outcome(neighbour).await, "settled");
    for id in ids {
        assert_eq!(db.outcome(id).await, "parked unreadable");
    }
    db.verified().await;
}

/// A kind that a newer release has asked for is left to that release's workers.
#[tokio::test]
async fn a_kind_that_this_worker_does_not_know_waits() {
    let db = Db::new().await;
    let mut ask = ask_of("of tomorrow", &register(None));
    ask.kind = "unheard-of";
    let mut tx = db.owner.begin().await.unwrap();
    let job = outbox::enqueue(&mut tx, &[ask]).await.unwrap()[0].job_id();
    tx.commit().await.unwrap();
    let settler = db.settler().await;
    assert_eq!(db.drain_due(&settler).await, Report { postponed: 1, ..Report::default() });
    assert_eq!(db.outcome(job).await, "queued");
    assert!(db.queue_text().await.contains("this worker does not know the kind"));
}

/// Nothing ties a row of the outbox to a job. One that stands alone must not stop the lane.
#[tokio::test]
async fn a_row_without_its_job_ends_with_a_person() {
    let db = Db::new().await;
    let before = db.ask(register(None)).await;
    let orphan = "insert into outbox (job_id, lane, slot, subject, run_at) values (1000000, 'ledger', 1, 1, clock())";
    run(&db.api, orphan).await.unwrap();
    let after = db.ask(register(None)).await;
    assert_eq!(db.drain().await, Report { settled: 2, parked: 1, ..Report::default() });
    assert_eq!((db.outcome(before).await.as_str(), db.outcome(after).await.as_str()), ("settled", "settled"));
    assert_eq!(db.outcome(1_000_000).await, "parked unreadable");
    let found = integrity::verify(&db.worker).await.unwrap();
    assert_eq!(found.failed().map(|check| check.name).collect::<Vec<_>>(), ["queue-rows-have-jobs"]);
}

/// RULES 7: a minute without Postgres must not park the backlog.
#[tokio::test]
async fn weather_blames_no_job_and_counts_no_attempt() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 20]).await;
    for code in ["40001", "40P01", "53200", "55P03", "57014", "57P01", "58030", "XX000", "08006"] {
        make_fail(&db, ids[3], code).await;
        let settler = db.settler().await;
        let error = settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap_err();
        assert_eq!(trouble(&error), Trouble::Weather, "{code}");
        db.sql(&format!("drop trigger fail_{} on app_user", ids[3])).await;
        let kept = sqlx::query!(
            r#"select count(*) as "queued!", max(attempt) as "attempt!", (select count(*) from parked) as "parked!",
                (select count(*) from app_user) as "people!" from outbox"#
        )
        .fetch_one(&db.owner)
        .await
        .unwrap();
        assert_eq!((kept.queued, kept.attempt, kept.parked, kept.people), (20, 0, 0, 0), "{code}");
    }
    assert_eq!(db.drain().await.settled, 20);
    db.verified().await;
}

#[tokio::test]
async fn a_connection_that_is_killed_in_the_middle_loses_nothing() {
    let db = Db::new().await;
    let ids = db.ask_all(&vec![register(None); 20]).await;
    let settler = db.settler().await;
    let batch = settler.claim().await.unwrap().unwrap();
    let killed = sqlx::query_scalar!(
        r#"
        select count(pg_terminate_backend(pid)) as "n!" from pg_stat_activity
        where datname = current_database() and usename = 'holdfast_worker' and state = 'idle in transaction'
        "#
    );
    assert_eq!(killed.fetch_one(&db.owner).await.unwrap(), 1);
    let error = settler.settle(batch).await.unwrap_err();
    assert_eq!(trouble(&error), Trouble::Weather, "{error}");
    assert!(ids.iter().all(|id| *id > 0));
    // The locks go when the server has noticed.
    let kept = async || {
        sqlx::query_scalar!(
            r#"select count(*) as "n!" from (select from outbox where attempt = 0 for update skip locked) f"#
        )
        .fetch_one(&db.owner)
        .await
        .unwrap()
    };
    until("the jobs are free", async || kept().await == 20).await;
    // The same worker goes on, on a new connection.
    assert_eq!(db.drain_with(&settler).await, Report { settled: 20, ..Report::default() });
    db.verified().await;
}

#[tokio::test]
async fn a_job_in_one_workers_hands_is_in_no_others() {
    let db = Db::new().await;
    db.ask_all(&vec![register(None); 10]).await;
    let (one, two) = (db.settler_on(db.worker.clone(), 6).await, db.settler_on(db.worker.clone(), 6).await);
    let first = one.claim().await.unwrap().unwrap();
    let second = two.claim().await.unwrap().unwrap();
    assert_eq!((first.len(), second.len()), (6, 4));
    assert!(first.ids().iter().all(|id| !second.ids().contains(id)));
    assert!(two.claim().await.unwrap().is_none());
    // A batch that is dropped is free again, and nothing of it has happened.
    drop(first);
    assert_eq!(two.settle(second).await.unwrap().settled, 4);
    until("the dropped batch is due again", async || db.drain_due(&two).await.settled == 6).await;
    db.verified().await;
}

/// Two recordings may be under way at once: what was recorded first and committed last is due before
/// what was claimed meanwhile, and the next claim has it.
#[tokio::test]
async fn what_is_committed_late_is_claimed_next() {
    let db = Db::new().await;
    let settler = db.settler().await;
    let due = DateTime::UNIX_EPOCH + TimeDelta::days(1);
    let ask = |key, ms| [Ask { run_at: Some(due + TimeDelta::milliseconds(ms)), ..ask_of(key, &register(None)) }];
    let mut late = db.owner.begin().await.unwrap();
    let mut soon = db.owner.acquire().await.unwrap();
    let first = outbox::enqueue(&mut late, &ask("first", 0)).await.unwrap()[0].job_id();
    let second = outbox::enqueue(&mut soon, &ask("second", 900)).await.unwrap()[0].job_id();
    let batch = settler.claim().await.unwrap().unwrap();
    assert_eq!((batch.ids(), batch.has_all()), (vec![second], true));
    late.commit().await.unwrap();
    let third = outbox::enqueue(&mut soon, &ask("third", 950)).await.unwrap()[0].job_id();
    let behind = settler.claim().await.unwrap().unwrap();
    assert_eq!((behind.ids(), behind.has_all()), (vec![first, third], true));
    let (one, other) = tokio::join!(settler.settle(batch), settler.settle(behind));
    assert_eq!((one.unwrap().settled, other.unwrap().settled), (1, 2));
    db.verified().await;
}

/// Where it is told to, a worker takes fewer jobs beside another one, and never more than it may have.
#[tokio::test]
async fn batches_are_smaller_in_company() {
    let db = Db::new().await;
    db.ask_all(&vec![register(None); 80]).await;
    for (batch_max_in_company, has_less, sizes) in
        [(5, true, [10, 5]), (10, true, [10, 10]), (20, true, [10, 10]), (u16::MAX, false, [10, 10])]
    {
        let settings = settlement::Settings { batch_max: 10, batch_max_in_company, ..Default::default() };
        let settler = settlement::Settler::new(db.worker.clone(), settings, 0).await.unwrap();
        assert_eq!(settler.has_less_in_company(), has_less);
        let alone = settler.claim().await.unwrap().unwrap();
        settler.company(true);
        let beside = settler.claim().await.unwrap().unwrap();
        assert_eq!([alone.len(), beside.len()], sizes);
        assert!(alone.is_full() && beside.is_full());
        for batch in [alone, beside] {
            settler.settle(batch).await.unwrap();
        }
    }
    db.drain().await;
    db.verified().await;
}

/// Whoever has a full batch is told that there may be more; whoever follows it up looks from where it
/// ended, and cannot know of what is late.
#[tokio::test]
async fn a_full_batch_is_followed_by_another_look() {
    let db = Db::new().await;
    db.ask_all(&vec![register(None); 5]).await;
    let settler = db.settler_on(db.worker.clone(), 4).await;
    let full = settler.claim().await.unwrap().unwrap();
    assert_eq!((full.len(), full.has_all()), (4, false));
    let rest = settler.claim().await.unwrap().unwrap();
    assert_eq!((rest.len(), rest.has_all()), (1, false));
    let (one, other) = tokio::join!(settler.settle(full), settler.settle(rest));
    assert_eq!((one.unwrap().settled, other.unwrap().settled), (4, 1));
    assert!(settler.claim().await.unwrap().is_none());
    db.verified().await;
}

/// A job is never at an earlier attempt than it was, wherever it goes.
#[tokio::test]
async fn the_fence_never_restarts() {
    let db = Db::new().await;
    let id = db.ask(release(1_000_000, 1)).await;
    let settler = db.settler().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        assert_eq!(db.drain_due(&settler).await.ended(), 0);
        let row = sqlx::query!("select attempt, last_error from outbox where job_id = $1", id)
            .fetch_one(&db.owner)
            .await
            .unwrap();
        seen.push(row.attempt);
        assert_eq!(row.last_error.as_deref(), Some("the trade's lock has not settled yet"));
        db.pass("5 seconds").await;
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "{seen:?}");
    let mut tx = db.worker.begin().await.unwrap();
    let leased = outbox::lease(&mut tx, LANE, 1, Duration::from_secs(1), None).await.unwrap();
    assert_eq!(leased[0].attempt, seen[3] + 1);
    // Whatever follows from an earlier claim hits no row, and takes its transaction down.
    let late = outbox::Parked { job_id: id, attempt: seen[3], reason: "late", detail: String::new() };
    assert!(matches!(outbox::park(&mut tx, &[late]).await, Err(sqlx::Error::RowNotFound)));
    let late = outbox::Postponed { job_id: id, attempt: seen[3], after: Duration::ZERO, why: "late" };
    assert!(matches!(outbox::postpone(&mut tx, &[late]).await, Err(sqlx::Error::RowNotFound)));
    let parked = outbox::Parked { job_id: id, attempt: leased[0].attempt, reason: "asked", detail: "a\0b".to_owned() };
    outbox::park(&mut tx, &[parked]).await.unwrap();
    tx.commit().await.unwrap();
    let kept =
        sqlx::query!("select attempt, detail from parked where job_id = $1", id).fetch_one(&db.owner).await.unwrap();
    assert_eq!((kept.attempt, kept.detail.as_str()), (leased[0].attempt, "a\u{fffd}b"));
}

/// A server that took over has lost the newest accounts and given
/// their ids to others. A worker that remembers the old ones credits whom the job names.
#[tokio::test]
async fn an_id_that_has_become_anothers_is_looked_up_again() {
    let db = Db::new().await;
    let [first, second] = db.people().await;
    let settler = db.settler().await;
    // Too much to be credited at once: their wallets are made, and nothing is in them.
    for person in [first, second] {
        db.deposit(person, "btc", "5000").await;
    }
    db.drain_with(&settler).await;
    db.sql(&format!(
        "set session_replication_role = replica;
        alter table account drop constraint account_key_unique;
        update account set owner = {first} + {second} - owner where owner in ({first}, {second});
        alter table account add constraint account_key_unique unique (owner, asset, purpose, stripe)"
    ))
    .await;
    let job = db.deposit(first, "btc", "0.5").await;
    db.drain_with(&settler).await;
    assert_eq!((db.outcome(job).await.as_str(), db.result(job).await.as_str()), ("settled", ""));
    let whose = sqlx::query_scalar!("select a.owner from account a join entry e on e.account_id = a.id where a.id > 0")
        .fetch_all(&db.owner)
        .await
        .unwrap();
    assert_eq!(whose, [first]);
    db.verified().await;
}

/// Few are ended by one statement, many by a copy and another.
#[tokio::test]
async fn what_ends_is_compared_with_the_attempt_that_it_was_claimed_with() {
    let db = Db::new().await;
    for count in [3, 300] {
        let jobs = db.ask_all(&vec![register(None); count]).await;
        for (attempt, holds) in [(1, false), (0, true)] {
            let mut tx = db.worker.begin().await.unwrap();
            let now = outbox::clock(&mut tx).await.unwrap();
            let end = |job_id: i64| Ended {
                job_id,
                attempt: if job_id == jobs[1] { attempt } else { 0 },
                status: "settled",
                reason: None,
                result: None,
                attempts: 1,
            };
            let ended: Vec<Ended> = jobs.iter().copied().map(end).collect();
            let result = outbox::complete(&mut tx, &ended, &[], now).await;
            assert_eq!(result.is_ok(), holds, "{count} jobs: {result:?}");
            tx.rollback().await.unwrap();
        }
        db.drain().await;
    }
    db.verified().await;
}

/// A verification that is under way has no batch of the ledger look for what it might stand behind.
#[tokio::test]
async fn what_waits_in_another_lane_is_nothing_to_this_one() {
    let db = Db::new().await;
    db.operators().await;
    db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    db.ask(register(None)).await;
    assert!(lease_one(&db.verifier().await).await.is_some());
    let mut connection = db.worker.acquire().await.unwrap();
    for (lane, waits) in [(LANE, false), ("verify", true)] {
        assert_eq!(outbox::moment(&mut connection, lane).await.unwrap().waiting, waits, "{lane}");
    }
}
