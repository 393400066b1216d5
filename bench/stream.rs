//! The money day as it arrives over HTTP: what clients may ask for in batches, and callbacks one by one.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use jobs::{AnyJob, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId, UserRegister};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde::Deserialize;
use simulators::nowpayments::sign;

use crate::http::{Idle, Web, post};
use crate::load::{ASSETS, IPN_SECRET, People, lock, payment, withdraw};

/// Of a hundred jobs: deposits, locks, mark-paids, releases, refunds, withdrawals and registrations.
const SHARES: [usize; 7] = [25, 20, 20, 14, 6, 10, 5];
/// Callbacks that one connection sends after each other.
const CALLBACKS_IN_A_ROW: usize = 10;

/// A trade with its seller and its buyer.
type Open = (TradeId, UserId, UserId);

/// Trades that are locked, and those that are paid.
#[derive(Clone, Default)]
struct Waiting(Arc<Mutex<(VecDeque<Open>, VecDeque<Open>)>>);

impl Waiting {
    fn get(&self) -> MutexGuard<'_, (VecDeque<Open>, VecDeque<Open>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes the requests.
pub(crate) struct Stream<'a> {
    web: &'a Web,
    people: &'a People,
    rng: StdRng,
    waiting: Waiting,
    /// How many trades are opened before the first of them is followed up.
    follow_after: usize,
    keys: u64,
}

/// One piece of the stream, ready to be sent.
pub(crate) struct Piece {
    batch: Vec<u8>,
    /// Places within the batch of the locks, with their people.
    locks: Vec<(usize, UserId, UserId)>,
    paid: Vec<Open>,
    items: usize,
    callbacks: Vec<Vec<u8>>,
    waiting: Waiting,
}

impl<'a> Stream<'a> {
    pub(crate) fn new(web: &'a Web, people: &'a People, follow_after: usize) -> Self {
        let (rng, waiting) = (StdRng::seed_from_u64(11_600), Waiting::default());
        Self { web, people, rng, waiting, follow_after, keys: 0 }
    }

