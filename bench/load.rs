//! The load: the money day, as far as its kinds exist.

mod settling_in;

use std::collections::VecDeque;

use anyhow::{Result, ensure};
use jobs::{
    AnyJob, LockEscrow, MakerSide, PrincipalId, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId,
    UserRegister, WithdrawalRequest,
};
use outbox::{Ask, Recorded, payload_hash};
use providers::nowpayments::{Callback, Secret, verify};
use rand::{Rng, RngExt, SeedableRng};
use simulators::nowpayments::{Payment, sign};

pub(crate) use settling_in::people;

use crate::server::Server;

/// What callbacks are signed with.
pub(crate) const IPN_SECRET: &str = "money-day-secret";
/// The first principal that is not Holdfast's own.
const SUBMITTER: i64 = 100;
/// Jobs recorded in one statement.
const CHUNK: usize = 1_000;
/// How many trades are opened before the first of them is followed up, half as many as there are people: some 10,000
/// jobs, fewer in a small form of the load.
const FOLLOW_AFTER: usize = 2_200;
const FOLLOW_AFTER_MIN: usize = 500;
/// Codes and the text of one deposit.
pub(crate) const ASSETS: [(&str, &str); 5] =
    [("usdttrc20", "125.5"), ("btc", "0.0025"), ("trx", "950.25"), ("ltc", "1.75"), ("xrp", "88.125")];
/// What each trade is about: small against every wallet.
const TRADED: [&str; 5] = ["0.75", "0.000015", "5.5", "0.0105", "0.5"];

/// What the load is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Mix {
    /// The money day, withdrawals and one level of commissions included.
    Day,
    /// Without them, their share left to the others: comparable with what was measured before them.
    Spine,
}

