//! The integrity checks bite: whatever is changed behind the back of the guards is named by the
//! check that is there for it, and by no other that it does not concern.

mod corruptions;

use std::collections::{BTreeMap, BTreeSet};

use expect_test::expect;
use integrity::{Check, Verification, verify, verify_within};
use jobs::{AnyJob, PauseScope, Verify};
use providers::nowpayments::PaymentStatus;
use providers::nowpayments::PaymentStatus::{Expired, Finished, Refunded, Waiting};
use simulators::nowpayments::Payment;
use sqlx::{AssertSqlSafe, raw_sql};

use crate::harness::{
    Db, OTHER, SUBMITTER, approve, ask_of, call_off, cancel, cancel_parked, extend, lock, mark_paid, pause, refund,
    register, release, resume, undo, withdraw,
};
use corruptions::CORRUPTIONS;

/// Rows of every sort, and what they are called in the corruptions.
pub(crate) struct Scene {
    pub(crate) db: Db,
    pub(crate) names: BTreeMap<&'static str, i64>,
}

fn paid(id: u64, user: i64, asset: &str, amount: &str, status: PaymentStatus) -> Payment {
    Payment { status, ..Payment::finished(id, &jobs::order_id_of(jobs::UserId(user)), amount, asset) }
}

impl Scene {
    /// Deposits in every state, trades in every state, refusals, a parked job and a queued one.
    pub(crate) async fn new() -> Self {
        let db = Db::new().await;
        let mut names = BTreeMap::new();
        let ann = db.ask(register(None)).await;
        db.drain().await;
        let [bob, cyd] = [db.ask(register(Some(ann))).await, db.ask(register(Some(ann))).await];
        let stranger = db.ask(register(Some(999_999))).await;
        db.drain().await;
        let dan = db.ask(register(Some(bob))).await;
        db.drain().await;
        names.extend([("ann", ann), ("bob", bob), ("cyd", cyd), ("dan", dan), ("refused_registration", stranger)]);
        let mut scene = Self { db, names };
        scene.deposits(ann, bob, cyd, dan).await;
        scene.trades(ann, bob, cyd, dan).await;
        scene.withdrawals(ann).await;
        scene.clawbacks(ann, bob, cyd).await;
        scene.operating(ann, bob).await;
        let unreadable = ask_of("unreadable", &register(None));
        scene.db.enqueue(&[outbox::Ask { payload: r#"{"nonsense":1}"#.to_owned(), ..unreadable }]).await.unwrap();
        scene.db.drain().await;
        scene.db.ask(mark_paid(scene.names["open"], cyd)).await;
        scene.name_accounts().await;
        scene.name_versions().await;
        scene
    }

    async fn told(&mut self, name: &'static str, payment: &Payment) {
        let job = self.db.callback(payment).await.job_id();
        self.db.drain().await;
        assert_eq!(self.db.outcome(job).await, "settled", "{name}");
        self.names.insert(name, job);
    }

    async fn asked(&mut self, name: &'static str, job: jobs::AnyJob, outcome: &str) {
        let id = self.db.ask(job).await;
        self.db.drain().await;
        assert_eq!(self.db.outcome(id).await, outcome, "{name}");
        self.names.insert(name, id);
    }

    async fn deposits(&mut self, ann: i64, bob: i64, cyd: i64, dan: i64) {
        self.told("first_credit", &paid(1001, ann, "btc", "0.9", Finished)).await;
        self.told("noted", &paid(1002, ann, "btc", "0.25", Waiting)).await;
        self.told("credit", &paid(1002, ann, "btc", "0.25", Finished)).await;
        self.told("review", &paid(1003, 999_999, "btc", "1", Finished)).await;
        self.told("bob_credit", &paid(1004, bob, "usdttrc20", "100.5", Finished)).await;
        self.told("reversed_credit", &paid(1005, bob, "usdttrc20", "10", Finished)).await;
        self.told("lost_credit", &paid(1006, cyd, "ltc", "3", Finished)).await;
        self.told("expired", &paid(1008, dan, "ltc", "3", Expired)).await;
        self.told("dust_credit", &paid(1009, dan, "ltc", "0.000000001", Finished)).await;
    }

    async fn trades(&mut self, ann: i64, bob: i64, cyd: i64, dan: i64) {
        self.asked("released", lock(ann, bob, "btc", "0.50000001"), "settled").await;
        self.asked("refunded", lock(ann, bob, "btc", "0.3"), "settled").await;
        self.asked("paid", lock(ann, cyd, "btc", "0.2"), "settled").await;
        self.asked("open", lock(ann, cyd, "btc", "0.10"), "settled").await;
        self.asked("refused_lock", lock(ann, cyd, "btc", "1"), "rejected insufficient_funds").await;
        self.asked("dust", lock(ann, dan, "btc", "0.00000001"), "settled").await;
        self.asked("debtor", lock(cyd, dan, "ltc", "2.5"), "settled").await;
        let [released, refunded, paid, dust] = ["released", "refunded", "paid", "dust"].map(|name| self.names[name]);
        self.asked("mark", mark_paid(released, bob), "settled").await;
        self.asked("other_mark", mark_paid(refunded, bob), "settled").await;
        self.asked("paid_mark", mark_paid(paid, cyd), "settled").await;
        self.asked("dust_mark", mark_paid(dust, dan), "settled").await;
        self.asked("refused_release", release(released, bob), "rejected not_the_seller").await;
        self.asked("release", release(released, ann), "settled").await;
        self.asked("dust_release", release(dust, ann), "settled").await;
        self.asked("refund", refund(refunded, bob), "settled").await;
        self.asked("refused_refund", refund(released, bob), "rejected wrong_state").await;
        self.asked("cancelled", lock(ann, dan, "btc", "0.00002"), "settled").await;
        self.asked("cancel", cancel(self.names["cancelled"], dan), "settled").await;
        self.asked("undone", lock(ann, dan, "btc", "0.00003"), "settled").await;
        self.asked("undone_mark", mark_paid(self.names["undone"], dan), "settled").await;
        self.asked("undo", undo(self.names["undone"], dan), "settled").await;
        self.asked("extended", lock(ann, dan, "btc", "0.00004"), "settled").await;
        self.asked("extend", extend(self.names["extended"], ann), "settled").await;
        for (name, kind, trade) in
            [("give_back", "refund", "cancelled"), ("commission", "referral-commission", "released")]
        {
            let job = sqlx::query_scalar!(
                "select id from job where kind = $1 and submitted_by = 1 and payload ->> 'trade_id' = $2",
                kind,
                self.names[trade].to_string(),
            );
            self.names.insert(name, job.fetch_one(&self.db.owner).await.unwrap());
        }
    }

    async fn withdrawals(&mut self, ann: i64) {
        self.db.know(ann, 3).await;
        self.asked("waiting", withdraw(ann, "btc", "0.001"), "settled").await;
        self.asked("approved", withdraw(ann, "btc", "0.002"), "settled").await;
        self.asked("called_off", withdraw(ann, "btc", "0.003"), "settled").await;
        let (approved, operator) = (self.names["approved"], self.db.another_operator().await);
        let hash = self.db.content_hash(approved).await;
        assert_eq!(self.db.done_by(operator, &approve(approved, &hash)).await, "settled");
        self.asked("calling_off", call_off(self.names["called_off"], ann), "settled").await;
    }

    async fn clawbacks(&mut self, ann: i64, bob: i64, cyd: i64) {
        self.told("reversed", &paid(1005, bob, "usdttrc20", "10", Refunded)).await;
        self.told("lost", &paid(1006, cyd, "ltc", "3", Refunded)).await;
        self.told("repaying_credit", &paid(1010, cyd, "ltc", "1", Finished)).await;
        self.told("refunded_early", &paid(1011, cyd, "ltc", "4", Refunded)).await;
        self.told("changed", &paid(1001, ann, "btc", "0.8", Finished)).await;
    }

    async fn operating(&mut self, ann: i64, bob: i64) {
        self.db.operators().await;
        let [first, second] = [SUBMITTER, OTHER];
        let lost = self.db.ask(lock(ann, bob, "btc", "0.01")).await;
        self.db.park(lost, 0).await;
        self.names.insert("cancelled_lock", lost);
        for (name, operator, job) in [
            ("pause", first, pause(PauseScope::Rail, "bank")),
            ("resume", second, resume(PauseScope::Rail, "bank")),
            ("paused", first, pause(PauseScope::Rail, "crypto")),
            ("first_cancel", first, cancel_parked(lost)),
            ("second_cancel", second, cancel_parked(lost)),
            ("verification", first, AnyJob::call(Verify {})),
        ] {
            let id = self.db.ask_as(operator, job).await;
            self.db.operate().await;
            self.names.insert(name, id);
        }
        assert!(self.db.run_verification().await.is_some());
    }

    async fn name_accounts(&mut self) {
        let accounts = [
            ("ann_btc", "ann", "btc", "wallet"),
            ("bob_btc", "bob", "btc", "wallet"),
            ("dan_btc", "dan", "btc", "wallet"),
            ("bob_usdt", "bob", "usdttrc20", "wallet"),
            ("cyd_ltc", "cyd", "ltc", "wallet"),
            ("cyd_owes", "cyd", "ltc", "receivable"),
            ("fee", "house", "btc", "fee"),
        ];
        for (name, owner, asset, purpose) in accounts {
            let id = sqlx::query_scalar!(
                "select a.id from account a join asset s on s.id = a.asset where owner = $1 and code = $2 and purpose = $3",
                self.names.get(owner).copied().unwrap_or(0),
                asset,
                purpose,
            )
            .fetch_one(&self.db.owner)
            .await
            .unwrap();
            self.names.insert(name, id);
        }
    }

    /// The version of ann's newest entry.
    async fn name_versions(&mut self) {
        let last = sqlx::query_scalar!(
            r#"select max(version) as "last!" from entry where account_id = $1"#,
            self.names["ann_btc"]
        )
        .fetch_one(&self.db.owner)
        .await
        .unwrap();
        self.names.insert("ann_btc_last", last);
    }

    /// The statements with ids in place of `{names}`.
    fn fill_in(&self, statements: &str) -> String {
        let named = self
            .names
            .iter()
            .fold(statements.to_owned(), |text, (name, id)| text.replace(&format!("{{{name}}}"), &id.to_string()));
        assert!(!named.contains('{') || named.contains("{\""), "a name is unknown: {named}");
        named
    }

    /// What is found after the statements, which are made with every trigger silent and undone.
    pub(crate) async fn corrupted(&self, statements: &str) -> Verification {
        let silently = format!("set local session_replication_role = replica; {}", self.fill_in(statements));
        let mut tx = self.db.owner.begin().await.unwrap();
        let made = raw_sql(AssertSqlSafe(silently.clone())).execute(&mut *tx).await;
        made.unwrap_or_else(|error| panic!("{error}: {silently}"));
        let found = verify_within(&mut tx).await.unwrap_or_else(|error| panic!("{error}: {silently}"));
        tx.rollback().await.unwrap();
        found
    }
}

fn failed(found: &Verification) -> BTreeSet<&'static str> {
    found.failed().map(|check| check.name).collect()
}

#[tokio::test]
async fn every_corruption_is_named_by_its_check() {
    let scene = Scene::new().await;
    let mut wrong = Vec::new();
    let mut bitten = BTreeSet::new();
    for corruption in CORRUPTIONS.iter().copied().flatten() {
        let found = scene.corrupted(corruption.sql).await;
        let expected: BTreeSet<&str> = corruption.found_by.iter().copied().collect();
        bitten.extend(failed(&found));
        if failed(&found) != expected {
            wrong.push(format!("{}: found by {:?}, not by {expected:?}", corruption.what, failed(&found)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let found = verify(&scene.db.worker).await.unwrap();
    let all: BTreeSet<&str> = found.checks.iter().map(|check| check.name).collect();
    assert_eq!(bitten, all, "a check that nothing fails proves nothing");
    scene.db.verified().await;
}

/// A report names the rows with their figures, at most twenty of them, and says how many there are.
#[tokio::test]
async fn a_report_names_rows_and_counts_them_all() {
    let scene = Scene::new().await;
    let found = scene.corrupted("update entry set posted = posted + 1 where account_id = {fee}").await;
    let report: Vec<String> = found.failed().map(ToString::to_string).collect();
    let fee = format!("account {} ", scene.names["fee"]);
    expect![[r#"
        found:
          FAIL  posted-sums-to-zero              In every asset, the balances of all accounts sum to zero. Not so: 1
                  btc: the sum is 1
          FAIL  balances-follow-entries          Every balance is the one before it plus the change, beginning at zero. Not so: 1
                  account FEE version 1: posted 200001 after 0 and a change of 200000, held 0 after 0 and a change of 0
    "#]]
    .assert_eq(&format!("found:\n{}\n", report.join("\n").replace(&fee, "account FEE ")));
    assert!(found.to_string().starts_with("NOT CLEAN: 2 of "), "{found}");

    let many = "insert into outbox (job_id, lane, slot, subject, run_at)
        select n, 'ledger', 0, 1, now() from generate_series(1000001, 1000025) n";
    let found = scene.corrupted(many).await;
    let check = found.failed().next().unwrap();
    assert_eq!((check.name, check.count, check.rows.len()), ("queue-rows-have-jobs", 25, Check::ROWS_MAX));
    assert!(check.to_string().ends_with("and 5 more"), "{check}");
    scene.db.verified().await;
}

/// It reads one snapshot, so what workers commit meanwhile does not show as a contradiction.
#[tokio::test]
async fn it_is_clean_while_workers_settle() {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    let locks = db.ask_all(&vec![lock(seller, buyer, "btc", "0.001"); 400]).await;
    db.ask_all(&locks.iter().map(|trade| mark_paid(*trade, buyer)).collect::<Vec<_>>()).await;
    let ends =
        |(number, trade): (usize, &i64)| if number % 2 == 0 { release(*trade, seller) } else { refund(*trade, buyer) };
    db.ask_all(&locks.iter().enumerate().map(ends).collect::<Vec<_>>()).await;
    let settler = db.settler_on(db.worker.clone(), 16).await;
    let settling = async {
        let settled = db.drain_with(&settler).await.settled;
        assert_eq!(settled, 1_200);
    };
    let checking = async {
        let mut between = 0;
        loop {
            let found = verify(&db.owner).await.unwrap();
            assert!(found.is_clean(), "{found}");
            let queued =
                sqlx::query_scalar!(r#"select count(*) as "queued!" from outbox"#).fetch_one(&db.owner).await.unwrap();
            if queued == 0 {
                return between;
            }
            between += 1;
        }
    };
    let ((), between) = tokio::join!(settling, checking);
    assert!(between > 0, "nothing was verified while workers settled");
    db.verified().await;
}
