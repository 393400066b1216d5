use jobs::{Desk, UserId, Want};
use ledger::{Account, AccountId, AccountKey, AssetId, Balance, Owner, Purpose};
use rustc_hash::{FxHashMap, FxHashSet};
use sqlx::{PgConnection, PgPool};

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

/// The ids of accounts. An account is never deleted and never changes its id; but a server that takes
/// over may have lost the newest of them, and may give their ids away again. So whoever locks an
/// account looks whether it is still the one that it was.
pub(crate) type Ids = FxHashMap<AccountKey, AccountId>;

/// The newest version of an account, and the balance that it left.
pub(crate) type Head = (i64, Balance);

/// What accounts were left with. Others may have written since: good enough to foresee with, and to decide on
/// only where that is found out (see [`are_newest`]).
pub(crate) type Heads = FxHashMap<AccountId, Head>;

/// An account as a statement says it.
struct Row {
    id: i64,
    owner: i64,
    asset: i16,
    purpose: String,
    stripe: i16,
}

impl Row {
    fn read(self) -> Result<(AccountKey, AccountId), sqlx::Error> {
        let key = AccountKey {
            owner: Owner::new(self.owner),
            asset: AssetId::new(self.asset),
            purpose: Purpose::parse(&self.purpose).ok_or_else(|| corrupt("account.purpose"))?,
            stripe: self.stripe,
        };
        Ok((key, AccountId::new(self.id).ok_or_else(|| corrupt("account.id"))?))
    }
}

fn remember(known: &mut Ids, rows: Vec<Row>) -> Result<(), sqlx::Error> {
    for row in rows {
        let (key, id) = row.read()?;
        known.insert(key, id);
    }
    Ok(())
}

/// Those that are not known, in the order of the keys.
fn unknown<'a>(known: &Ids, keys: impl IntoIterator<Item = &'a AccountKey>) -> Vec<AccountKey> {
    let mut unknown: Vec<AccountKey> = keys.into_iter().filter(|key| !known.contains_key(key)).copied().collect();
    unknown.sort_unstable();
    unknown
}

fn ids_of<'a>(known: &Ids, keys: impl IntoIterator<Item = &'a AccountKey>) -> Vec<i64> {
    keys.into_iter().filter_map(|key| known.get(key)).map(|id| id.get()).collect()
}

/// Makes accounts, in the order of their keys, unless somebody else makes them meanwhile. None is made for a person who
/// does not exist; each is looked up by itself, as `exists` might be planned as a walk through everybody.
///
/// They are made in a transaction of their own: an account without an entry says nothing, and a batch that
/// made it in its own transaction would hold up every other one that wants it. That transaction does not
/// wait for the disk. What rests on the account is committed later and does, and the log is durable up to
/// there then.
async fn make(aside: &PgPool, known: &mut Ids, keys: &[AccountKey]) -> Result<(), sqlx::Error> {
    debug_assert!(keys.is_sorted(), "the order keeps batches from waiting for each other");
    let columns = Columns::of(keys);
    let rows = sqlx::query_as!(
        Row,
        "
        insert into account (id, owner, asset, purpose, stripe)
        select
            case when w.purpose in ('world', 'receivable') then - nextval('account_id') else nextval('account_id') end,
            w.owner, w.asset, w.purpose, w.stripe
        from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[]) as w (owner, asset, purpose, stripe)
        cross join (select set_config('synchronous_commit', 'off', true)) as without_waiting
        where w.owner = 0 or (select true from app_user u where u.id = w.owner)
        order by w.owner, w.asset, w.purpose, w.stripe
        on conflict do nothing
        returning id, owner, asset, purpose, stripe
        ",
        &columns.owners,
        &columns.assets,
        &columns.purposes as _,
        &columns.stripes,
    )
    .fetch_all(aside)
    .await?;
    remember(known, rows)
}

/// Finds those that exist. Each is looked up by itself: a join might be planned as a walk through all accounts, while
/// there are few.
async fn find(db: &mut PgConnection, known: &mut Ids, keys: &[AccountKey]) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let columns = Columns::of(keys);
    let rows = sqlx::query_as!(
        Row,
        r#"
        select a.id as "id!", w.owner as "owner!", w.asset as "asset!", w.purpose as "purpose!", w.stripe as "stripe!"
        from unnest($1::bigint[], $2::smallint[], $3::text[], $4::smallint[]) as w (owner, asset, purpose, stripe)
        cross join lateral (
            select id from account a
            where a.owner = w.owner and a.asset = w.asset and a.purpose = w.purpose and a.stripe = w.stripe
            limit 1
        ) a
        "#,
        &columns.owners,
        &columns.assets,
        &columns.purposes as _,
        &columns.stripes,
    )
    .fetch_all(db)
    .await?;
    remember(known, rows)
}

