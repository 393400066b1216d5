//! What a drain wrote, batch by batch, read from the tables afterwards.

use anyhow::{Context, Result, ensure};
use futures_util::TryStreamExt;
use sqlx::PgPool;
use sqlx::postgres::PgPoolCopyExt;

use crate::limit::rows::Rows;

/// One sort of write: what of it belongs to which batch, and how it is done.
pub(crate) struct Write {
    /// Selects the number of the batch and then the columns that are bound.
    pub(crate) source: &'static str,
    pub(crate) how: How,
}

/// How a write is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// Whole rows of a table: by `unnest` or by COPY.
    Insert(&'static str),
    /// A statement over arrays of these types.
    Statement(&'static str, &'static [&'static str]),
}

const fn insert(table: &'static str, source: &'static str) -> Write {
    Write { source, how: How::Insert(table) }
}

/// In the order in which a batch of Holdfast writes them. Rows are inserted as they were at first and
/// updated as often as jobs updated them; what they hold between is what they hold in the end. Updates come later than
/// they did, each two batches after what it builds on, so that two connections find what the other one has written.
pub(crate) const WRITES: [Write; 20] = [
    insert("app_user", "select b.n, x.* from app_user x join replay.batch b on b.job_id = x.id order by x.id"),
    insert(
        "account",
        "select coalesce(b.n, 0), x.* from account x
         left join entry e on e.account_id = x.id and e.version = 1 left join replay.batch b on b.job_id = e.job_id
         where abs(x.id) > (select account from replay.before) order by x.id",
    ),
    insert(
        "withdrawal_day",
        // A batch leaves one version of a day; the newest are the drain's.
        "select k.n, d.user_id, d.asset, d.day, d.used, d.day_max, d.version from (
            select b.n, w.user_id, w.asset, w.day, row_number() over (partition by user_id, asset, day order by n desc) as back
            from withdrawal w join replay.batch b on b.job_id = w.id group by b.n, w.user_id, w.asset, w.day) k
         join (
            select w.*, row_number() over (partition by user_id, asset, day order by version desc) as back
            from withdrawal_day w) d using (user_id, asset, day, back)
         order by d.user_id, d.asset, d.day, d.version",
    ),
    insert(
        "trade",
        r#"select b.n, y.* from trade x join replay.batch b on b.job_id = x.id,
            lateral jsonb_populate_record(x, '{"state": "awaiting_payment", "paid_at": null, "closed_at": null,
                "maker_fee": null, "taker_fee": null, "commissioned": 0}') y order by x.id"#,
    ),
    insert(
        "trade_referral",
        "select b.n, x.* from trade_referral x join replay.batch b on b.job_id = x.trade_id order by x.trade_id, x.side",
    ),
    Write {
        source: "select b.n + 2, t.id, t.paid_at from job j join replay.batch b on b.job_id = j.id
            join trade t on t.id = (j.payload ->> 'trade_id')::bigint where j.kind = 'trade-event' order by j.id",
        how: How::Statement(
            "update trade t set state = 'paid', paid_at = u.paid_at from unnest($1, $2) as u (id, paid_at)
             where t.id = u.id",
            &["bigint", "timestamptz"],
        ),
    },
    Write {
        source: "select b.n + 4, t.id, t.state, t.maker_fee, t.taker_fee, t.closed_at
            from job j join replay.batch b on b.job_id = j.id
            join trade t on t.id = (j.payload ->> 'trade_id')::bigint where j.kind in ('release', 'refund') order by j.id",
        how: How::Statement(
            "update trade t set state = u.state, maker_fee = u.maker_fee, taker_fee = u.taker_fee, closed_at = u.closed_at
             from unnest($1, $2, $3, $4, $5) as u (id, state, maker_fee, taker_fee, closed_at) where t.id = u.id",
            &["bigint", "text", "numeric", "numeric", "timestamptz"],
        ),
    },
    Write {
        source: "select distinct b.n + 4, t.id, t.commissioned from commission c join replay.batch b on b.job_id = c.job_id
            join trade t on t.id = c.trade_id order by t.id",
        how: How::Statement(
            "update trade t set commissioned = u.commissioned from unnest($1, $2) as u (id, commissioned)
             where t.id = u.id",
            &["bigint", "numeric"],
        ),
    },
    insert("commission", "select b.n, x.* from commission x join replay.batch b using (job_id) order by job_id"),
    insert("deposit", "select b.n, x.* from deposit x join replay.batch b on b.job_id = x.first_job order by b.job_id"),
    insert("withdrawal", "select b.n, x.* from withdrawal x join replay.batch b on b.job_id = x.id order by x.id"),
    insert(
        "hold",
        r#"select b.n, y.* from hold x join replay.batch b on b.job_id = x.id,
            lateral jsonb_populate_record(x, '{"closed_by": null}') y order by x.id"#,
    ),
    Write {
        source: "select b.n + 4, x.id, x.closed_by from hold x join replay.batch b on b.job_id = x.closed_by order by x.id",
        how: How::Statement(
            "update hold h set closed_by = u.closed_by from unnest($1, $2) as u (id, closed_by) where h.id = u.id",
            &["bigint", "bigint"],
        ),
    },
    insert("transfer", "select b.n, x.* from transfer x join replay.batch b using (job_id) order by x.job_id, x.leg"),
    insert("entry", "select b.n, x.* from entry x join replay.batch b using (job_id) order by x.job_id, x.account_id, x.version"),
    insert(
        "request",
        "select b.n, x.* from request x join job j on j.id = x.job_id join replay.batch b on b.job_id = j.caused_by
         order by j.id",
    ),
    insert("job", "select b.n, x.* from job x join replay.batch b on b.job_id = x.caused_by order by x.id"),
    insert(
        "outbox",
        "select b.n, j.id, 'ledger'::text, (s % 64)::smallint, s, j.received_at, 0, null::text
         from job j join replay.batch b on b.job_id = j.caused_by,
            lateral (select (j.payload ->> 'trade_id')::bigint) as subject (s) order by j.id",
    ),
    insert("outcome", "select b.n, x.* from outcome x join replay.batch b using (job_id) order by job_id"),
    // What a batch has caused is taken out of the outbox two batches later than it was, so that two
    // connections never delete what the other one has yet to insert.
    Write {
        source: "select b.n + case when j.caused_by is null then 0 else 2 end, j.id
            from job j join replay.batch b on b.job_id = j.id order by j.id",
        how: How::Statement("delete from outbox where job_id = any ($1)", &["bigint"]),
    },
];

/// Tables that a drain writes, in the order in which they can be filled.
pub(crate) const TABLES: [&str; 15] = [
    "app_user",
    "account",
    "withdrawal_day",
    "trade",
    "trade_referral",
    "commission",
    "deposit",
    "withdrawal",
    "hold",
    "transfer",
    "entry",
    "request",
    "job",
    "outbox",
    "outcome",
];

/// Notes where the tables stand before the drain.
pub(crate) async fn before(owner: &PgPool) -> Result<()> {
    let sql = "drop schema if exists replay cascade;
        create schema replay;
        create table replay.before as select
            (select last_value from account_id) as account,
            (select coalesce(max(finished_at), '-infinity') from outcome) as finished_at";
    sqlx::raw_sql(sql).execute(owner).await?;
    Ok(())
}

/// Numbers the batches of the drain, and says how many jobs they have ended.
pub(crate) async fn after(owner: &PgPool) -> Result<i64> {
    let sql = "create table replay.batch as
            select job_id, dense_rank() over (order by finished_at) - 1 as n
            from outcome where finished_at > (select finished_at from replay.before);
        create unique index on replay.batch (job_id);
        analyze replay.batch";
    sqlx::raw_sql(sql).execute(owner).await?;
    let (jobs,): (i64,) = sqlx::query_as("select count(*) from replay.batch").fetch_one(owner).await?;
    ensure!(jobs > 0, "the drain has ended no job");
    Ok(jobs)
}

/// Everything that a write did, by batches.
pub(crate) async fn read(owner: &PgPool, write: &Write) -> Result<Rows> {
    let types = match write.how {
        How::Statement(_, types) => types.iter().map(|name| (*name).to_owned()).collect(),
        How::Insert(table) => types_of(owner, table).await?,
    };
    let arrays: Vec<(i64, i64)> = sqlx::query_as(
        "select t.oid::bigint, t.typarray::bigint from unnest($1::text[]) with ordinality as u (name, at)
         join pg_type t on t.oid = u.name::regtype order by u.at",
    )
    .bind(&types)
    .fetch_all(owner)
    .await?;
    let mut rows = Rows::new(types, arrays)?;
    let copy = format!("copy ({}) to stdout (format binary)", write.source);
    let mut stream = owner.copy_out_raw(&copy).await?;
    let mut all = Vec::new();
    while let Some(bytes) = stream.try_next().await? {
        all.extend_from_slice(&bytes);
    }
    rows.split(&all).with_context(|| format!("reading what was written: {}", write.source))?;
    Ok(rows)
}

async fn types_of(owner: &PgPool, table: &str) -> Result<Vec<String>> {
    let names: Vec<(String,)> = sqlx::query_as(
        "select format_type(atttypid, null) from pg_attribute
         where attrelid = $1::regclass and attnum > 0 and not attisdropped order by attnum",
    )
    .bind(table)
    .fetch_all(owner)
    .await?;
    Ok(names.into_iter().map(|(name,)| name).collect())
}