impl Mix {
    /// Kinds of a thousand jobs.
    const fn shares(self) -> [(Share, usize); 7] {
        match self {
            Self::Day => [
                (Share::Deposit, 250),
                (Share::Lock, 200),
                (Share::MarkPaid, 200),
                (Share::Release, 140),
                (Share::Refund, 60),
                (Share::Withdraw, 100),
                (Share::Register, 50),
            ],
            Self::Spine => [
                (Share::Deposit, 278),
                (Share::Lock, 222),
                (Share::MarkPaid, 222),
                (Share::Release, 156),
                (Share::Refund, 66),
                (Share::Withdraw, 0),
                (Share::Register, 56),
            ],
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Share {
    Deposit,
    Lock,
    MarkPaid,
    Release,
    Refund,
    Withdraw,
    Register,
}

/// The people of the load, most active first.
pub(crate) struct People {
    ids: Vec<UserId>,
    /// Cumulated Zipf weights, scaled to integers.
    weights: Vec<u64>,
    payments: std::cell::Cell<u64>,
    keys: std::cell::Cell<u64>,
    /// Trades of the rounds before that are locked, and those that are paid.
    waiting: std::cell::RefCell<Waiting>,
}

/// A trade with its seller and its buyer.
type Open = (TradeId, UserId, UserId);

/// Trades that are locked, and those that are paid.
type Waiting = (VecDeque<Open>, VecDeque<Open>);

impl People {
    pub(crate) fn pick(&self, rng: &mut impl Rng) -> usize {
        let most = self.weights.last().copied().unwrap_or(1);
        let at = rng.random_range(0..most);
        self.weights.partition_point(|weight| *weight <= at)
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.ids.len()
    }

    pub(crate) fn id(&self, place: usize) -> UserId {
        self.ids.get(place).copied().unwrap_or(UserId(1))
    }

    fn key(&self) -> String {
        self.keys.set(self.keys.get().wrapping_add(1));
        format!("money-day-{}", self.keys.get())
    }

    fn follow_after(&self) -> usize {
        (self.count() / 2).clamp(FOLLOW_AFTER_MIN, FOLLOW_AFTER)
    }

    /// What a lock between two people says, over HTTP.
    pub(crate) fn lock_body(&self, number: u64) -> serde_json::Value {
        let count = self.ids.len();
        let seller = usize::try_from(number.wrapping_mul(7_919)).unwrap_or(0) % count;
        let (asset, _) = ASSETS.get(seller % ASSETS.len()).copied().unwrap_or(("btc", "1"));
        serde_json::json!({
            "seller_id": self.id(seller), "buyer_id": self.id(seller.wrapping_add(1) % count), "asset": asset,
            "amount": TRADED.get(seller % TRADED.len()).unwrap_or(&"1"), "maker": "seller",
        })
    }

    fn payment_id(&self) -> u64 {
        self.payments.set(self.payments.get().wrapping_add(1));
        self.payments.get()
    }
}

/// Queues a round of the load; returns how many jobs it has. What follows on a trade is queued
/// thousands of jobs later, as it would come in the course of a day.
pub(crate) async fn queue(server: &Server, people: &People, count: usize, round: usize, mix: Mix) -> Result<usize> {
    let mut rng = rand::rngs::StdRng::seed_from_u64(u64::try_from(round)?);
    let mut waiting = people.waiting.take();
    let mut queued = 0_usize;
    while queued < count {
        queued = queued.saturating_add(thousand(server, people, &mut waiting, &mut rng, mix).await?);
    }
    people.waiting.replace(waiting);
    for maintenance in ["vacuum outbox", "analyze", "checkpoint"] {
        sqlx::raw_sql(maintenance).execute(&server.owner).await?;
    }
    Ok(queued)
}

/// Queues a thousand jobs, or fewer while there are not enough trades to follow up; returns how many.
async fn thousand(
    server: &Server,
    people: &People,
    (locked, paid): &mut Waiting,
    rng: &mut impl Rng,
    mix: Mix,
) -> Result<usize> {
    let follow_after = people.follow_after();
    let mut asks = Vec::new();
    let (mut opened, mut marked) = (Vec::new(), Vec::new());
    let mut payments = Vec::new();
    let order: Vec<Share> = mix.shares().iter().flat_map(|(share, n)| std::iter::repeat_n(*share, *n)).collect();
    let done = u64::try_from(order.len())?;
    for step in 0..done {
        // A stride that is coprime to 1 000 spreads the kinds evenly.
        let place = usize::try_from(step.wrapping_mul(389) % done)?;
        let share = order.get(place).copied().unwrap_or(Share::Deposit);
        let ask = match share {
            Share::Deposit => {
                let person = people.pick(rng);
                let (_, amount) = ASSETS.get(person % ASSETS.len()).copied().unwrap_or(("btc", "1"));
                payments.push(payment(people, person, amount));
                continue;
            }
            Share::Register => AnyJob::UserRegister(UserRegister { referrer_id: Some(people.id(people.pick(rng))) }),
            Share::Withdraw => AnyJob::WithdrawalRequest(withdraw(people, people.pick(rng))),
            Share::Lock => {
                let lock = lock(people, rng);
                opened.push((asks.len(), lock.seller_id, lock.buyer_id));
                AnyJob::LockEscrow(lock)
            }
            Share::MarkPaid => {
                let Some((trade_id, seller, buyer)) = later(locked, follow_after) else { continue };
                marked.push((trade_id, seller, buyer));
                AnyJob::TradeEvent(TradeEvent {
                    trade_id,
                    event: TradeEventName::MarkPaid,
                    user_id: buyer,
                    minutes: None,
                })
            }
            Share::Release => {
                let Some((trade_id, user_id, _)) = later(paid, follow_after) else { continue };
                AnyJob::Release(Release { trade_id, user_id })
            }
            Share::Refund => {
                let Some((trade_id, _, user_id)) = later(paid, follow_after) else { continue };
                AnyJob::Refund(Refund { trade_id, user_id: Some(user_id) })
            }
        };
        asks.push(client(people, &ask)?);
    }
    let ids = record(server, &asks).await?;
    locked.extend(opened.into_iter().filter_map(|(at, seller, buyer)| Some((TradeId(*ids.get(at)?), seller, buyer))));
    paid.extend(marked);
    let queued = asks.len().saturating_add(payments.len());
    deposit(server, payments).await?;
    Ok(queued)
}

/// Queues deposits alone, spread evenly over the first so many people.
pub(crate) async fn queue_deposits(server: &Server, people: &People, count: usize, among: usize) -> Result<usize> {
    let among = among.min(people.ids.len());
    let places: Vec<usize> = (0..count).map(|number| number % among).collect();
    for some in places.chunks(CHUNK) {
        let amount = |place: usize| ASSETS.get(place % ASSETS.len()).map_or("1", |(_, amount)| *amount);
        deposit(server, some.iter().map(|place| payment(people, *place, amount(*place))).collect()).await?;
    }
    for maintenance in ["vacuum outbox", "analyze", "checkpoint"] {
        sqlx::raw_sql(maintenance).execute(&server.owner).await?;
    }
    Ok(count)
}

/// The oldest of the trades that wait, if many wait.
fn later<T>(waiting: &mut VecDeque<T>, follow_after: usize) -> Option<T> {
    if waiting.len() > follow_after { waiting.pop_front() } else { None }
}

pub(crate) fn lock(people: &People, rng: &mut impl Rng) -> LockEscrow {
    let seller = people.pick(rng);
    let mut buyer = people.pick(rng);
    if buyer == seller {
        buyer = seller.wrapping_add(1) % people.ids.len();
    }
    let (asset, _) = ASSETS.get(seller % ASSETS.len()).copied().unwrap_or(("btc", "1"));
    LockEscrow {
        seller_id: people.id(seller),
        buyer_id: people.id(buyer),
        asset: asset.to_owned(),
        amount: (*TRADED.get(seller % TRADED.len()).unwrap_or(&"1")).to_owned(),
        maker: MakerSide::Seller,
    }
}

/// The least that may be withdrawn of the asset that a person has.
pub(crate) fn withdraw(people: &People, person: usize) -> WithdrawalRequest {
    let (asset, _) = ASSETS.get(person % ASSETS.len()).copied().unwrap_or(("btc", "1"));
    let amount = match asset {
        "btc" => "0.0001",
        "ltc" => "0.1",
        "xrp" => "5",
        "trx" => "50",
        _ => "10",
    };
    WithdrawalRequest {
        user_id: people.id(person),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        address: "somewhere".to_owned(),
        memo: None,
    }
}

pub(crate) fn payment(people: &People, person: usize, amount: &str) -> Payment {
    let (asset, _) = ASSETS.get(person % ASSETS.len()).copied().unwrap_or(("btc", "1"));
    // A single credit is bounded: nobody brings 99 000 bitcoin.
    let amount = if asset == "btc" && amount == "99000" { "0.99" } else { amount };
    let amount = if asset == "ltc" && amount == "99000" { "990" } else { amount };
    let amount = if asset == "xrp" && amount == "99000" { "49000" } else { amount };
    Payment::finished(people.payment_id(), &jobs::order_id_of(people.id(person)), amount, asset)
}

pub(crate) fn client(people: &People, job: &AnyJob) -> Result<Ask> {
    let payload = job.payload()?.to_string();
    Ok(Ask {
        submitter: SUBMITTER,
        kind: job.info().name,
        key: people.key(),
        payload_hash: payload_hash(&[payload.as_bytes()]),
        payload,
        lane: job.info().lane.as_str(),
        subject_type: job.info().about.sort.as_str(),
        subject: job.named().map(jobs::Subject::number),
        run_at: None,
        caused_by: None,
        trace_parent: None,
    })
}

pub(crate) async fn record(server: &Server, asks: &[Ask]) -> Result<Vec<i64>> {
    let mut db = server.api.acquire().await?;
    let recorded = outbox::enqueue(&mut db, asks).await?;
    ensure!(recorded.iter().all(|one| matches!(one, Recorded::New(_))), "a key of the load was used before");
    Ok(recorded.into_iter().map(Recorded::job_id).collect())
}

/// Signed callbacks and their jobs, as the webhook records them.
async fn deposit(server: &Server, payments: Vec<Payment>) -> Result<()> {
    let secrets = [Secret::new(IPN_SECRET)?];
    let mut tx = server.api.begin().await?;
    let (mut bodies, mut signatures, mut keys) = (Vec::new(), Vec::new(), Vec::new());
    for payment in payments {
        let body = payment.body();
        let signature = sign(IPN_SECRET, body.as_bytes());
        let Callback::Payment(facts) = Callback::read(&verify(body.as_bytes(), Some(&signature), &secrets)?)? else {
            anyhow::bail!("the load sends payments only");
        };
        keys.push(facts.fact_key());
        bodies.push(body.into_bytes());
        signatures.push(signature);
    }
    let ids: Vec<(i64,)> = sqlx::query_as(
        "insert into ipn_inbox (provider, body, signature, fact_key)
         select 'nowpayments', b, s, k from unnest($1::bytea[], $2::text[], $3::text[]) as u (b, s, k) returning id",
    )
    .bind(&bodies)
    .bind(&signatures)
    .bind(&keys)
    .fetch_all(&mut *tx)
    .await?;
    let asks: Vec<Ask> = ids
        .into_iter()
        .zip(keys)
        .map(|((id,), key)| Ask {
            submitter: PrincipalId::NOWPAYMENTS.0,
            kind: "deposit-credit",
            payload_hash: payload_hash(&[key.as_bytes()]),
            key,
            payload: format!(r#"{{"inbox_id":"{id}"}}"#),
            lane: "ledger",
            subject_type: "payment",
            subject: Some(id),
            run_at: None,
            caused_by: None,
            trace_parent: None,
        })
        .collect();
    outbox::enqueue(&mut tx, &asks).await?;
    Ok(tx.commit().await?)
}
