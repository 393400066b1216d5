use chrono::NaiveDate;
use jobs::{Day, DayKey, Desk, UserId, Want};
use ledger::{Amount, AssetId};
use outbox::append;
use sqlx::PgConnection;

use crate::load::Batch;
use crate::numeric::Numeric;
use crate::tables::asset::amount;
use crate::tables::{Loaded, When, all_hit, corrupt};

/// What is used of the days' limits. A change is a new row.
pub(crate) struct Table;

impl Loaded for Table {
    type Key = DayKey;
    type Row = Day;
    const UPDATED: When = When::Shared;

    /// Puts the days on a desk as their newest rows say, and those of which nothing was ever used. Nothing is locked: who
    /// changes a day holds the wallet that the withdrawal is paid from, and reads the day after that was locked.
    async fn load_shared(db: &mut PgConnection, desk: &mut Desk, want: &Want, _: Batch<'_>) -> Result<(), sqlx::Error> {
        if want.days.is_empty() {
            return Ok(());
        }
        let keys: Vec<DayKey> = want.days.iter().copied().collect();
        let (users, assets, dates) = columns(&keys);
        let rows = sqlx::query!(
            r#"
            select d.user_id as "user_id!", d.asset as "asset!", d.day as "day!", w.version, w.used as "used: Numeric",
                w.day_max as "day_max: Numeric"
            from unnest($1::bigint[], $2::smallint[], $3::date[]) as d (user_id, asset, day)
            cross join lateral (
                select version, used, day_max from withdrawal_day
                where user_id = d.user_id and asset = d.asset and day = d.day order by version desc limit 1
            ) w
            "#,
            &users,
            &assets,
            &dates,
        )
        .fetch_all(db)
        .await?;
        for row in rows {
            let key = DayKey { user: UserId(row.user_id), asset: AssetId::new(row.asset), day: row.day };
            desk.days.load(key, Day { version: row.version, used: amount(row.used)?, max: amount(row.day_max)? });
        }
        for key in keys {
            desk.days.load(key, Day { version: 0, used: Amount::ZERO, max: Amount::ZERO });
        }
        Ok(())
    }

    /// Appends what is used now. Two batches that both believe they have a day's newest row collide on its next version.
    async fn update(db: &mut PgConnection, _: &Desk, changed: &[(&DayKey, &Day)]) -> Result<(), sqlx::Error> {
        let keys: Vec<DayKey> = changed.iter().map(|(key, _)| **key).collect();
        let (users, assets, dates) = columns(&keys);
        let next = |day: &Day| day.version.checked_add(1).ok_or_else(|| corrupt("withdrawal_day.version"));
        let versions = changed.iter().map(|(_, day)| next(day)).collect::<Result<Vec<i64>, _>>()?;
        let used: Vec<Numeric> = changed.iter().map(|(_, day)| Numeric(day.used.minor())).collect();
        let max: Vec<Numeric> = changed.iter().map(|(_, day)| Numeric(day.max.minor())).collect();
        let appended = append!(
            db,
            keys.len(),
            "withdrawal_day" ("user_id, asset, day, version, used, day_max")
                from ("$1::bigint[], $2::smallint[], $3::date[], $4::bigint[], $5::numeric[], $6::numeric[]"):
            &users,
            &assets,
            &dates,
            &versions,
            &used,
            &max,
        )
        .await?;
        all_hit(appended, keys.len())
    }
}

fn columns(keys: &[DayKey]) -> (Vec<i64>, Vec<i16>, Vec<NaiveDate>) {
    (
        keys.iter().map(|key| key.user.0).collect(),
        keys.iter().map(|key| key.asset.get()).collect(),
        keys.iter().map(|key| key.day).collect(),
    )
}
