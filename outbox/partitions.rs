use sqlx::PgConnection;

/// Makes the partitions of job and outcome that will be needed next, if they are missing.
///
/// # Errors
/// Any error of the database.
pub async fn partitions_ahead(db: &mut PgConnection) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"select partitions_ahead(2) as "made!""#).fetch_one(db).await
}