/// Finds the receivables that exist.
async fn find_receivables(db: &mut PgConnection, keys: &[AccountKey]) -> Result<Vec<Row>, sqlx::Error> {
    let Columns { owners, assets, .. } = Columns::of(keys);
    sqlx::query_as!(
        Row,
        "
        select a.id, a.owner, a.asset, a.purpose, a.stripe
        from unnest($1::bigint[], $2::smallint[]) as w (owner, asset)
        join account a on a.owner = w.owner and a.asset = w.asset and a.purpose = 'receivable'
        ",
        &owners,
        &assets,
    )
    .fetch_all(db)
    .await
}

/// Locks those of the accounts that are known: those with a floor and then those without, each in the
/// order of their ids.
///
/// # Errors
/// [`sqlx::Error::RowNotFound`] if one of them is not the account that it was: whoever forgets what
/// they know and looks again finds the right one.
async fn lock(
    db: &mut PgConnection,
    known: &Ids,
    keys: impl IntoIterator<Item = &AccountKey>,
) -> Result<(), sqlx::Error> {
    let ids = ids_of(known, keys);
    if ids.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        Row,
        "
        select id, owner, asset, purpose, stripe from account
        where id = any ($1) order by id < 0, id for no key update
        ",
        &ids,
    )
    .fetch_all(db)
    .await?;
    if rows.len() != ids.len() {
        return Err(sqlx::Error::RowNotFound);
    }
    for row in rows {
        let (key, id) = row.read()?;
        if known.get(&key) != Some(&id) {
            return Err(sqlx::Error::RowNotFound);
        }
    }
    Ok(())
}

/// Every account that a batch asks for.
fn all(want: &Want) -> FxHashSet<AccountKey> {
    want.accounts.union(&want.existing).copied().collect()
}

/// A receivable that matters only if it exists: it is looked for under the lock of its owner's wallet.
fn is_late(want: &Want, key: &AccountKey) -> bool {
    key.purpose == Purpose::Receivable && !want.accounts.contains(key)
}

/// Finds the ids of the accounts that a batch asks for, and makes those that are wanted in any case and missing. Nothing
/// is locked.
pub(crate) async fn find_all(
    db: &mut PgConnection,
    aside: &PgPool,
    want: &Want,
    known: &mut Ids,
) -> Result<(), sqlx::Error> {
    let all = all(want);
    let unseen = unknown(known, all.iter().filter(|key| !is_late(want, key)));
    find(&mut *db, known, &unseen).await?;
    let missing = unknown(known, &want.accounts);
    if missing.is_empty() {
        return Ok(());
    }
    make(aside, known, &missing).await?;
    // What is missing now may have been made by another batch meanwhile, and only a new statement sees
    // that; or it was never made.
    find(db, known, &unknown(known, &unseen)).await
}

/// Locks the accounts that a batch asks for and puts them on the desk with what is remembered of them, and the
/// others with what their newest entries say.
///
/// A receivable that matters only if it exists is looked for in a statement after the one that locks
/// its owner's wallet: whoever makes a receivable holds that wallet, and a statement that waits for the
/// lock does not see what was made meanwhile. Each balance is read after its account is locked, for the same
/// reason. As nobody locks a receivable without its wallet, it does not matter which of the two
/// statements does.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    known: &mut Ids,
    remembered: &Heads,
) -> Result<(), sqlx::Error> {
    let all = all(want);
    lock(&mut *db, known, &all).await?;
    let unseen = unknown(known, all.iter().filter(|key| is_late(want, key)));
    let (receivables, mut heads) = receivables_and_newest(&mut *db, &unread(&all, known, remembered), &unseen).await?;
    if !receivables.is_empty() {
        remember(known, receivables)?;
        lock(&mut *db, known, &unseen).await?;
        heads.extend(newest(db, &ids_of(known, &unseen)).await?);
    }
    put(desk, &all, known, remembered, &heads)
}

/// Those that are known and of which nothing is remembered.
fn unread(keys: &FxHashSet<AccountKey>, known: &Ids, heads: &Heads) -> Vec<i64> {
    let unread = keys.iter().filter_map(|key| known.get(key)).filter(|id| !heads.contains_key(id));
    unread.map(|id| id.get()).collect()
}

