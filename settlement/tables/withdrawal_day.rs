use chrono::NaiveDate;
use jobs::{Day, DayKey, Desk, UserId};
use ledger::{Amount, AssetId};
use rustc_hash::FxHashSet;
use sqlx::PgConnection;

use crate::numeric::Numeric;
use crate::tables::all_hit;
use crate::tables::asset::amount;

/// Makes the days that are missing and locks all of them, both in the order of their keys.
pub(crate) async fn load(db: &mut PgConnection, desk: &mut Desk, days: &FxHashSet<DayKey>) -> Result<(), sqlx::Error> {
    if days.is_empty() {
        return Ok(());
    }
    let mut keys: Vec<DayKey> = days.iter().copied().collect();
    keys.sort_unstable();
    let (users, assets, dates) = columns(&keys);
    sqlx::query!(
        "
        insert into withdrawal_day (user_id, asset, day)
        -- Whoever is not registered is refused, and leaves no row behind.
        select d.user_id, d.asset, d.day
        from unnest($1::bigint[], $2::smallint[], $3::date[]) as d (user_id, asset, day)
        where exists (select from app_user u where u.id = d.user_id)
        order by d.user_id, d.asset, d.day
        on conflict do nothing
        ",
        &users,
        &assets,
        &dates,
    )
    .execute(&mut *db)
    .await?;
    let rows = sqlx::query!(
        r#"
        select w.user_id, w.asset, w.day, w.used as "used: Numeric", w.day_max as "day_max: Numeric"
        from withdrawal_day w
        where (w.user_id, w.asset, w.day) in (
            select * from unnest($1::bigint[], $2::smallint[], $3::date[]))
        order by w.user_id, w.asset, w.day
        for no key update
        "#,
        &users,
        &assets,
        &dates,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let key = DayKey { user: UserId(row.user_id), asset: AssetId::new(row.asset), day: row.day };
        desk.days.load(key, Day { used: amount(row.used)?, max: amount(row.day_max)? });
    }
    Ok(())
}

/// Reads the days as they stand, without making or locking them: good enough to foresee with.
pub(crate) async fn foresee(
    db: &mut PgConnection,
    desk: &mut Desk,
    days: &FxHashSet<DayKey>,
) -> Result<(), sqlx::Error> {
    if days.is_empty() {
        return Ok(());
    }
    let keys: Vec<DayKey> = days.iter().copied().collect();
    let (users, assets, dates) = columns(&keys);
    let rows = sqlx::query!(
        r#"
        select w.user_id, w.asset, w.day, w.used as "used: Numeric", w.day_max as "day_max: Numeric"
        from unnest($1::bigint[], $2::smallint[], $3::date[]) as d (user_id, asset, day)
        join withdrawal_day w on w.user_id = d.user_id and w.asset = d.asset and w.day = d.day
        "#,
        &users,
        &assets,
        &dates,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let key = DayKey { user: UserId(row.user_id), asset: AssetId::new(row.asset), day: row.day };
        desk.days.load(key, Day { used: amount(row.used)?, max: amount(row.day_max)? });
    }
    for key in keys {
        desk.days.load(key, Day { used: Amount::ZERO, max: Amount::ZERO });
    }
    Ok(())
}

/// Stores what is used now.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let changed = desk.days.changed().updated;
    if changed.is_empty() {
        return Ok(());
    }
    let keys: Vec<DayKey> = changed.iter().map(|(key, _)| **key).collect();
    let (users, assets, dates) = columns(&keys);
    let used: Vec<Numeric> = changed.iter().map(|(_, day)| Numeric(day.used.minor())).collect();
    let max: Vec<Numeric> = changed.iter().map(|(_, day)| Numeric(day.max.minor())).collect();
    let result = sqlx::query!(
        "
        update withdrawal_day w set used = d.used, day_max = d.day_max
        from unnest($1::bigint[], $2::smallint[], $3::date[], $4::numeric[], $5::numeric[])
            as d (user_id, asset, day, used, day_max)
        where w.user_id = d.user_id and w.asset = d.asset and w.day = d.day
        ",
        &users,
        &assets,
        &dates,
        &used as _,
        &max as _,
    )
    .execute(db)
    .await?;
    all_hit(result.rows_affected(), keys.len())
}

fn columns(keys: &[DayKey]) -> (Vec<i64>, Vec<i16>, Vec<NaiveDate>) {
    (
        keys.iter().map(|key| key.user.0).collect(),
        keys.iter().map(|key| key.asset.get()).collect(),
        keys.iter().map(|key| key.day).collect(),
    )
}
