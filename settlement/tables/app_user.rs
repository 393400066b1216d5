use chrono::{DateTime, Utc};
use jobs::{Desk, Referrer, Tier, User, UserId, Want};
use outbox::append;
use rustc_hash::FxHashSet;
use sqlx::PgConnection;

use crate::load::Batch;
use crate::tables::{Loaded, When, all_hit, corrupt};

/// People. Who registers is the batch's own; what is set on a person is read by all who deal with them.
pub(crate) struct Table;

/// Locks people who may be changed, in the order of their ids. Who has a wallet is locked by it
/// already; this is for those who have none.
pub(crate) async fn lock(db: &mut PgConnection, users: &FxHashSet<UserId>) -> Result<(), sqlx::Error> {
    if users.is_empty() {
        return Ok(());
    }
    let ids: Vec<i64> = users.iter().map(|id| id.0).collect();
    sqlx::query!("select id from app_user where id = any ($1) order by id for no key update", &ids)
        .fetch_all(db)
        .await?;
    Ok(())
}

/// How often people were changed. Asked under the locks of their wallets: whoever changes somebody holds these, and
/// has committed this with it before somebody else has them.
pub(crate) async fn changes(db: &mut PgConnection) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!("select changes from app_user_change").fetch_one(db).await
}

impl Loaded for Table {
    type Key = UserId;
    type Row = User;
    const UPDATED: When = When::Shared;

    /// Reads people, after the accounts are locked: whoever freezes a person locks their wallets, so
    /// what is read here holds until the batch commits. The jobs of the batch itself have made nobody yet, and the
    /// database is not asked about them: it may show what was only foreseen.
    async fn load_shared(
        db: &mut PgConnection,
        desk: &mut Desk,
        want: &Want,
        batch: Batch<'_>,
    ) -> Result<(), sqlx::Error> {
        let unseen = want.users.iter().filter(|id| desk.users.get(id).is_none() && !batch.has(id.0));
        let ids: Vec<i64> = unseen.map(|id| id.0).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let rows =
            sqlx::query!(
                r#"
                select u.id as "id!", u.tier as "tier!", u.frozen as "frozen!", u.kyc as "kyc!", u.registered_at as "registered_at!", u.referrer_id,
                    r.tier as "referrer_tier?"
                from app_user u left join app_user r on r.id = u.referrer_id
                where u.id = any ($1)
                "#,
                &ids,
            )
            .fetch_all(db)
            .await?;
        for row in rows {
            let tier = |text: &str| Tier::parse(text).ok_or_else(|| corrupt("app_user.tier"));
            let referrer = match row.referrer_id.zip(row.referrer_tier) {
                Some((id, text)) => Some(Referrer { id: UserId(id), tier: tier(&text)? }),
                None => None,
            };
            let user = User {
                referrer,
                tier: tier(&row.tier)?,
                frozen: row.frozen,
                kyc: row.kyc,
                registered_at: row.registered_at,
            };
            desk.users.load(UserId(row.id), user);
        }
        Ok(())
    }

    /// Stores people who registered.
    async fn insert(db: &mut PgConnection, desk: &Desk, inserted: &[(&UserId, &User)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = inserted.iter().map(|(id, _)| id.0).collect();
        let referrers: Vec<Option<i64>> =
            inserted.iter().map(|(_, user)| user.referrer.map(|referrer| referrer.id.0)).collect();
        let tiers: Vec<&str> = inserted.iter().map(|(_, user)| user.tier.as_str()).collect();
        let frozen: Vec<bool> = inserted.iter().map(|(_, user)| user.frozen).collect();
        let kyc: Vec<i16> = inserted.iter().map(|(_, user)| user.kyc).collect();
        let registered: Vec<DateTime<Utc>> = vec![desk.now; inserted.len()];
        let appended = append!(
            db,
            ids.len(),
            "app_user" ("id, referrer_id, tier, frozen, kyc, registered_at")
                from ("$1::bigint[], $2::bigint[], $3::text[], $4::boolean[], $5::smallint[], $6::timestamptz[]"):
            &ids,
            &referrers,
            &tiers,
            &frozen,
            &kyc,
            &registered,
        )
        .await?;
        all_hit(appended, ids.len())
    }

    /// Stores people on whom something was set.
    async fn update(db: &mut PgConnection, _: &Desk, updated: &[(&UserId, &User)]) -> Result<(), sqlx::Error> {
        let ids: Vec<i64> = updated.iter().map(|(id, _)| id.0).collect();
        let frozen: Vec<bool> = updated.iter().map(|(_, user)| user.frozen).collect();
        let tiers: Vec<&str> = updated.iter().map(|(_, user)| user.tier.as_str()).collect();
        let kyc: Vec<i16> = updated.iter().map(|(_, user)| user.kyc).collect();
        let result = sqlx::query!(
            "
            update app_user set frozen = u.frozen, tier = u.tier, kyc = u.kyc
            from unnest($1::bigint[], $2::boolean[], $3::text[], $4::smallint[]) as u (id, frozen, tier, kyc)
            where app_user.id = u.id
            ",
            &ids,
            &frozen,
            &tiers as _,
            &kyc,
        )
        .execute(db)
        .await?;
        all_hit(result.rows_affected(), ids.len())
    }
}
