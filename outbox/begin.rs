use sqlx::{PgPool, Postgres, Transaction};

/// Begins a transaction, as [`sqlx::Pool::begin`] does, for whoever may be dropped at any time.
///
/// Whoever is dropped while the server answers to `begin` leaves a connection behind that does not know that it is in a
/// transaction. The pool would hand it out as it is: what the next one does without a transaction of its own is never
/// committed, and what it reads may be as old as that. So it is waited for to the end, by a task of its own.
///
/// # Errors
/// As [`sqlx::Pool::begin`].
pub async fn begin(pool: &PgPool) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    begin_as(pool, "begin").await
}

/// The same with a statement that says which kind of transaction.
///
/// # Errors
/// As [`sqlx::Pool::begin_with`].
pub async fn begin_as(pool: &PgPool, statement: &'static str) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let pool = pool.clone();
    #[expect(clippy::disallowed_methods, reason = "it ends by itself, and has to when nobody waits for it any more")]
    let begun = tokio::spawn(async move { pool.begin_with(statement).await });
    match begun.await {
        Ok(begun) => begun,
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        // The runtime ends.
        Err(_) => Err(sqlx::Error::PoolClosed),
    }
}
