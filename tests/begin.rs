//! Whoever asks may go away at any time, and leaves no transaction behind.

use std::pin::pin;

use futures_util::poll;
use sqlx::{PgPool, query_scalar};
use tokio::task::yield_now;

use crate::harness::Db;

/// How often a beginning is looked at before it is given up: from not at all to longer than it takes.
const LOOKS: usize = 24;
/// How often each of them, since when the server answers is different each time.
const ROUNDS: usize = 40;

async fn is_open(pool: &PgPool) -> bool {
    // Two statements of one transaction have one time.
    let mut db = pool.acquire().await.unwrap();
    let first: String = query_scalar("select now()::text").fetch_one(&mut *db).await.unwrap();
    let second: String = query_scalar("select now()::text").fetch_one(&mut *db).await.unwrap();
    first == second
}

/// Seen to fail: with the pool's own `begin` some of them leave the connection in a transaction that nobody knows of, and
/// what is done on it next is never committed.
#[tokio::test]
async fn who_goes_away_while_a_transaction_begins_leaves_none_open() {
    let db = Db::new().await;
    let pool = db.pool("holdfast_worker", 1).await;
    assert!(!is_open(&pool).await);
    let mut begun = 0;
    for looks in (0..ROUNDS).flat_map(|_| 0..LOOKS) {
        {
            let mut beginning = pin!(outbox::begin(&pool));
            for _ in 0..looks {
                if poll!(beginning.as_mut()).is_ready() {
                    begun += 1;
                    break;
                }
                yield_now().await;
            }
        }
        assert!(!is_open(&pool).await, "given up after {looks} looks");
    }
    assert!((1..ROUNDS * LOOKS).contains(&begun), "{begun} were begun");
}