    /// So many hundreds of jobs; fewer while there are no trades yet that could be followed up.
    pub(crate) fn piece(&mut self, hundreds: usize) -> Result<Piece> {
        let mut piece = Piece {
            batch: Vec::new(),
            locks: Vec::new(),
            paid: Vec::new(),
            items: 0,
            callbacks: Vec::new(),
            waiting: self.waiting.clone(),
        };
        let mut body = String::from(r#"{"jobs":["#);
        for step in 0..hundreds * 100 {
            // A stride that is coprime to 100 spreads the kinds evenly.
            let Some(job) = self.job(share(step * 39 % 100), &mut piece)? else { continue };
            self.keys += 1;
            let comma = if piece.items == 0 { "" } else { "," };
            let (kind, payload) = (job.info().name, job.payload()?);
            write!(body, r#"{comma}{{"kind":"{kind}","key":"stream-{}","payload":{payload}}}"#, self.keys)?;
            piece.items += 1;
        }
        body.push_str("]}");
        piece.batch = self.web.post("/v1/jobs:batch", &format!("batch-{}", self.keys), "", &body);
        Ok(piece)
    }

    /// Whether there are enough trades that every share can be had.
    pub(crate) fn flows(&self) -> bool {
        let waiting = self.waiting.get();
        waiting.0.len().min(waiting.1.len()) > self.follow_after
    }

    /// A job of that share; none where it is a callback or there is nothing yet to follow up.
    fn job(&mut self, share: usize, piece: &mut Piece) -> Result<Option<AnyJob>> {
        let (people, rng, follow_after) = (self.people, &mut self.rng, self.follow_after);
        let mut waiting = self.waiting.get();
        Ok(match share {
            0 => {
                let person = people.pick(rng);
                let (_, amount) = ASSETS.get(person % ASSETS.len()).copied().context("an asset")?;
                let body = payment(people, person, amount).body();
                let header = format!("x-nowpayments-sig: {}\r\n", sign(IPN_SECRET, body.as_bytes()));
                piece.callbacks.push(post("/webhooks/nowpayments", &header, &body));
                None
            }
            1 => {
                let lock = lock(people, rng);
                piece.locks.push((piece.items, lock.seller_id, lock.buyer_id));
                Some(AnyJob::LockEscrow(lock))
            }
            2 => later(&mut waiting.0, follow_after).map(|(trade_id, seller, user_id)| {
                piece.paid.push((trade_id, seller, user_id));
                let event = TradeEventName::MarkPaid;
                AnyJob::TradeEvent(TradeEvent { trade_id, event, user_id, minutes: None })
            }),
            3 => later(&mut waiting.1, follow_after)
                .map(|(trade_id, user_id, _)| AnyJob::Release(Release { trade_id, user_id })),
            4 => later(&mut waiting.1, follow_after)
                .map(|(trade_id, _, buyer)| AnyJob::Refund(Refund { trade_id, user_id: Some(buyer) })),
            5 => Some(AnyJob::WithdrawalRequest(withdraw(people, people.pick(rng)))),
            _ => {
                let referrer_id = Some(people.id(people.pick(rng)));
                Some(AnyJob::UserRegister(UserRegister { referrer_id }))
            }
        })
    }
}

/// Which share a place among a hundred belongs to.
fn share(place: usize) -> usize {
    let mut upto = 0;
    SHARES
        .iter()
        .position(|share| {
            upto += share;
            place < upto
        })
        .unwrap_or(0)
}

/// The oldest of the trades that wait, if many wait.
fn later(waiting: &mut VecDeque<Open>, follow_after: usize) -> Option<Open> {
    if waiting.len() > follow_after { waiting.pop_front() } else { None }
}

/// What a batch is answered.
#[derive(Deserialize)]
struct Answers<'a> {
    #[serde(borrow)]
    jobs: Vec<Answered<'a>>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    status: &'a str,
    job_id: Option<&'a str>,
}

impl Piece {
    /// How many jobs it asks for.
    pub(crate) fn jobs(&self) -> usize {
        self.items + self.callbacks.len()
    }

    /// Sends all of it and returns when everything is answered.
    pub(crate) async fn send(self, idle: Idle) -> Result<()> {
        let mut callbacks = tokio::task::JoinSet::new();
        let mut left = self.callbacks;
        while !left.is_empty() {
            let some = left.split_off(left.len().saturating_sub(CALLBACKS_IN_A_ROW));
            let idle = idle.clone();
            callbacks.spawn(async move {
                let mut connection = idle.take().await?;
                for callback in some {
                    let status = connection.call(&callback).await?.status;
                    ensure!(status == 200, "a callback was answered {status}");
                }
                idle.give(connection);
                Ok(())
            });
        }
        let mut connection = idle.take().await?;
        let answer = connection.call(&self.batch).await?;
        let told = || String::from_utf8_lossy(answer.body).chars().take(500).collect::<String>();
        ensure!(answer.status == 202, "a batch was answered {}: {}", answer.status, told());
        let answers: Answers<'_> = serde_json::from_slice(answer.body)?;
        let all_new = answers.jobs.iter().all(|answer| answer.status == "new") && answers.jobs.len() == self.items;
        ensure!(all_new, "not every job of a batch was new: {}", told());
        let id = |place: usize| answers.jobs.get(place)?.job_id?.parse().ok();
        let opened =
            self.locks.iter().filter_map(|(place, seller, buyer)| Some((TradeId(id(*place)?), *seller, *buyer)));
        {
            let mut waiting = self.waiting.get();
            waiting.0.extend(opened);
            waiting.1.extend(self.paid);
        }
        idle.give(connection);
        while let Some(callback) = callbacks.join_next().await {
            callback??;
        }
        Ok(())
    }
}
