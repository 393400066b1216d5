use jobs::{AnyJob, Call, CallKind, Lane, Verify};
use outbox::{Ask, Leased, Recorded};
use settlement::{Calling, Calls, Checks, Outside, Settings, Settler};

use super::{Db, ask_of, fresh_key};

impl Db {
    /// Queues jobs that nobody may ask for, as what causes them does. Their ids.
    pub(crate) async fn cause_all(&self, jobs: &[AnyJob]) -> Vec<i64> {
        let asks: Vec<Ask> = jobs.iter().map(|job| ask_of(&fresh_key(), job)).collect();
        let mut db = self.worker.acquire().await.unwrap();
        outbox::enqueue(&mut db, &asks).await.unwrap().into_iter().map(Recorded::job_id).collect()
    }

    /// Queues one. Its id.
    pub(crate) async fn cause(&self, job: AnyJob) -> i64 {
        self.cause_all(&[job]).await[0]
    }

    /// A worker of a lane whose jobs call.
    pub(crate) async fn calling(&self, lane: Lane, kinds: &'static [CallKind], outside: Outside) -> Calls {
        let settler = Settler::of_lane(lane, self.worker.clone(), Settings::default(), 0).await.unwrap();
        Calls::new(settler.calling(kinds), outside)
    }

    /// A worker that runs verifications.
    pub(crate) async fn verifier(&self) -> Calls {
        let outside = Outside::new().with(Verify::ENDPOINT, Checks(self.worker.clone()));
        self.calling(Lane::Verify, jobs::CALLS, outside).await
    }

    /// Runs the verification that is due first, if there is one. What became of it.
    pub(crate) async fn run_verification(&self) -> Option<Calling> {
        let verifier = self.verifier().await;
        let leased = lease_one(&verifier).await?;
        let storm = |error: &sqlx::Error| panic!("{error}");
        Some(verifier.run(leased, std::future::pending(), storm).await.unwrap())
    }
}

/// Leases a job of the only endpoint that a worker has.
pub(crate) async fn lease_one(calls: &Calls) -> Option<Leased> {
    let endpoints = calls.endpoints();
    let [endpoint] = endpoints.as_slice() else { panic!("{} endpoints", endpoints.len()) };
    calls.lease(*endpoint, 1).await.unwrap().first().copied()
}
