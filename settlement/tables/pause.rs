use jobs::{Desk, PauseKey, PauseScope, Paused, PrincipalId, Want};
use ledger::JobId;
use sqlx::PgConnection;

use crate::tables::{Loaded, all_hit, corrupt};

/// What is paused. A pause that is over has no row.
pub(crate) struct Table;

impl Loaded for Table {
    type Key = PauseKey;
    type Row = Paused;

    /// Locks the pauses that there are of these, in the order of their keys, and reads them.
    async fn load(db: &mut PgConnection, desk: &mut Desk, want: &Want) -> Result<(), sqlx::Error> {
        let (scopes, names): (Vec<&str>, Vec<&str>) =
            want.pauses.iter().map(|key| (key.scope.as_str(), key.name.as_str())).unzip();
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
            desk.pauses.load(PauseKey { scope, name: row.name }, pause);
        }
        Ok(())
    }

    /// Two batches may pause the same thing at once. Whichever comes second inserts fewer rows than it
    /// meant to, which rolls its batch back; the next time it finds the row and locks it.
    async fn insert(db: &mut PgConnection, desk: &Desk, rows: &[(&PauseKey, &Paused)]) -> Result<(), sqlx::Error> {
        insert(db, desk, rows).await
    }

    /// Takes the rows away first, so that one that was resumed and paused again is a new row.
    async fn update(db: &mut PgConnection, desk: &Desk, rows: &[(&PauseKey, &Paused)]) -> Result<(), sqlx::Error> {
        delete(db, rows).await?;
        insert(db, desk, rows).await
    }
}

async fn delete(db: &mut PgConnection, rows: &[(&PauseKey, &Paused)]) -> Result<(), sqlx::Error> {
    let (scopes, names): (Vec<&str>, Vec<&str>) =
        rows.iter().map(|(key, _)| (key.scope.as_str(), key.name.as_str())).unzip();
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
    all_hit(result.rows_affected(), rows.len())
}

async fn insert(db: &mut PgConnection, desk: &Desk, rows: &[(&PauseKey, &Paused)]) -> Result<(), sqlx::Error> {
    let rows: Vec<(&PauseKey, &Paused)> = rows.iter().filter(|(_, pause)| pause.paused).copied().collect();
    if rows.is_empty() {
        return Ok(());
    }
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
