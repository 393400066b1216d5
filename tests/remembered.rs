//! What a worker remembers from batch to batch and does not read again: the books are as if it had.

use std::sync::Arc;

use futures_util::future::join;
use settlement::{Settings, Settler};
use sqlx::{PgConnection, PgPool};
use tokio::task::JoinSet;

use crate::foresight::{MANY, flag, settle, settled};
use crate::harness::{Db, SUBMITTER, ask_by, fresh_key, lock};

/// How often a connection has sent what is like this.
async fn sent(db: &mut PgConnection, statement: &str) -> i64 {
    let sql = "
        select coalesce(sum(generic_plans + custom_plans), 0)::bigint from pg_prepared_statements
        where statement like $1";
    sqlx::query_scalar(sql).bind(statement).persistent(false).fetch_one(db).await.unwrap()
}

/// How often a connection has asked for the newest entries of accounts.
async fn balances_read(db: &mut PgConnection) -> i64 {
    sent(db, "%from entry where account_id = a.id order by version desc%").await
}

/// How often it has asked for people.
async fn people_read(db: &mut PgConnection) -> i64 {
    sent(db, "%from app_user u left join app_user r%").await
}

/// A worker with one connection, which asks for everything that it does not remember.
async fn remembers(db: &Db) -> (Settler, PgPool) {
    let pool = db.pool("holdfast_worker", 1).await;
    (db.settler_on(pool.clone(), Settings::default().batch_max).await.aside(db.worker.clone()), pool)
}

#[tokio::test]
async fn a_balance_that_is_remembered_is_not_read() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let (settler, pool) = remembers(&db).await;
    let mut read = Vec::new();
    for _ in 0..3 {
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
        assert_eq!(settle(&settler).await.settled, 300);
        read.push(balances_read(&mut pool.acquire().await.unwrap()).await);
    }
    // The first batch did, to foresee and under locks.
    assert_eq!(read, [2, 2, 2]);
    // What another worker has spent is found out when the entries are stored, and then everything is read.
    db.ask(lock(seller, buyer, "btc", "0.8")).await;
    assert_eq!(settle(&db.settler().await).await.settled, 1);
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    let report = settle(&settler).await;
    assert_eq!((report.settled, report.rejected), (100, 200));
    assert_eq!(balances_read(&mut pool.acquire().await.unwrap()).await, 3);
    // The batch after reads them as well, to foresee and under locks; then they are remembered again.
    db.fund(seller, "btc", "0.9").await;
    read.clear();
    for _ in 0..3 {
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
        assert_eq!(settle(&settler).await.settled, 300);
        read.push(balances_read(&mut pool.acquire().await.unwrap()).await);
    }
    assert_eq!(read, [5, 5, 5]);
    db.verified().await;
}

#[tokio::test]
async fn nobody_is_refused_because_of_a_balance_that_is_only_remembered() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.03").await;
    let (settler, pool) = remembers(&db).await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    // The worker remembers that nothing is left; no batch that refuses writes an entry that could tell.
    db.fund(seller, "btc", "0.9").await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    // Where it is so, the one look is enough, once what is remembered is trusted again.
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    let before = balances_read(&mut pool.acquire().await.unwrap()).await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "2"); MANY]).await;
    assert_eq!(settle(&settler).await.rejected, 300);
    assert_eq!(balances_read(&mut pool.acquire().await.unwrap()).await - before, 1);
    db.verified().await;
}

#[tokio::test]
async fn nothing_is_remembered_across_connections() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let (settler, pool) = remembers(&db).await;
    for _ in 0..2 {
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
        assert_eq!(settle(&settler).await.settled, 300);
    }
    pool.acquire().await.unwrap().close().await.unwrap();
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    assert_eq!(balances_read(&mut pool.acquire().await.unwrap()).await, 2, "to foresee, and under locks");
    db.verified().await;
}

/// Small batches do not ask how often people were changed, so they teach nobody.
#[tokio::test]
async fn whoever_was_read_without_the_count_is_read_again() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    let [other, another] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.fund(other, "btc", "0.9").await;
    let (settler, pool) = remembers(&db).await;
    db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    db.ask(lock(other, another, "btc", "0.0001")).await;
    assert_eq!(settle(&settler).await.settled, 1);
    let before = people_read(&mut pool.acquire().await.unwrap()).await;
    db.ask_all(&vec![lock(other, another, "btc", "0.0001"); MANY]).await;
    assert_eq!(settle(&settler).await.settled, 300);
    assert_eq!(people_read(&mut pool.acquire().await.unwrap()).await - before, 2, "to foresee, and under locks");
    db.verified().await;
}

/// Each believes that nobody else is about, and that it remembers what everybody has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_who_do_not_know_of_each_other_spend_nothing_twice() {
    let db = Arc::new(Db::new().await);
    let [seller, buyer] = db.people().await;
    let [other, another] = db.people().await;
    db.fund(seller, "btc", "0.2").await;
    db.fund(other, "btc", "0.9").await;
    for _ in 0..5 {
        let locks = [lock(seller, buyer, "btc", "0.0001"), lock(other, another, "btc", "0.0001")];
        db.ask_all(&locks.into_iter().cycle().take(1_200).collect::<Vec<_>>()).await;
    }
    let mut workers = JoinSet::new();
    for _ in 0..3 {
        let db = Arc::clone(&db);
        workers.spawn(async move {
            let settler = db.settler_on(db.pool("holdfast_worker", 2).await, 400).await.aside(db.worker.clone());
            while let Some(one) = settler.claim().await.unwrap() {
                match settler.claim().await.unwrap() {
                    Some(two) => {
                        let (one, two) = join(settler.settle(one), settler.settle(two)).await;
                        one.and(two).unwrap();
                    }
                    None => drop(settler.settle(one).await.unwrap()),
                }
            }
        });
    }
    workers.join_all().await;
    db.drain().await;
    // 2,000 of one are all that there is money for.
    assert_eq!(settled(&db).await, 5_000);
    assert_eq!(db.wallet(seller, "btc").await, "0.20000000 held 0.20000000");
    assert_eq!(db.wallet(other, "btc").await, "0.90000000 held 0.30000000");
    db.verified().await;
}

#[tokio::test]
async fn whoever_another_operator_froze_meanwhile_locks_nothing() {
    let db = Db::new().await;
    let [operator, _] = db.operators().await;
    assert!(!operator.is_empty());
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let (settler, pool) = remembers(&db).await;
    for _ in 0..2 {
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
        assert_eq!(settle(&settler).await.settled, 300);
    }
    assert_eq!(people_read(&mut pool.acquire().await.unwrap()).await, 2, "by the first batch, which knows nobody");
    for (frozen, settled) in [(true, 0), (false, 300)] {
        let frozen = flag(seller, Some(frozen), None);
        db.enqueue(&[ask_by(SUBMITTER, &fresh_key(), &frozen)]).await.unwrap();
        assert_eq!(settle(&db.settler().await).await.settled, 1);
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); MANY]).await;
        assert_eq!(settle(&settler).await.settled, settled);
    }
    db.verified().await;
}
