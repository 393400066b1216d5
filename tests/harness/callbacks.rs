use std::sync::atomic::{AtomicU64, Ordering};

use jobs::{AnyJob, DepositCredit, InboxId, PrincipalId, order_id_of};
use outbox::{Ask, Recorded, payload_hash};
use providers::nowpayments::{Callback, Secret, verify};
use simulators::nowpayments::{Payment, sign};
use sqlx::PgConnection;

use super::Db;

/// What the simulated provider signs with.
pub(crate) const IPN_SECRET: &str = "the secret of the tests";

static PAYMENT: AtomicU64 = AtomicU64::new(5_000_000_001);

/// What callbacks are verified with.
pub(crate) fn ipn_secrets() -> Vec<Secret> {
    vec![Secret::new(IPN_SECRET).unwrap()]
}

/// A payment that nobody has heard of, in full, with the order id of a person.
pub(crate) fn payment(user: i64, asset: &str, amount: &str) -> Payment {
    let id = PAYMENT.fetch_add(1, Ordering::Relaxed);
    Payment::finished(id, &order_id_of(jobs::UserId(user)), amount, asset)
}

/// Stores a callback and asks for its job, both in the transaction, as the webhook does.
pub(crate) async fn receive(db: &mut PgConnection, payment: &Payment) -> Result<Recorded, sqlx::Error> {
    let body = payment.body();
    let signature = sign(IPN_SECRET, body.as_bytes());
    let signed = verify(body.as_bytes(), Some(&signature), &ipn_secrets()).unwrap();
    let Callback::Payment(facts) = Callback::read(&signed).unwrap() else {
        panic!("not about a payment: {body}");
    };
    let fact_key = facts.fact_key();
    let inbox_id = sqlx::query_scalar!(
        "insert into ipn_inbox (provider, body, signature, fact_key) values ('nowpayments', $1, $2, $3) returning id",
        body.as_bytes(),
        signature,
        fact_key,
    )
    .fetch_one(&mut *db)
    .await?;
    let asks = [credit_of(inbox_id, &fact_key)];
    Ok(outbox::enqueue(db, &asks).await?[0])
}

/// The ask that a callback in the inbox causes.
pub(crate) fn credit_of(inbox_id: i64, fact_key: &str) -> Ask {
    let job = AnyJob::DepositCredit(DepositCredit { inbox_id: InboxId(inbox_id) });
    let info = job.info();
    let submitter = PrincipalId::NOWPAYMENTS.0;
    Ask {
        submitter,
        kind: info.name,
        key: fact_key.to_owned(),
        payload_hash: payload_hash(&[&submitter.to_be_bytes(), info.name.as_bytes(), fact_key.as_bytes()]),
        payload: job.payload().unwrap().to_string(),
        lane: info.lane.as_str(),
        subject_type: job.info().about.sort.as_str(),
        subject: job.named().map(jobs::Subject::number),
        run_at: None,
        caused_by: None,
        trace_parent: None,
    }
}

impl Db {
    /// A callback arrives.
    pub(crate) async fn callback(&self, payment: &Payment) -> Recorded {
        let mut tx = self.api.begin().await.unwrap();
        let recorded = receive(&mut tx, payment).await.unwrap();
        tx.commit().await.unwrap();
        recorded
    }

    /// A callback arrives and everything is settled. The outcome of its job.
    pub(crate) async fn told(&self, payment: &Payment) -> String {
        let job = self.callback(payment).await.job_id();
        self.drain().await;
        self.outcome(job).await
    }

    /// A callback tells that a person's payment arrived. Its job, which nobody has settled yet.
    pub(crate) async fn deposit(&self, user: i64, asset: &str, amount: &str) -> i64 {
        self.callback(&payment(user, asset, amount)).await.job_id()
    }

    /// Gives a person money.
    pub(crate) async fn fund(&self, user: i64, asset: &str, amount: &str) {
        let job = self.deposit(user, asset, amount).await;
        self.drain().await;
        // A deposit that was not credited is settled too, and says what it became instead.
        assert_eq!((self.outcome(job).await.as_str(), self.result(job).await.as_str()), ("settled", ""));
    }
}
