use jobs::{Desk, UserId};
use ledger::{Account, AccountId, AccountKey, AssetId, Balance, Owner, Purpose};
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::corrupt;

/// The parts of account keys, column by column, in the order of the keys.
struct Columns {
    owners: Vec<i64>,
    assets: Vec<i16>,
    purposes: Vec<&'static str>,
    stripes: Vec<i16>,
}

impl Columns {
    fn of(keys: &[AccountKey]) -> Self {
        Self {
            owners: keys.iter().map(|key| key.owner.get()).collect(),
            assets: keys.iter().map(|key| key.asset.get()).collect(),
            purposes: keys.iter().map(|key| key.purpose.as_str()).collect(),
            stripes: keys.iter().map(|key| key.stripe).collect(),
        }
    }
}

/// Makes the accounts that are missing, in the order of their keys and before any account is
/// locked: two batches that make the same ones in different orders would wait for each other.
/// None is made for a person who does not exist.
pub(crate) async fn make_missing(db: &mut PgConnection, keys: &[AccountKey]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    debug_assert!(keys.is_sorted(), "the order keeps batches from waiting for each other");
    let columns = Columns::of(keys);
    sqlx::query!(
        "
        insert into account (id, owner, asset, purpose, stripe)
        select case when w.purpose in ('world', 'receivable') then - nextval('account_id') else nextval('account_id') end,
            w.owner, w.asset, w.purpose, w.stripe
        from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[]) as w (owner, asset, purpose, stripe)
        where not exists (select from account a where a.owner = w.owner and a.asset = w.asset
                and a.purpose = w.purpose and a.stripe = w.stripe)
            and (w.owner = 0 or exists (select from app_user u where u.id = w.owner))
        order by w.owner, w.asset, w.purpose, w.stripe
        on conflict do nothing
        ",
        &columns.owners,
        &columns.assets,
        &columns.purposes as _,
        &columns.stripes,
    )
    .execute(db)
    .await?;
    Ok(())
}

/// An account whose row is locked.
struct Locked {
    id: i64,
    owner: i64,
    asset: i16,
    purpose: String,
    stripe: i16,
}

/// Locks the accounts that exist, in the order of their ids.
async fn lock(db: &mut PgConnection, keys: &[AccountKey]) -> Result<Vec<Locked>, sqlx::Error> {
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let columns = Columns::of(keys);
    sqlx::query_as!(
        Locked,
        "
        select a.id, a.owner, a.asset, a.purpose, a.stripe
        from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[]) as w (owner, asset, purpose, stripe)
        join account a on a.owner = w.owner and a.asset = w.asset and a.purpose = w.purpose and a.stripe = w.stripe
        order by a.id
        for no key update of a
        ",
        &columns.owners,
        &columns.assets,
        &columns.purposes as _,
        &columns.stripes,
    )
    .fetch_all(db)
    .await
}

/// Locks accounts, those with a floor and then those without, each in the order of their ids, and
/// puts them on the desk with what their newest entries say.
///
/// A receivable is looked for in a statement after the one that locks its owner's wallet: whoever
/// makes a receivable holds that wallet, and a statement that waits for the lock does not see what
/// was made meanwhile. The balances are read after all locks, for the same reason.
pub(crate) async fn load(db: &mut PgConnection, desk: &mut Desk, keys: &[AccountKey]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let (with_floor, without): (Vec<AccountKey>, Vec<AccountKey>) =
        keys.iter().partition(|key| key.purpose.has_floor());
    let mut locked = lock(&mut *db, &with_floor).await?;
    locked.extend(lock(&mut *db, &without).await?);
    let ids: Vec<i64> = locked.iter().map(|row| row.id).collect();
    let newest = sqlx::query!(
        r#"
        select a.id as "id!", e.version, e.posted as "posted: Numeric", e.held as "held: Numeric"
        from unnest($1::bigint[]) as a (id)
        cross join lateral (
            select version, posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        "#,
        &ids,
    )
    .fetch_all(db)
    .await?;
    let newest: rustc_hash::FxHashMap<i64, (i64, Balance)> = newest
        .into_iter()
        .map(|row| (row.id, (row.version, Balance { posted: row.posted.0, held: row.held.0 })))
        .collect();
    for row in locked {
        let (version, balance) = newest.get(&row.id).copied().unwrap_or_default();
        let key = AccountKey {
            owner: Owner::new(row.owner),
            asset: AssetId::new(row.asset),
            purpose: Purpose::parse(&row.purpose).ok_or_else(|| corrupt("account.purpose"))?,
            stripe: row.stripe,
        };
        let id = AccountId::new(row.id).ok_or_else(|| corrupt("account.id"))?;
        desk.book.load_account(Account { id, key, version, balance }).map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(())
}

/// The wallet that a trade's hold stands in.
pub(crate) fn wallet_of(desk: &Desk, user: UserId, asset: AssetId) -> Option<AccountId> {
    desk.book.account_id(&Desk::wallet(user, asset))
}
