use jobs::{Desk, Principal, PrincipalId, UserId};
use rustc_hash::FxHashSet;
use sqlx::PgConnection;

/// Reads the principals that decide on other people's money.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    principals: &FxHashSet<PrincipalId>,
) -> Result<(), sqlx::Error> {
    if principals.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = principals.iter().map(|id| id.0).collect();
    let rows = sqlx::query!(
        r#"
        select p.id, p.user_id, exists (
                select from api_key k
                where k.principal_id = p.id and k.scopes && array['operate', 'admin'] and k.revoked_at is null
                    and (k.expires_at is null or k.expires_at > clock())
            ) as "operates!"
        from principal p where p.id = any ($1)
        "#,
        &ids,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        desk.principals
            .insert(PrincipalId(row.id), Principal { user: row.user_id.map(UserId), operates: row.operates });
    }
    Ok(())
}
