use std::sync::atomic::{AtomicU64, Ordering};

use jobs::{
    AnyJob, LockEscrow, MakerSide, PrincipalId, Refund, Release, TradeEvent, TradeEventName, TradeId, UserId,
    UserRegister,
};
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
    event(TradeEventName::MarkPaid, trade, user, None)
}

/// Somebody takes that back.
pub(crate) fn undo(trade: i64, user: i64) -> AnyJob {
    event(TradeEventName::Undo, trade, user, None)
}

/// Somebody calls the trade off.
pub(crate) fn cancel(trade: i64, user: i64) -> AnyJob {
    event(TradeEventName::Cancel, trade, user, None)
}

/// Somebody puts the deadline off by half an hour.
pub(crate) fn extend(trade: i64, user: i64) -> AnyJob {
    extend_by(trade, user, 30)
}

/// Somebody puts the deadline off.
pub(crate) fn extend_by(trade: i64, user: i64, minutes: u16) -> AnyJob {
    event(TradeEventName::Extend, trade, user, Some(minutes))
}

fn event(event: TradeEventName, trade: i64, user: i64, minutes: Option<u16>) -> AnyJob {
    AnyJob::TradeEvent(TradeEvent { trade_id: TradeId(trade), event, user_id: UserId(user), minutes })
}

/// Somebody releases.
pub(crate) fn release(trade: i64, user: i64) -> AnyJob {
    AnyJob::Release(Release { trade_id: TradeId(trade), user_id: UserId(user) })
}

/// Somebody refunds.
pub(crate) fn refund(trade: i64, user: i64) -> AnyJob {
    AnyJob::Refund(Refund { trade_id: TradeId(trade), user_id: Some(UserId(user)) })
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
        subject_type: job.info().about.sort.as_str(),
        subject: job.named().map(jobs::Subject::number),
        run_at: None,
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

    /// Records asks in one transaction: of the API's, or of a worker's where Holdfast asks.
    pub(crate) async fn enqueue(&self, asks: &[Ask]) -> Result<Vec<Recorded>, sqlx::Error> {
        let caused = asks.iter().any(|ask| ask.submitter == PrincipalId::HOLDFAST.0);
        let mut tx = if caused { &self.worker } else { &self.api }.begin().await?;
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

impl Db {
    /// The ask that Holdfast made for the one job of an internal kind about a trade, to be made
    /// again.
    pub(crate) async fn caused(&self, kind: &str, trade: i64) -> Ask {
        let row = sqlx::query!(
            r#"
            select r.submitter, r.key, r.payload_hash, j.payload::text as "payload!", j.caused_by
            from job j join request r on r.job_id = j.id
            where j.kind = $1 and j.payload ->> 'trade_id' = $2
            "#,
            kind,
            trade.to_string(),
        )
        .fetch_one(&self.owner)
        .await
        .unwrap();
        let info = jobs::kind_info(kind).unwrap();
        Ask {
            submitter: row.submitter,
            kind: info.name,
            key: row.key,
            payload_hash: row.payload_hash.try_into().unwrap(),
            payload: row.payload,
            lane: info.lane.as_str(),
            subject_type: info.about.sort.as_str(),
            subject: Some(trade),
            run_at: None,
            caused_by: row.caused_by,
            trace_parent: None,
        }
    }
}
