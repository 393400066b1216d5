//! `holdfast top`, one look as text.

use expect_test::expect;
use jobs::{AnyJob, PauseScope, Verify};
use outbox::Run;

use crate::cli::processes::holdfast;
use crate::harness::{Db, SUBMITTER, lock, pause, refund, register};

/// What it prints, with what depends on the moment blotted out.
async fn top(db: &Db, login: &str) -> String {
    let ran = holdfast("top --once", &[("DATABASE_URL", &db.url(login).await)]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let words = |line: &str| {
        let mut text = String::new();
        let mut words = line.split(' ').peekable();
        while let Some(word) = words.next() {
            let unit = words.peek().is_some_and(|next| ["ms", "s", "min", "checks"].contains(next));
            let is_time =
                word.contains(':') && word.contains(|c: char| c.is_ascii_digit()) || word.matches('-').count() == 2;
            let is_number = text.ends_with("schema ");
            text += if is_number || (unit && word.parse::<i64>().is_ok()) || is_time { "#" } else { word };
            text += " ";
        }
        text.split_whitespace().collect::<Vec<_>>().join(" ").replace("# ms", "#").replace("# s", "#")
    };
    ran.stdout.lines().map(words).collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn it_shows_an_empty_database_as_it_is() {
    let db = Db::new().await;
    expect![[r#"
        holdfast # # UTC schema #
        last second settled 0 rejected 0 cancelled 0
        verify never run as a job

        lane due later oldest due
        ledger 0 0 -
        provider 0 0 -
        notify 0 0 -
        operate 0 0 -
        verify 0 0 -

        parked: none

        paused: nothing

        workers: none"#]]
    .assert_eq(&top(&db, "holdfast_api").await);
}

#[tokio::test]
async fn it_shows_what_is_queued_parked_paused_and_working() {
    let db = Db::new().await;
    db.operators().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.ask_as(SUBMITTER, pause(PauseScope::Kind, "lock-escrow")).await;
    db.ask_as(SUBMITTER, pause(PauseScope::Lane, "notify")).await;
    db.ask_as(SUBMITTER, AnyJob::call(Verify {})).await;
    db.operate().await;
    assert!(db.run_verification().await.is_some());
    db.ask(lock(seller, buyer, "btc", "0.5")).await;
    db.drain_due(&db.settler().await).await;
    let parked = db.ask(refund(7, 1)).await;
    db.park(parked, 0).await;
    db.ask_all(&vec![register(None); 3]).await;
    db.ask_as(SUBMITTER, pause(PauseScope::Rail, "bank")).await;
    let run = Run::begin(db.worker.clone(), "ledger", "holdfast worker here".to_owned()).await.unwrap();
    run.note_holding(&[1, 2]).await.unwrap();
    let dead = Run::begin(db.worker.clone(), "ledger", "holdfast worker there".to_owned()).await.unwrap();
    db.sql(&format!("update worker_run set ended_at = clock(), end_kind = 'unclean' where id = {}", dead.id())).await;
    let shown = top(&db, "holdfast_worker").await;
    // How much has ended within the last second depends on how fast the test is.
    let shown: Vec<&str> = shown.lines().filter(|line| !line.starts_with("last second")).collect();
    expect![[r#"
        holdfast # # UTC schema #
        verify clean # ago, # checks in #

        lane due later oldest due
        ledger 3 1 #
        provider 0 0 -
        notify 0 0 - PAUSED
        operate 1 0 #
        verify 0 0 -

        kind lane due later put off of the next 5000 of each lane
        user-register ledger 3 0 0
        lock-escrow ledger 0 1 1
        pause operate 1 0 0

        parked reason jobs oldest
        refund poison 1 #

        paused since by
        kind lock-escrow # tests: a test
        lane notify # tests: a test

        worker lane beat holding
        holdfast worker here ledger # 2
        holdfast worker there ledger # 0 ended uncleanly"#]]
    .assert_eq(&shown.join("\n"));
    db.verified().await;
}

#[tokio::test]
async fn it_says_what_it_lacks() {
    holdfast("top", &[]).await.refuses_to_start("top", "DATABASE_URL is not set");
    let nowhere = [("DATABASE_URL", "postgres://holdfast_api@127.0.0.1:1/holdfast")];
    holdfast("top", &nowhere).await.refuses_to_start("top", "cannot be reached");
}
