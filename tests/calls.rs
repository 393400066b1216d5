//! Kinds that call the outside, through the driver that workers have, against a server on the loopback.

mod kind;
mod lanes;
mod world;

use expect_test::expect;
use jobs::{AnyJob, Call, Lane, Verify};
use settlement::{Calls, Checks, Outside};

use crate::harness::{CallCase, Db, Mischief, SUBMITTER, check_call};
use kind::{SENDS, Send};
use world::{Http, World};

/// The tests' kind and the server that it calls.
struct Sending {
    db: Db,
    world: World,
}

impl CallCase for Sending {
    fn db(&self) -> &Db {
        &self.db
    }

    async fn ask(&self) -> i64 {
        self.db.cause(AnyJob::call(Send {})).await
    }

    async fn worker(&self, mischief: &Mischief) -> Calls {
        let http = Http::new(&self.world.base);
        let outside = Outside::new().with(Send::ENDPOINT, mischief.between(http));
        self.db.calling(Lane::Provider, SENDS, outside).await
    }

    fn seen(&self, job: i64) -> (u32, u32) {
        self.world.seen(job)
    }

    fn wanted(&self) -> u32 {
        1
    }
}

/// The verifications, whose world does nothing.
struct Verifying(Db);

impl CallCase for Verifying {
    fn db(&self) -> &Db {
        &self.0
    }

    async fn ask(&self) -> i64 {
        self.0.ask_as(SUBMITTER, AnyJob::call(Verify {})).await
    }

    async fn worker(&self, mischief: &Mischief) -> Calls {
        let outside = Outside::new().with(Verify::ENDPOINT, mischief.between(Checks(self.0.worker.clone())));
        self.0.calling(Lane::Verify, jobs::CALLS, outside).await
    }

    fn seen(&self, _: i64) -> (u32, u32) {
        (0, 0)
    }

    fn wanted(&self) -> u32 {
        0
    }
}

#[tokio::test]
async fn what_is_sent_is_sent_once_whatever_happens_in_between() {
    let case = Sending { db: Db::new().await, world: World::new().await };
    expect![[r#"
        nothing happens: settled, called 1, done 1, turns 0
        planned twice: settled, called 1, done 1, turns 0
        called twice: settled, called 2, done 1, turns 0
        recorded twice: settled, called 1, done 1, turns 0
        killed before it plans: settled, called 1, done 1, turns 1
        killed before it calls: parked not_sent, called 0, done 0, turns 1
        killed while it calls: settled, called 1, done 1, turns 1
        killed before it records: settled, called 1, done 1, turns 1
        the answer is lost: settled, called 1, done 1, turns 1
        the answer is garbled: settled, called 1, done 1, turns 1
        the answer comes when another worker has taken over: settled, called 1, done 1, turns 0
        the answer comes when another worker has ended it: settled, called 1, done 1, turns 0
    "#]]
    .assert_eq(&check_call(&case).await);
}

/// A kind that is missing here fails.
#[tokio::test]
async fn every_kind_that_calls_ends_whatever_happens_in_between() {
    for kind in jobs::CALLS {
        match kind.info.name {
            "verify" => a_verification_ends().await,
            other => panic!("the kind {other:?} is held to nothing: give it a case"),
        }
    }
}

async fn a_verification_ends() {
    let case = Verifying(Db::new().await);
    case.0.operators().await;
    expect![[r#"
        nothing happens: settled, called 0, done 0, turns 0
        planned twice: settled, called 0, done 0, turns 0
        called twice: settled, called 0, done 0, turns 0
        recorded twice: settled, called 0, done 0, turns 0
        killed before it plans: settled, called 0, done 0, turns 1
        killed before it calls: settled, called 0, done 0, turns 1
        killed while it calls: settled, called 0, done 0, turns 1
        killed before it records: settled, called 0, done 0, turns 1
        the answer is lost: settled, called 0, done 0, turns 1
        the answer is garbled: settled, called 0, done 0, turns 1
        the answer comes when another worker has taken over: settled, called 0, done 0, turns 0
        the answer comes when another worker has ended it: settled, called 0, done 0, turns 0
    "#]]
    .assert_eq(&check_call(&case).await);
}
