use jobs::{Desk, Tier, User, UserId};
use sqlx::PgConnection;

use crate::tables::{all_hit, corrupt};

/// Reads people, after the accounts are locked: whoever freezes a person locks their wallets, so
/// what is read here holds until the batch commits.
pub(crate) async fn load(db: &mut PgConnection, desk: &mut Desk, ids: &[i64]) -> Result<(), sqlx::Error> {
    if ids.is_empty() {
        return Ok(());
    }
    let rows =
        sqlx::query!("select id, referrer_id, tier, frozen, registered_at from app_user where id = any ($1)", ids,)
            .fetch_all(db)
            .await?;
    for row in rows {
        let user = User {
            referrer: row.referrer_id.map(UserId),
            tier: Tier::parse(&row.tier).ok_or_else(|| corrupt("app_user.tier"))?,
            frozen: row.frozen,
            registered_at: row.registered_at,
        };
        desk.users.load(UserId(row.id), user);
    }
    Ok(())
}

/// Stores people who registered and people who were frozen.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let changed = desk.users.changed();
    if !changed.inserted.is_empty() {
        let ids: Vec<i64> = changed.inserted.iter().map(|(id, _)| id.0).collect();
        let referrers: Vec<Option<i64>> =
            changed.inserted.iter().map(|(_, user)| user.referrer.map(|referrer| referrer.0)).collect();
        let tiers: Vec<&str> = changed.inserted.iter().map(|(_, user)| user.tier.as_str()).collect();
        let frozen: Vec<bool> = changed.inserted.iter().map(|(_, user)| user.frozen).collect();
        let result = sqlx::query!(
            "
            insert into app_user (id, referrer_id, tier, frozen, registered_at)
            select id, referrer_id, tier, frozen, $5
            from unnest($1::bigint[], $2::bigint[], $3::text[], $4::boolean[]) as u (id, referrer_id, tier, frozen)
            ",
            &ids,
            &referrers as _,
            &tiers as _,
            &frozen,
            desk.now,
        )
        .execute(&mut *db)
        .await?;
        all_hit(&result, ids.len())?;
    }
    if !changed.updated.is_empty() {
        let ids: Vec<i64> = changed.updated.iter().map(|(id, _)| id.0).collect();
        let frozen: Vec<bool> = changed.updated.iter().map(|(_, user)| user.frozen).collect();
        let result = sqlx::query!(
            "
            update app_user set frozen = u.frozen
            from unnest($1::bigint[], $2::boolean[]) as u (id, frozen)
            where app_user.id = u.id
            ",
            &ids,
            &frozen,
        )
        .execute(db)
        .await?;
        all_hit(&result, ids.len())?;
    }
    Ok(())
}
