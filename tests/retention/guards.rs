//! What nobody gets past: neither other roles, nor who changes what is left behind the back of the guards.

use integrity::verify;
use outbox::{copy_kept, drop_spent, retention_plan, swap_in};

use super::{old_scene, retain};
use crate::harness::{refusal, run};

/// The books are held against what is left as sharply as against what was.
#[tokio::test]
async fn tampering_shows_after_a_retention_too() {
    let scene = old_scene().await;
    let db = &scene.db;
    retain(db).await;
    for (what, found_by) in [
        ("delete from request where job_id = {release}", "dropped-payloads-were-due"),
        ("delete from job where id = {refused_lock}", "dropped-payloads-were-due"),
        ("delete from outcome where job_id = {refused_lock}", "dropped-payloads-were-due"),
        ("delete from retention", "other-payloads-are-there"),
        ("update retention set cutoff = received_from - interval '1 day', received_to = received_from - interval '2 days',
            finished_to = received_from - interval '2 days', received_from = received_from - interval '3 days'",
            "dropped-payloads-were-due"),
        ("drop trigger job_p000000_closed on job_p000000", "dropped-payloads-were-due"),
        ("insert into outbox (job_id, lane, slot, subject, run_at) values ({refused_lock}, 'ledger', 0, 1, now())",
            "other-payloads-are-there"),
        ("update trade set paid_at = paid_at - interval '1 second' where id = {released}", "trades-agree-with-events"),
        ("update trade set undone_at = null where id = {undone}", "trades-agree-with-events"),
        ("update trade set timer_generation = 3 where id = {undone}", "trades-agree-with-events"),
        ("delete from job where id = {mark}", "trades-agree-with-events"),
        ("update hold set closed_by = {mark} where id = {released}", "trades-agree-with-closings"),
        ("update job set submitted_by = 101 where id = {give_back}", "trades-agree-with-closings"),
        ("update ipn_inbox set fact_key = 'another' where id = (select (payload ->> 'inbox_id')::bigint from job where id = {credit})",
            "deposit-jobs-have-callbacks"),
        ("update approval set approver = 101 where withdrawal_id = {approved}", "withdrawals-agree-with-decisions"),
        ("delete from approval where withdrawal_id = {approved}", "withdrawals-agree-with-decisions"),
        ("delete from job where id = {calling_off}", "withdrawals-agree-with-decisions"),
        ("delete from commission where job_id = {commission}", "commissions-were-paid"),
    ] {
        let found = scene.corrupted(what).await;
        assert!(found.failed().any(|check| check.name == found_by), "{what} is not found by {found_by}: {found}");
    }
    db.verified().await;
}

/// Only the owner of the tables may do it, step by step as well.
#[tokio::test]
async fn neither_the_api_nor_a_worker_may() {
    let scene = old_scene().await;
    let db = &scene.db;
    copy_kept(&db.owner, 0, 3).await.unwrap();
    for pool in [&db.api, &db.worker] {
        for result in [
            copy_kept(pool, 0, 3).await.map(|_| ()),
            swap_in(pool, 0, 3, "ann").await,
            drop_spent(pool, 0).await.map(|_| ()),
            run(pool, "select retention_check(0, 3)").await,
            run(pool, "insert into retention default values").await,
            run(pool, "alter table job detach partition job_p000000").await,
            run(pool, "drop table job_p000000_kept").await,
            run(pool, "select payload from job_p000000_kept").await,
        ] {
            assert_eq!(refusal(result).code, "42501");
        }
        assert!(retention_plan(pool, 3).await.is_ok(), "whoever reads may look");
    }
    assert!(verify(&db.worker).await.unwrap().is_clean());
}
