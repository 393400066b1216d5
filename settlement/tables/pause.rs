use std::collections::HashSet;

use jobs::{Desk, PauseChange, PauseKey, PauseScope, Paused, PrincipalId};
use ledger::JobId;
use sqlx::PgConnection;

use crate::tables::{all_hit, corrupt};

/// Locks the pauses that there are of these, in the order of their keys, and reads them.
pub(crate) async fn load(
    db: &mut PgConnection,
    desk: &mut Desk,
    keys: impl Iterator<Item = &PauseKey>,
) -> Result<(), sqlx::Error> {
    let (scopes, names): (Vec<&str>, Vec<&str>) = keys.map(|key| (key.scope.as_str(), key.name.as_str())).unzip();
    if scopes.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "
        select p.scope, p.name, p.reason, p.principal_id, p.job_id, p.since
        from unnest($1::text[], $2::text[]) as w (scope, name)
        join pause p on p.scope = w.scope and p.name = w.name
        order by p.scope, p.name
        for update of p
        ",
        &scopes as _,
        &names as _,
    )
    .fetch_all(db)
    .await?;
    for row in rows {
        let scope = PauseScope::parse(&row.scope).ok_or_else(|| corrupt("pause.scope"))?;
        let pause = Paused {
            paused: true,
            reason: row.reason,
            by: PrincipalId(row.principal_id),
            job: JobId(row.job_id),
            since: row.since,
        };
        desk.operating.pauses.load(PauseKey { scope, name: row.name }, pause);
    }
    Ok(())
}

/// Stores what was paused and resumed, and that it was.
pub(crate) async fn store(db: &mut PgConnection, desk: &Desk) -> Result<(), sqlx::Error> {
    let history = desk.operating.pause_changes.changed().inserted;
    if history.is_empty() {
        return Ok(());
    }
    let changed = desk.operating.pauses.changed();
    let touched: Vec<(&PauseKey, &Paused)> = changed.updated.iter().chain(&changed.inserted).copied().collect();
    // Taken away first, so that one that was resumed and paused again is a new row.
    let before: HashSet<&PauseKey> = changed.updated.iter().map(|(key, _)| *key).collect();
    delete(db, &before).await?;
    insert(db, &touched, desk).await?;
    record(db, &history, desk).await
}

async fn delete(db: &mut PgConnection, keys: &HashSet<&PauseKey>) -> Result<(), sqlx::Error> {
    if keys.is_empty() {
        return Ok(());
    }
    let (scopes, names): (Vec<&str>, Vec<&str>) =
        keys.iter().map(|key| (key.scope.as_str(), key.name.as_str())).unzip();
    let result = sqlx::query!(
        "
        delete from pause p using unnest($1::text[], $2::text[]) as d (scope, name)
        where p.scope = d.scope and p.name = d.name
        ",
        &scopes as _,
        &names as _,
    )
    .execute(db)
    .await?;
    all_hit(result.rows_affected(), keys.len())
}

/// Two batches may pause the same thing at once. Whichever comes second inserts fewer rows than it
/// meant to, which rolls its batch back; the next time it finds the row and locks it.
async fn insert(db: &mut PgConnection, rows: &[(&PauseKey, &Paused)], desk: &Desk) -> Result<(), sqlx::Error> {
    let mut rows: Vec<(&PauseKey, &Paused)> = rows.iter().filter(|(_, pause)| pause.paused).copied().collect();
    if rows.is_empty() {
        return Ok(());
    }
    rows.sort_by_key(|(key, _)| *key);
    let scopes: Vec<&str> = rows.iter().map(|(key, _)| key.scope.as_str()).collect();
    let names: Vec<&str> = rows.iter().map(|(key, _)| key.name.as_str()).collect();
    let reasons: Vec<&str> = rows.iter().map(|(_, pause)| pause.reason.as_str()).collect();
    let principals: Vec<i64> = rows.iter().map(|(_, pause)| pause.by.0).collect();
    let jobs: Vec<i64> = rows.iter().map(|(_, pause)| pause.job.0).collect();
    let result = sqlx::query!(
        "
        insert into pause (scope, name, reason, principal_id, job_id, since)
        select p.*, $6 from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bigint[])
            as p (scope, name, reason, principal_id, job_id)
        on conflict do nothing
        ",
        &scopes as _,
        &names as _,
        &reasons as _,
        &principals,
        &jobs,
        desk.now,
    )
    .execute(db)
    .await?;
    all_hit(result.rows_affected(), rows.len())
}

async fn record(db: &mut PgConnection, changes: &[(&i64, &PauseChange)], desk: &Desk) -> Result<(), sqlx::Error> {
    let jobs: Vec<i64> = changes.iter().map(|(job, _)| **job).collect();
    let scopes: Vec<&str> = changes.iter().map(|(_, change)| change.key.scope.as_str()).collect();
    let names: Vec<&str> = changes.iter().map(|(_, change)| change.key.name.as_str()).collect();
    let paused: Vec<bool> = changes.iter().map(|(_, change)| change.paused).collect();
    let reasons: Vec<&str> = changes.iter().map(|(_, change)| change.reason.as_str()).collect();
    let principals: Vec<i64> = changes.iter().map(|(_, change)| change.by.0).collect();
    let result = sqlx::query!(
        "
        insert into pause_change (job_id, scope, name, paused, reason, principal_id, at)
        select c.*, $7 from unnest($1::bigint[], $2::text[], $3::text[], $4::boolean[], $5::text[], $6::bigint[])
            as c (job_id, scope, name, paused, reason, principal_id)
        ",
        &jobs,
        &scopes as _,
        &names as _,
        &paused,
        &reasons as _,
        &principals,
        desk.now,
    )
    .execute(db)
    .await?;
    all_hit(result.rows_affected(), jobs.len())
}
