//! How the database carries out what a worker asks, when the queue is not what it was at first.

use sqlx::{AssertSqlSafe, PgConnection, query_scalar};

use crate::harness::{Db, register};

/// The plan that a connection keeps for the statement that begins like this.
async fn kept_plan(db: &mut PgConnection, statement: &str, arguments: &str) -> String {
    let name: String = query_scalar("select name from pg_prepared_statements where statement like $1 || '%'")
        .bind(statement)
        .fetch_one(&mut *db)
        .await
        .unwrap();
    // Without a plan that suits every argument the server would make one for these.
    query_scalar::<_, String>("select set_config('plan_cache_mode', 'force_generic_plan', false)")
        .fetch_one(&mut *db)
        .await
        .unwrap();
    let explain = format!("explain (costs off) execute {name}({arguments})");
    let lines: Vec<String> = query_scalar(AssertSqlSafe(explain)).persistent(false).fetch_all(db).await.unwrap();
    lines.join("\n")
}

/// A worker has settled batch after batch from a queue that was empty each time; then thousands are due.
#[tokio::test]
async fn a_burst_onto_an_empty_queue_is_looked_up_by_its_keys() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_worker", 1).await;
    let settler = db.settler_on(pool.clone(), 1_000).await;
    for _ in 0..8 {
        db.ask_all(&vec![register(None); 130]).await;
        db.drain_due(&settler).await;
        // As the server does by itself; from then on it knows that there is next to nothing in it.
        db.sql("vacuum outbox").await;
    }
    for _ in 0..6 {
        db.ask_all(&vec![register(None); 1_000]).await;
    }
    assert_eq!(settler.settle(settler.claim().await.unwrap().unwrap()).await.unwrap().settled, 1_000);
    let mut connection = pool.acquire().await.unwrap();
    let plan = kept_plan(&mut connection, "delete from outbox where job_id = any", "'{1}'").await;
    assert!(plan.contains("outbox_pk"), "{plan}");
    drop(connection);
    db.drain_with(&settler).await;
    db.verified().await;
}
