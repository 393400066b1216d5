//! `holdfast retain` as an operator meets it.

use super::{age, first, kept, old_scene};
use crate::cli::processes::holdfast;
use crate::harness::{Db, register};
use outbox::{PayloadFate, copy_kept, swap_in};

const OWNER: &str = "DATABASE_URL";

#[tokio::test]
async fn mistakes_are_told_before_anything_happens() {
    let db = Db::new().await;
    db.ask(register(None)).await;
    db.drain().await;
    age(&db).await;
    let (owner, worker) = (db.url("postgres").await, db.url("holdfast_worker").await);
    for (command, url, told) in [
        ("retain", &owner, "--months <N>"),
        ("retain --months 3", &owner, "--by <NAME>"),
        ("retain --months 2 --by ann", &owner, "at least 3 months are kept"),
        ("retain --months -3 --by ann", &owner, "unexpected argument"),
        ("retain --months=-3 --by ann", &owner, "at least 3 months are kept"),
        ("retain --months 1201 --by ann", &owner, "1200 months, are the most"),
        ("retain --months year --by ann", &owner, "give a number of months, such as 12"),
        ("retain --months 3 --by=", &owner, "1 to 200 characters"),
    ] {
        holdfast(command, &[(OWNER, url)]).await.refuses_to_start(command, told);
    }
    let ran = holdfast("retain --months 3 --by ann", &[(OWNER, &worker)]).await;
    assert!(ran.code == 2 && ran.stderr.contains("is not the owner of the tables"), "{ran:?}");
    let looked = holdfast("retain --months 3 --dry-run --by ann", &[(OWNER, &worker)]).await;
    assert!(looked.code == 0 && looked.stdout.ends_with("dry run: nothing was changed\n"), "{looked:?}");
    assert_eq!(first(&db, 3).await.fate, PayloadFate::Due);
    let help = holdfast("retain --help", &[]).await;
    let words = help.stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    for taught in ["--dry-run", "the same request under it is the same job", "room for the copy", "DATABASE_URL"] {
        assert!(words.contains(taught), "{taught}: {words}");
    }
    db.verified().await;
}

#[tokio::test]
async fn it_says_what_it_does_and_does_it_once() {
    let scene = old_scene().await;
    let db = &scene.db;
    let url = db.url("postgres").await;
    let retain = async |arguments: &str| holdfast(&format!("retain {arguments}"), &[(OWNER, &url)]).await;
    // As a database that has not been migrated beyond what older releases can do with.
    db.sql("update schema set oldest_binary = 9").await;
    let before = kept(db).await;
    let looked = retain("--months 3 --dry-run").await;
    assert_eq!(looked.code, 0, "{looked:?}");
    let lines: Vec<&str> = looked.stdout.lines().collect();
    assert!(lines[0].starts_with("keeping 3 months and the current one"), "{looked:?}");
    assert_eq!(
        lines[2],
        "once payloads are gone, binaries for schema 10 and older run here no more: replace `holdfast web` of those first"
    );
    assert!(lines[4].starts_with("job_p000000 ") && lines[4].ends_with("  go"), "{looked:?}");
    assert!(lines[5].ends_with("stay: jobs are recorded there now"), "{looked:?}");
    assert!(lines[6].ends_with("stay: for jobs to come"), "{looked:?}");
    let young = retain("--months 7 --by ann").await;
    assert!(young.code == 0 && young.stdout.contains("stay: its newest job is of "), "{young:?}");
    assert!(young.stdout.ends_with("nothing to do\n"), "{young:?}");
    assert_eq!(kept(db).await, before);
    assert_eq!(first(db, 3).await.fate, PayloadFate::Due);

    let done = retain("--months 3 --by ann@example.com").await;
    let last = done.stdout.lines().last().unwrap();
    assert!(done.code == 0 && last.starts_with("job_p000000: the payloads of "), "{done:?}");
    let again = retain("--months 3 --by ben").await;
    assert!(again.code == 0 && again.stdout.contains(" by ann@example.com, before that "), "{again:?}");
    assert!(again.stdout.ends_with("nothing to do\n"), "{again:?}");
    assert_eq!(kept(db).await, before);
    let oldest = sqlx::query_scalar!("select oldest_binary from schema").fetch_one(&db.owner).await.unwrap();
    assert_eq!(oldest, 11);
    db.verified().await;
}

#[tokio::test]
async fn what_is_in_use_is_left_and_gone_on_with() {
    let scene = old_scene().await;
    let db = &scene.db;
    let url = db.url("postgres").await;
    let retain = async || holdfast("retain --months 3 --by ann", &[(OWNER, &url)]).await;
    let mut reader = db.owner.begin().await.unwrap();
    sqlx::query!("select id from job limit 1").fetch_one(&mut *reader).await.unwrap();
    let busy = retain().await;
    assert!(busy.code == 1 && busy.stderr.contains("job is in use by a transaction"), "{busy:?}");
    reader.rollback().await.unwrap();
    db.verified().await;
    let looked = holdfast("retain --months 3 --dry-run", &[(OWNER, &url)]).await;
    assert!(looked.stdout.contains("go; an earlier run has made job_p000000_kept"), "{looked:?}");
    let done = retain().await;
    assert!(done.code == 0 && done.stdout.contains("copying anew what an interrupted run has copied"), "{done:?}");
    db.verified().await;
}

/// Between the second and the third step only a table beside the others is left.
#[tokio::test]
async fn what_an_interrupted_run_has_left_is_put_away() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    swap_in(&db.owner, 0, 3, "ann").await.unwrap();
    let done = holdfast("retain --months 3 --by ben", &[(OWNER, &db.url("postgres").await)]).await;
    assert!(done.code == 0 && done.stdout.contains("dropped the table that an interrupted run had left"), "{done:?}");
    let record = sqlx::query!(r#"select done_by, dropped_at >= detached_at as "dropped!" from retention"#);
    let record = record.fetch_one(&db.owner).await.unwrap();
    assert_eq!((record.done_by.as_str(), record.dropped), ("ann", true));
    db.verified().await;
}
