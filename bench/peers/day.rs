//! The money day once more, for those who do not know Holdfast's kinds: the same shares of the same
//! jobs about as many people, with ids of their own, made once so that all do the same in the same order.

use std::collections::VecDeque;

use anyhow::{Context, Result};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgPool};

use crate::server::Server;

/// The database that contestants get a copy of.
pub(crate) const TEMPLATE: &str = "peers";
/// The first person.
const FIRST_PERSON: usize = 1_000;
/// Jobs posted in one call before the measured ones.
const CHUNK: usize = 500;
/// How many trades are opened before the first of them is followed up, as in Holdfast's own load.
const FOLLOW_AFTER: usize = 2_200;
const FOLLOW_AFTER_MIN: usize = 500;
/// Of each asset, in minor units: what everybody has at first, a deposit, a trade, a withdrawal.
const AMOUNTS: [[i64; 4]; 5] = [
    [99_000_000_000, 125_500_000, 750_000, 10_000_000],
    [99_000_000, 250_000, 1_500, 10_000],
    [99_000_000_000, 950_250_000, 5_500_000, 50_000_000],
    [99_000_000_000, 175_000_000, 1_050_000, 10_000_000],
    [49_000_000_000, 88_125_000, 500_000, 5_000_000],
];
/// Kinds of a thousand jobs.
const SHARES: [(&str, usize); 7] = [
    ("deposit-credit", 250),
    ("lock-escrow", 200),
    ("mark-paid", 200),
    ("release", 140),
    ("refund", 60),
    ("withdrawal-request", 100),
    ("user-register", 50),
];

/// Makes the database: schema, procedures, people with money, trades in every state, and the load.
pub(crate) async fn prepare(server: &Server, jobs: usize, people: usize) -> Result<()> {
    let db = server.database(TEMPLATE, None).await?;
    for sql in [include_str!("schema.sql"), include_str!("bulk.sql"), include_str!("per_job.sql")] {
        sqlx::raw_sql(sql).execute(&db).await?;
    }
    settle_in(&db, people).await?;
    let mut day = Day::new(people, jobs);
    let mut before = day.funding();
    while day.paid.len() <= day.follow_after {
        before.extend(day.thousand());
    }
    for some in before.chunks(CHUNK) {
        let (ids, kinds, payloads) = columns(some);
        sqlx::query("select post_batch($1, $2, $3::text[]::jsonb[], 0::smallint)")
            .bind(ids)
            .bind(kinds)
            .bind(payloads)
            .execute(&db)
            .await
            .context("posting what comes before the load")?;
    }
    let mut made = 0;
    while made < jobs {
        let mut some = day.thousand();
        some.truncate(jobs - made);
        made += some.len();
        let (ids, kinds, payloads) = columns(&some);
        sqlx::query("insert into load select * from unnest($1::bigint[], $2::text[], $3::text[]::jsonb[])")
            .bind(ids)
            .bind(kinds)
            .bind(payloads)
            .execute(&db)
            .await?;
    }
    sqlx::raw_sql("vacuum (freeze, analyze)").execute(&db).await?;
    db.close().await;
    Ok(())
}

/// How many jobs may be under way at once, so that none is overtaken by what follows up on it.
pub(crate) fn under_way_max(jobs: usize) -> usize {
    // A fifth of the jobs open a trade; half of the way is kept free.
    (jobs / 8).clamp(FOLLOW_AFTER_MIN, FOLLOW_AFTER) * 5 / 2
}

/// People, each with a wallet and the one before as the referrer, and the accounts of the house.
async fn settle_in(db: &PgPool, people: usize) -> Result<()> {
    let last = FIRST_PERSON + people - 1;
    let sql = format!(
        "insert into person select p, nullif(p - 1, {FIRST_PERSON} - 1) from generate_series({FIRST_PERSON}, {last}) p;
         insert into account (id, owner, asset)
            select wallet(p.id, asset), p.id, asset
            from person p, lateral (select ((p.id - {FIRST_PERSON}) % 5 + 1)::smallint) as a (asset);
         insert into account (id, owner, asset)
            select id, 0, asset
            from (select a::smallint, s::smallint from generate_series(1, 5) a, generate_series(0, 15) s) h (asset, stripe),
                lateral (values (world(asset, stripe)), (fee(asset, stripe))) as v (id);
         analyze;"
    );
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await?;
    Ok(())
}

