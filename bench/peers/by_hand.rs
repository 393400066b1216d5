//! What a specialist would write by hand: a loop with a transaction per job, and one procedure.

use std::time::Instant;

use anyhow::Result;
use serde_json::value::RawValue;
use sqlx::types::Json;
use sqlx::{Connection, PgConnection, PgPool};
use tokio::task::JoinSet;

/// A queue written by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loop {
    /// Claim one, post it, delete it, commit.
    PerJob,
    /// The procedure that claims, posts and deletes so many.
    Procedure(i32),
    /// One row per job that is updated through its states, so many at a time.
    SingleTable(i32),
}

impl Loop {
    /// Puts the first so many jobs into its queue.
    pub(crate) async fn queue(self, db: &PgPool, jobs: usize) -> Result<()> {
        let sql = match self {
            Self::PerJob | Self::Procedure(_) => "insert into queue select * from load order by id limit $1",
            Self::SingleTable(_) => {
                "insert into single (id, kind, payload) select id, kind, payload from load order by id limit $1"
            }
        };
        sqlx::query(sql).bind(i64::try_from(jobs)?).execute(db).await?;
        Ok(())
    }

    /// Seconds until so many connections find nothing more.
    pub(crate) async fn run(self, url: &str, connections: u16) -> Result<f64> {
        let mut opened = Vec::new();
        for _ in 0..connections {
            opened.push(PgConnection::connect(url).await?);
        }
        let began = Instant::now();
        let mut workers = JoinSet::new();
        for (stripe, mut db) in (0_i16..).zip(opened) {
            workers.spawn(async move {
                match self {
                    Self::PerJob => per_job(&mut db).await,
                    Self::Procedure(batch) => procedure(&mut db, batch, stripe % 16).await,
                    Self::SingleTable(batch) => single_table(&mut db, batch, stripe % 16).await,
                }
            });
        }
        while let Some(ended) = workers.join_next().await {
            ended??;
        }
        Ok(began.elapsed().as_secs_f64())
    }
}

async fn per_job(db: &mut PgConnection) -> Result<()> {
    loop {
        let mut tx = db.begin().await?;
        let claimed: Option<(i64, String, Json<Box<RawValue>>)> =
            sqlx::query_as("select id, kind, payload from queue order by id limit 1 for update skip locked")
                .fetch_optional(&mut *tx)
                .await?;
        let Some((id, kind, payload)) = claimed else { return Ok(()) };
        sqlx::query("select post_job($1, $2, $3)").bind(id).bind(kind).bind(payload).execute(&mut *tx).await?;
        sqlx::query("delete from queue where id = $1").bind(id).execute(&mut *tx).await?;
        tx.commit().await?;
    }
}

async fn procedure(db: &mut PgConnection, batch: i32, stripe: i16) -> Result<()> {
    let mut after = 0_i64;
    loop {
        let (last,): (Option<i64>,) = sqlx::query_as("select settle_some($1, $2, $3)")
            .bind(batch)
            .bind(stripe)
            .bind(after)
            .fetch_one(&mut *db)
            .await?;
        match last {
            Some(last) => after = last,
            // Another may have left something behind.
            None if after > 0 => after = 0,
            None => return Ok(()),
        }
    }
}

async fn single_table(db: &mut PgConnection, batch: i32, stripe: i16) -> Result<()> {
    loop {
        let (claimed,): (Option<Vec<i64>>,) =
            sqlx::query_as("select single_claim($1)").bind(batch).fetch_one(&mut *db).await?;
        let Some(claimed) = claimed else { return Ok(()) };
        sqlx::query("select single_settle($1, $2)").bind(&claimed).bind(stripe).execute(&mut *db).await?;
    }
}
