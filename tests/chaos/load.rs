use jobs::AnyJob;
use outbox::Recorded;
use providers::nowpayments::Secret;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use settlement::{Settings, Settler};
use simulators::nowpayments::Payment;

use super::site::Site;
use crate::harness::{IPN_SECRET, ask_of, lock, mark_paid, payment, receive, refund, register, release};

const PEOPLE: usize = 30;
/// Code, what everybody starts with, and what is traded.
const ASSETS: [(&str, &str, &str); 3] =
    [("btc", "0.50", "0.0137"), ("usdttrc20", "900.000001", "33.333333"), ("eth", "11.5", "0.700000000000000001")];

/// Registers and funds people, then queues that many mixed jobs; returns how many jobs there are
/// in all. Some of them are to be refused: locks beyond what is there, releases by the wrong
/// person, a release and a refund of one trade, payments told of twice.
pub(super) async fn queue(site: &Site, count: usize) -> usize {
    let mut load =
        Load { site, rng: StdRng::seed_from_u64(11), keys: 0, recorded: 0, opened: Vec::new(), marked: Vec::new() };
    let people = load.people().await;
    let already = load.recorded;
    while load.recorded < already + count {
        load.some(&people, (already + count - load.recorded).min(200)).await;
    }
    load.recorded
}

struct Load<'a> {
    site: &'a Site,
    rng: StdRng,
    keys: usize,
    recorded: usize,
    /// Trades with seller and buyer.
    opened: Vec<(i64, i64, i64)>,
    marked: Vec<(i64, i64, i64)>,
}

impl Load<'_> {
    async fn people(&mut self) -> Vec<i64> {
        let registrations = vec![register(None); PEOPLE];
        let people = self.ask(&registrations).await;
        self.settle().await;
        for person in &people {
            for (asset, amount, _) in ASSETS {
                self.tell(&payment(*person, asset, amount)).await;
            }
        }
        self.settle().await;
        people
    }

    /// Before the storm: an ordinary worker in this process.
    async fn settle(&self) {
        let settings = Settings { ipn_secrets: vec![Secret::new(IPN_SECRET).unwrap()], ..Settings::default() };
        let settler = Settler::new(self.site.worker.clone(), settings, 0).await.unwrap();
        while let Some(batch) = settler.claim().await.unwrap() {
            settler.settle(batch).await.unwrap();
        }
    }

    /// Queues a few jobs of every sort.
    async fn some(&mut self, people: &[i64], count: usize) {
        let (mut asks, mut parties) = (Vec::new(), Vec::new());
        while asks.len() < count {
            match self.rng.random_range(0..100) {
                0..30 => {
                    let (seller, buyer) = (self.one(people), self.one(people));
                    let (asset, all, part) = ASSETS[self.rng.random_range(0..ASSETS.len())];
                    if seller == buyer {
                        continue;
                    }
                    let amount = if self.rng.random_range(0..20) == 0 { all } else { part };
                    parties.push((asks.len(), seller, buyer));
                    asks.push(lock(seller, buyer, asset, amount));
                }
                30..55 => {
                    let Some((trade, seller, buyer)) = self.opened.pop() else { continue };
                    let by = if self.rng.random_range(0..15) == 0 { seller } else { buyer };
                    asks.push(mark_paid(trade, by));
                    self.marked.push((trade, seller, buyer));
                }
                55..85 => {
                    let Some((trade, seller, buyer)) = self.marked.pop() else { continue };
                    match self.rng.random_range(0..10) {
                        0..5 => asks.push(release(trade, seller)),
                        5..8 => asks.push(refund(trade, buyer)),
                        8 => asks.push(release(trade, buyer)),
                        _ => asks.extend([release(trade, seller), refund(trade, buyer)]),
                    }
                }
                85..95 => {
                    let (asset, _, part) = ASSETS[self.rng.random_range(0..ASSETS.len())];
                    let told = payment(self.one(people), asset, part);
                    // Also twice: the second time is a replay, and no job.
                    for _ in 0..self.rng.random_range(1..3) {
                        self.tell(&told).await;
                    }
                }
                _ => asks.push(register(Some(self.one(people)))),
            }
        }
        let ids = self.ask(&asks).await;
        self.opened.extend(parties.into_iter().map(|(at, seller, buyer)| (ids[at], seller, buyer)));
    }

    fn one(&mut self, people: &[i64]) -> i64 {
        people[self.rng.random_range(0..people.len())]
    }

    async fn ask(&mut self, jobs: &[AnyJob]) -> Vec<i64> {
        let asks: Vec<_> = jobs
            .iter()
            .map(|job| {
                self.keys += 1;
                ask_of(&format!("chaos-{}", self.keys), job)
            })
            .collect();
        let mut db = self.site.api.acquire().await.unwrap();
        let recorded = outbox::enqueue(&mut db, &asks).await.unwrap();
        self.recorded += recorded.len();
        recorded.into_iter().map(Recorded::job_id).collect()
    }

    async fn tell(&mut self, payment: &Payment) {
        let mut tx = self.site.api.begin().await.unwrap();
        let recorded = receive(&mut tx, payment).await.unwrap();
        tx.commit().await.unwrap();
        self.recorded += usize::from(matches!(recorded, Recorded::New(_)));
    }
}
