use jobs::UserId;
use sqlx::PgPool;

use crate::http::path::Thing;
use crate::http::problem::Problem;

/// 404 unless the person is registered.
pub(crate) async fn require_user(pool: &PgPool, id: UserId) -> Result<(), Problem> {
    let known = sqlx::query_scalar!(r#"select exists (select from app_user where id = $1) as "known!""#, id.0)
        .fetch_one(pool)
        .await?;
    if known { Ok(()) } else { Err(UserId::unknown()) }
}
