use std::sync::atomic::{AtomicU64, Ordering};

use jobs::{AnyJob, LockEscrow, MakerSide, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId, UserRegister};
use outbox::{Ask, Recorded, payload_hash};

use super::Db;

/// The principal that the tests ask as.
pub(crate) const SUBMITTER: i64 = 100;

static KEY: AtomicU64 = AtomicU64::new(1);

/// Registers a person.
pub(crate) fn register(referrer: Option<i64>) -> AnyJob {
    AnyJob::UserRegister(UserRegister { referrer_id: referrer.map(UserId) })
}

/// Locks an amount, such as `0.5`, for a trade that the seller offered.
pub(crate) fn lock(seller: i64, buyer: i64, asset: &str, amount: &str) -> AnyJob {
    AnyJob::LockEscrow(LockEscrow {
        seller_id: UserId(seller),
        buyer_id: UserId(buyer),
        asset: asset.to_owned(),
        amount: amount.to_owned(),
        maker: MakerSide::Seller,
    })
}

/// Somebody says that they paid.
pub(crate) fn mark_paid(trade: i64, user: i64) -> AnyJob {
    let event = TradeEventName::MarkPaid;
    AnyJob::TradeEvent(TradeEvent { trade_id: TradeId(trade), event, user_id: UserId(user) })
}

/// Somebody releases.
pub(crate) fn release(trade: i64, user: i64) -> AnyJob {
    AnyJob::Release(Release { trade_id: TradeId(trade), user_id: UserId(user) })
}

/// Somebody refunds.
pub(crate) fn refund(trade: i64, user: i64) -> AnyJob {
    AnyJob::Refund(Refund { trade_id: TradeId(trade), user_id: UserId(user) })
}

/// The ask for a job under a key of the submitter's.
pub(crate) fn ask_of(key: &str, job: &AnyJob) -> Ask {
    let info = job.info();
    let payload = job.payload().unwrap().to_string();
    Ask {
        submitter: SUBMITTER,
        kind: info.name,
        key: key.to_owned(),
        payload_hash: payload_hash(&[&SUBMITTER.to_be_bytes(), info.name.as_bytes(), payload.as_bytes()]),
        payload,
        lane: info.lane.as_str(),
        subject: job.subject(),
        caused_by: None,
        trace_parent: None,
    }
}

impl Db {
    /// Asks for a job under a fresh key, as the API does. Its id.
    pub(crate) async fn ask(&self, job: AnyJob) -> i64 {
        self.ask_all(&[job]).await[0]
    }

    /// Asks for jobs under fresh keys in one statement. Their ids, in the order of the asks.
    pub(crate) async fn ask_all(&self, jobs: &[AnyJob]) -> Vec<i64> {
        let asks: Vec<Ask> =
            jobs.iter().map(|job| ask_of(&format!("key-{:06}", KEY.fetch_add(1, Ordering::Relaxed)), job)).collect();
        let recorded = self.enqueue(&asks).await.unwrap();
        recorded
            .into_iter()
            .map(|recorded| match recorded {
                Recorded::New(id) => id,
                Recorded::Replay(_) | Recorded::Conflict(_) => panic!("a fresh key was taken: {recorded:?}"),
            })
            .collect()
    }

    /// Records asks in one transaction of the API's.
    pub(crate) async fn enqueue(&self, asks: &[Ask]) -> Result<Vec<Recorded>, sqlx::Error> {
        let mut tx = self.api.begin().await?;
        let recorded = outbox::enqueue(&mut tx, asks).await?;
        tx.commit().await?;
        Ok(recorded)
    }

    /// Asks for a job and settles everything. Its outcome, as [`Db::outcome`] tells it.
    pub(crate) async fn done(&self, job: AnyJob) -> String {
        let id = self.ask(job).await;
        self.drain().await;
        self.outcome(id).await
    }

    /// Registers people. Their ids.
    pub(crate) async fn people<const N: usize>(&self) -> [i64; N] {
        let ids = self.ask_all(&vec![register(None); N]).await;
        self.drain().await;
        ids.try_into().unwrap()
    }

    /// Locks an amount and sees it settled. The trade.
    pub(crate) async fn trade(&self, seller: i64, buyer: i64, asset: &str, amount: &str) -> i64 {
        let trade = self.ask(lock(seller, buyer, asset, amount)).await;
        self.drain().await;
        assert_eq!(self.outcome(trade).await, "settled");
        trade
    }
}