/// Whether what was remembered of accounts is what their newest entries say, of those that the batch writes no
/// entry of. The others find out when that is stored: it takes the version after the one that is remembered, which
/// whoever has written since has taken.
///
/// Asked under the locks of the accounts.
pub(crate) async fn are_newest(db: &mut PgConnection, desk: &Desk, remembered: &Heads) -> Result<bool, sqlx::Error> {
    let is_untouched = |id: &AccountId, head: &Head| desk.book.account(*id).is_some_and(|now| now.version == head.0);
    let untouched: Vec<(i64, Head)> =
        remembered.iter().filter(|(id, head)| is_untouched(id, head)).map(|(id, head)| (id.get(), *head)).collect();
    let newest = newest(db, &untouched.iter().map(|(id, _)| *id).collect::<Vec<_>>()).await?;
    Ok(untouched.iter().all(|(id, head)| newest.get(id).copied().unwrap_or_default() == *head))
}

/// Puts the accounts on a desk without locking them: with what is remembered of them, and for the others
/// with what their newest entries say now.
pub(crate) async fn foresee(
    db: &mut PgConnection,
    desk: &mut Desk,
    want: &Want,
    known: &Ids,
    heads: &Heads,
) -> Result<(), sqlx::Error> {
    let all = all(want);
    let newest = newest(db, &unread(&all, known, heads)).await?;
    put(desk, &all, known, heads, &newest)
}

/// Puts accounts on a desk: as they are remembered, or else as their newest entries say.
fn put(
    desk: &mut Desk,
    keys: &FxHashSet<AccountKey>,
    known: &Ids,
    heads: &Heads,
    newest: &FxHashMap<i64, Head>,
) -> Result<(), sqlx::Error> {
    for &key in keys {
        let Some(&id) = known.get(&key) else { continue };
        let (version, balance) = heads.get(&id).or_else(|| newest.get(&id.get())).copied().unwrap_or_default();
        desk.book.load_account(Account { id, key, version, balance }).map_err(|error| corrupt(error.to_string()))?;
    }
    Ok(())
}

/// The newest version and balance of each account that has entries.
async fn newest(db: &mut PgConnection, ids: &[i64]) -> Result<FxHashMap<i64, Head>, sqlx::Error> {
    if ids.is_empty() {
        return Ok(FxHashMap::default());
    }
    let rows = sqlx::query!(
        r#"
        select a.id as "id!", e.version, e.posted as "posted: Numeric", e.held as "held: Numeric"
        from unnest($1::bigint[]) as a (id)
        cross join lateral (
            select version, posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        "#,
        ids,
    )
    .fetch_all(db)
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.id, (row.version, Balance { posted: row.posted.0, held: row.held.0 })))
        .collect())
}

/// The receivables that exist, and the newest version and balance of accounts that are locked: both are asked in the one
/// statement after the locks.
async fn receivables_and_newest(
    db: &mut PgConnection,
    ids: &[i64],
    receivables: &[AccountKey],
) -> Result<(Vec<Row>, FxHashMap<i64, Head>), sqlx::Error> {
    if receivables.is_empty() {
        return Ok((Vec::new(), newest(db, ids).await?));
    }
    if ids.is_empty() {
        return Ok((find_receivables(db, receivables).await?, FxHashMap::default()));
    }
    let Columns { owners, assets, .. } = Columns::of(receivables);
    let rows = sqlx::query!(
        r#"
        select a.id as "id!", null::bigint as owner, null::smallint as asset, null::text as purpose,
            null::smallint as stripe, e.version as "version?", e.posted as "posted?: Numeric",
            e.held as "held?: Numeric"
        from unnest($1::bigint[]) as a (id)
        cross join lateral (
            select version, posted, held from entry where account_id = a.id order by version desc limit 1
        ) e
        union all
        select r.id, r.owner, r.asset, r.purpose, r.stripe, null, null, null
        from unnest($2::bigint[], $3::smallint[]) as w (owner, asset)
        join account r on r.owner = w.owner and r.asset = w.asset and r.purpose = 'receivable'
        "#,
        ids,
        &owners,
        &assets,
    )
    .fetch_all(db)
    .await?;
    let (mut found, mut heads) = (Vec::new(), FxHashMap::default());
    for row in rows {
        if let (Some(version), Some(posted), Some(held)) = (row.version, row.posted, row.held) {
            heads.insert(row.id, (version, Balance { posted: posted.0, held: held.0 }));
        } else if let (Some(owner), Some(asset), Some(purpose), Some(stripe)) =
            (row.owner, row.asset, row.purpose, row.stripe)
        {
            found.push(Row { id: row.id, owner, asset, purpose, stripe });
        } else {
            return Err(corrupt("neither an entry nor an account"));
        }
    }
    Ok((found, heads))
}

/// The wallet that a trade's hold stands in.
pub(crate) fn wallet_of(desk: &Desk, user: UserId, asset: AssetId) -> Option<AccountId> {
    desk.book.account_id(&Desk::wallet(user, asset))
}
