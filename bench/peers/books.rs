//! Whether a contestant did what it was given: the books agree with each other, every job is done once,
//! and whoever did the same jobs ends with the same balances.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use sqlx::PgPool;

/// What must not be found, and what finds it.
const FAULTS: [(&str, &str); 5] = [
    (
        "assets that do not sum to zero",
        "select count(*) from (select from account group by asset having sum(posted) <> 0) x",
    ),
    (
        "accounts that are not their entries",
        "select count(*) from account a
         left join (select account_id, count(*) n, max(version) v, sum(d_posted) posted, sum(d_held) held
            from entry group by 1) e on e.account_id = a.id
         where (a.version, a.version, a.posted, a.held)
            is distinct from (coalesce(e.n, 0), coalesce(e.v, 0), coalesce(e.posted, 0), coalesce(e.held, 0))",
    ),
    (
        "accounts whose holds do not sum to what is held",
        "select count(*) from account a
         left join (select account_id, sum(amount) held from hold where closed_by is null group by 1) h
            on h.account_id = a.id
         where a.held <> coalesce(h.held, 0)",
    ),
    (
        "transfers without both of their entries",
        "select count(*) from transfer t
         where (select count(*) from (values (t.debit, -t.amount), (t.credit, t.amount)) s (account, change)
            join entry e on e.account_id = s.account and e.job_id = t.job_id and e.leg = t.leg and e.d_posted = s.change)
            <> 2 and t.job_id > (select max(job_id) - 2000 from transfer)",
    ),
    (
        "jobs that are queued and done",
        "select count(*) from (select id from queue union all select id from single where state <> 'done') q
         join done d on d.job_id = q.id",
    ),
];

/// The balances that everybody must end with, for each number of jobs.
#[derive(Default)]
pub(crate) struct Books {
    balances: BTreeMap<usize, String>,
}

impl Books {
    /// Checks the books of whoever was given the first so many jobs of the load, and notes which are done or none.
    pub(crate) async fn check(&mut self, db: &PgPool, who: &str, jobs: usize, keeps: bool) -> Result<()> {
        for (what, sql) in FAULTS {
            let (found,): (i64,) = sqlx::query_as(sql).fetch_one(db).await?;
            ensure!(found == 0, "{who}: {found} {what}");
        }
        let (done, others): (i64, i64) = sqlx::query_as(
            "with given as (select id from load order by id limit $1)
             select (select count(*) from done join given on id = job_id),
                (select count(*) from done where job_id >= (select min(id) from load)) ",
        )
        .bind(i64::try_from(jobs)?)
        .fetch_one(db)
        .await?;
        let noted = if keeps { i64::try_from(jobs)? } else { 0 };
        ensure!((done, others) == (noted, noted), "{who}: {done} of {jobs} jobs are done, {others} in all");
        // Which stripe of the house's accounts was used differs; what the house has does not.
        let (balances,): (String,) = sqlx::query_as(
            "select md5(string_agg(concat_ws(' ', owner, asset, outside, posted, held), ',' order by owner, asset, outside))
             from (select owner, asset, id < 0 as outside, sum(posted) posted, sum(held) held from account
                group by 1, 2, 3 having sum(posted) <> 0 or sum(held) <> 0) b",
        )
        .fetch_one(db)
        .await?;
        let first = self.balances.entry(jobs).or_insert_with(|| balances.clone());
        ensure!(*first == balances, "{who} ends with other balances than those before it, after {jobs} jobs");
        Ok(())
    }
}