/// A job with its id and what it says.
type Row = (i64, &'static str, Value);

fn columns(rows: &[Row]) -> (Vec<i64>, Vec<&'static str>, Vec<String>) {
    let ids = rows.iter().map(|(id, _, _)| *id).collect();
    let kinds = rows.iter().map(|(_, kind, _)| *kind).collect();
    (ids, kinds, rows.iter().map(|(_, _, payload)| payload.to_string()).collect())
}

/// A trade with its seller and its buyer, by their places among the people.
type Open = (i64, usize, usize);

struct Day {
    rng: StdRng,
    /// Cumulated Zipf weights, scaled to integers.
    weights: Vec<u64>,
    people: usize,
    registered: usize,
    follow_after: usize,
    id: i64,
    payment: i64,
    locked: VecDeque<Open>,
    paid: VecDeque<Open>,
}

impl Day {
    fn new(people: usize, jobs: usize) -> Self {
        let weights = (1_u64..).take(people).scan(0_u64, |sum, rank| {
            *sum += 1_000_000_000 / rank;
            Some(*sum)
        });
        Self {
            rng: StdRng::seed_from_u64(1),
            weights: weights.collect(),
            people,
            registered: 0,
            // A small load is followed up sooner, and still later than any batch that is under way.
            follow_after: (jobs / 8).clamp(FOLLOW_AFTER_MIN, FOLLOW_AFTER),
            id: 0,
            payment: 0,
            locked: VecDeque::new(),
            paid: VecDeque::new(),
        }
    }

    fn funding(&mut self) -> Vec<Row> {
        (0..self.people).map(|place| self.deposit(place, 0)).collect()
    }

    fn pick(&mut self) -> usize {
        let at = self.rng.random_range(0..self.weights.last().copied().unwrap_or(1));
        self.weights.partition_point(|weight| *weight <= at)
    }

    fn next(&mut self) -> i64 {
        self.id += 1;
        self.id
    }

    fn deposit(&mut self, place: usize, column: usize) -> Row {
        self.payment += 1;
        let (asset, amount) = money(place, column);
        let payload = json!({
            "payment": self.payment, "person": FIRST_PERSON + place, "asset": asset, "amount": amount.to_string(),
        });
        (self.next(), "deposit-credit", payload)
    }

    /// A thousand jobs, or fewer while there is not enough to follow up.
    fn thousand(&mut self) -> Vec<Row> {
        let order: Vec<&str> = SHARES.iter().flat_map(|(kind, n)| std::iter::repeat_n(*kind, *n)).collect();
        // A stride that is coprime to 1 000 spreads the kinds evenly.
        let kinds: Vec<&str> =
            (0..order.len()).filter_map(|step| order.get(step * 389 % order.len()).copied()).collect();
        kinds.into_iter().filter_map(|kind| self.job(kind)).collect()
    }

    fn job(&mut self, kind: &str) -> Option<Row> {
        Some(match kind {
            "deposit-credit" => {
                let place = self.pick();
                self.deposit(place, 1)
            }
            "lock-escrow" => self.lock(),
            "mark-paid" => {
                let open = oldest(&mut self.locked, self.follow_after)?;
                self.paid.push_back(open);
                self.follow_up("mark-paid", open.0, open.2)
            }
            "release" => {
                let open = oldest(&mut self.paid, self.follow_after)?;
                self.follow_up("release", open.0, open.1)
            }
            "refund" => {
                let open = oldest(&mut self.paid, self.follow_after)?;
                self.follow_up("refund", open.0, open.2)
            }
            "withdrawal-request" => {
                let place = self.pick();
                let (asset, amount) = money(place, 3);
                let payload = json!({
                    "person": FIRST_PERSON + place, "asset": asset, "amount": amount.to_string(),
                    "fee": (amount / 5).to_string(), "address": "somewhere",
                });
                (self.next(), "withdrawal-request", payload)
            }
            _ => {
                let referrer = FIRST_PERSON + self.pick();
                self.registered += 1;
                let person = FIRST_PERSON + self.people + self.registered;
                (self.next(), "user-register", json!({ "person": person, "referrer": referrer }))
            }
        })
    }

    fn lock(&mut self) -> Row {
        let seller = self.pick();
        let buyer = Some(self.pick()).filter(|buyer| *buyer != seller).unwrap_or((seller + 1) % self.people);
        let (asset, amount) = money(seller, 2);
        let payload = json!({
            "person": FIRST_PERSON + seller, "buyer": FIRST_PERSON + buyer, "asset": asset, "amount": amount.to_string(),
        });
        let id = self.next();
        self.locked.push_back((id, seller, buyer));
        (id, "lock-escrow", payload)
    }

    fn follow_up(&mut self, kind: &'static str, trade: i64, person: usize) -> Row {
        (self.next(), kind, json!({ "trade": trade, "person": FIRST_PERSON + person }))
    }
}

fn oldest(waiting: &mut VecDeque<Open>, follow_after: usize) -> Option<Open> {
    if waiting.len() > follow_after { waiting.pop_front() } else { None }
}

/// A person's asset, and an amount of it.
fn money(place: usize, column: usize) -> (usize, i64) {
    let kind = place % AMOUNTS.len();
    (kind + 1, AMOUNTS.get(kind).and_then(|amounts| amounts.get(column)).copied().unwrap_or(1))
}
