use sqlx::PgConnection;

/// Makes the partitions of job and outcome that will be needed next, if they are missing.
///
/// # Errors
/// Any error of the database.
pub async fn partitions_ahead(db: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select partitions_ahead(2) as "made!""#).fetch_one(db).await
}

/// How many partitions of job there are.
///
/// # Errors
/// Any error of the database.
pub async fn partitions(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(r#"select count(*) as "n!" from pg_inherits where inhparent = 'job'::regclass"#)
        .fetch_one(db)
        .await
}
