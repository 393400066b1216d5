use ledger::{Amount, AssetId, JobId};

use crate::ids::{PaymentKey, UserId};
use crate::machines::deposit::{DepositState, Review};
use crate::terms::Assets;

pub use crate::machines::deposit::Stage;

/// What a verified callback says of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Which payment.
    pub payment: PaymentKey,
    /// The payment that this one repeats.
    pub parent_payment_id: Option<String>,
    /// Our reference as the provider gives it back.
    pub order_id: Option<String>,
    /// The provider's word for where the payment stands.
    pub status: String,
    /// What that word means for us.
    pub stage: Stage,
    /// What the payment is worth, decimal text as signed; and in which currency.
    pub outcome: Option<(String, String)>,
}

/// Why a callback states no fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unread {
    /// None of the secrets that this worker knows signed it.
    NotSigned,
    /// It is signed, and says nothing that we understand.
    Contents(String),
}

/// A deposit as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposit {
    /// The payment that this one repeats.
    pub parent_payment_id: Option<String>,
    /// Our reference.
    pub order_id: Option<String>,
    /// Whom it is for; `None` while nobody we know.
    pub user: Option<UserId>,
    /// In what; `None` while nothing we know.
    pub asset: Option<AssetId>,
    /// The provider's status of highest rank so far, and that rank.
    pub status: (String, Stage),
    /// Ours.
    pub state: DepositState,
    /// Amount and currency as the provider wrote them.
    pub outcome: Option<(String, String)>,
    /// What the wallet received, and by which job.
    pub credited: Option<(Amount, JobId)>,
    /// What was taken back, what was missing, and by which job.
    pub clawed_back: Option<(Amount, Amount, JobId)>,
    /// Why a person must look.
    pub review: Option<Review>,
    /// The job that first told of it.
    pub first_job: JobId,
    /// The job that last changed it.
    pub last_job: JobId,
}

/// The order id that names a person: payments made with it are credited to them.
pub fn order_id_of(user: UserId) -> String {
    format!("user-{user}")
}

/// Whom an order id names, if it is one of ours.
pub fn beneficiary_of(order_id: &str) -> Option<UserId> {
    order_id.strip_prefix("user-")?.parse().ok()
}

impl Fact {
    /// Whom it is for, if our reference says so.
    pub(crate) fn beneficiary(&self) -> Option<UserId> {
        self.order_id.as_deref().and_then(beneficiary_of)
    }

    /// In what it was paid, if we know that.
    pub(crate) fn asset(&self, assets: &Assets) -> Option<AssetId> {
        let (_, currency) = self.outcome.as_ref()?;
        assets.by_code(currency).map(|terms| terms.asset.id)
    }
}

impl Deposit {
    /// A deposit of which nothing was known.
    pub(crate) fn first_seen(fact: &Fact, job: JobId) -> Self {
        Self {
            parent_payment_id: fact.parent_payment_id.clone(),
            order_id: fact.order_id.clone(),
            user: None,
            asset: None,
            status: (fact.status.clone(), fact.stage),
            state: DepositState::Seen,
            outcome: fact.outcome.clone(),
            credited: None,
            clawed_back: None,
            review: None,
            first_job: job,
            last_job: job,
        }
    }

    /// Takes over what the provider says; what was credited is never overwritten.
    pub(crate) fn note(&mut self, fact: &Fact, job: JobId) {
        self.last_job = job;
        if fact.stage.rank() >= self.status.1.rank() {
            self.status = (fact.status.clone(), fact.stage);
        }
        if self.credited.is_none() && fact.outcome.is_some() {
            self.outcome.clone_from(&fact.outcome);
        }
        if self.order_id.is_none() {
            self.order_id.clone_from(&fact.order_id);
        }
    }

    /// A person must look.
    pub(crate) fn send_to_review(&mut self, why: Review) -> &'static str {
        self.state = DepositState::Review;
        self.review = Some(why);
        "review"
    }
}
