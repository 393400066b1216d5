//! What handlers work with.

use std::ops::Deref;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, LazyLock};

use axum::extract::FromRef;
use providers::nowpayments::Secret;
use sqlx::PgPool;

use crate::http::auth::Access;
use crate::http::exports::Exports;
use crate::intake::asked::BodyWithin;
use crate::intake::asset_registry::AssetRegistry;
use crate::intake::inbox::Inbox;
use crate::intake::submit::Intake;
use crate::openapi::description::Description;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::queue_gauges::QueueGauges;
use crate::telemetry::readiness::Readiness;

/// What every handler works with. What stands in the way of a request takes its part of it alone
/// ([`FromRef`]), and so knows no handler and nothing of the others.
#[derive(Clone, Debug)]
pub(crate) struct Api(Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) pool: PgPool,
    pub(crate) access: Access,
    pub(crate) assets: Arc<AssetRegistry>,
    pub(crate) intake: Intake,
    pub(crate) inbox: Inbox,
    pub(crate) exports: Exports,
    pub(crate) readiness: Readiness,
    pub(crate) ipn_secrets: Vec<Secret>,
    /// How many callbacks were refused since the process started.
    pub(crate) webhooks_refused: AtomicU64,
    pub(crate) metrics: Metrics,
    pub(crate) queue_gauges: QueueGauges,
    pub(crate) body_within: BodyWithin,
    /// Made when somebody asks for it.
    pub(crate) description: &'static LazyLock<Result<Description, String>>,
}

impl Api {
    pub(crate) fn new(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }
}

impl Shared {
    /// How many jobs wait to be recorded, of requests and of callbacks.
    pub(crate) fn waiting_jobs(&self) -> usize {
        self.intake.recorder.waiting_jobs().saturating_add(self.inbox.waiting_jobs())
    }
}

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl FromRef<Api> for Access {
    fn from_ref(api: &Api) -> Self {
        api.access.clone()
    }
}

impl FromRef<Api> for BodyWithin {
    fn from_ref(api: &Api) -> Self {
        api.body_within
    }
}
