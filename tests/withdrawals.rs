//! Withdrawals up to their approval: who may, how much, and what one decision does to another.

use jobs::{AnyJob, Tier, UserFlag, UserId};

use providers::nowpayments::PaymentStatus;
use simulators::nowpayments::Payment;

use crate::harness::{Db, SUBMITTER, approve, call_off, lock, payment, refund, refusal, register, reject, withdraw};

async fn state(db: &Db, withdrawal: i64) -> String {
    let row = sqlx::query_scalar!("select state from withdrawal where id = $1", withdrawal);
    row.fetch_optional(&db.owner).await.unwrap().unwrap_or_else(|| "none".to_owned())
}

/// What is held in a person's wallet, and what is used of today's limit, in minor units.
async fn held_and_used(db: &Db, user: i64) -> (String, String) {
    let row = sqlx::query!(
        r#"
        select (select e.held from entry e where e.account_id = a.id order by version desc limit 1)::text as "held!",
            coalesce((select sum(used) from (
                select distinct on (asset, day) used from withdrawal_day
                where user_id = $1 order by asset, day, version desc
            ) d), 0)::text as "used!"
        from account a where a.owner = $1 and a.purpose = 'wallet'
        "#,
        user,
    )
    .fetch_one(&db.owner)
    .await
    .unwrap();
    (row.held, row.used)
}

/// A person with 0.9 btc who may withdraw, a withdrawal of an amount, and two operators.
async fn requested(db: &Db, amount: &str) -> (i64, i64, [i64; 2]) {
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.know(user, 3).await;
    let withdrawal = db.ask(withdraw(user, "btc", amount)).await;
    db.drain().await;
    assert_eq!(db.outcome(withdrawal).await, "settled");
    (user, withdrawal, [db.another_operator().await, db.another_operator().await])
}

#[tokio::test]
async fn a_withdrawal_is_held_with_its_fee_and_approved_by_somebody_else() {
    let db = Db::new().await;
    let (user, withdrawal, [one, _]) = requested(&db, "0.05").await;
    assert_eq!(held_and_used(&db, user).await, ("5002000".into(), "5000000".into()));
    let hash = db.content_hash(withdrawal).await;
    db.operator(SUBMITTER).await;
    assert_eq!(db.done_by(SUBMITTER, &approve(withdrawal, &hash)).await, "rejected same_principal");
    assert_eq!(db.done_by(101, &approve(withdrawal, &hash)).await, "rejected not_an_operator");
    let other = "00".repeat(32);
    assert_eq!(db.done_by(one, &approve(withdrawal, &other)).await, "rejected content_changed");
    assert_eq!(state(&db, withdrawal).await, "awaiting_approval");
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash.to_uppercase())).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "approved");
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "rejected wrong_state");
    // Until it is on its way, the person may still call it off.
    assert_eq!(db.done(call_off(withdrawal, user + 1)).await, "rejected not_the_beneficiary");
    assert_eq!(db.done(call_off(withdrawal, user)).await, "settled");
    assert_eq!(held_and_used(&db, user).await, ("0".into(), "0".into()));
    assert_eq!(db.done_by(one, &reject(withdrawal)).await, "rejected wrong_state");
    db.verified().await;
}

#[tokio::test]
async fn a_large_one_needs_two_different_approvers_in_time() {
    let db = Db::new().await;
    let (user, withdrawal, [one, two]) = requested(&db, "0.5").await;
    let hash = db.content_hash(withdrawal).await;
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "awaiting_approval");
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "rejected already_approved");
    // The first approval expires before the second comes.
    db.pass("25 hours").await;
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "awaiting_approval");
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "approved");
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "rejected wrong_state");
    // What was approved long ago is approved anew, by two again.
    db.pass("25 hours").await;
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "awaiting_approval");
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "approved");
    assert_eq!(db.done_by(two, &reject(withdrawal)).await, "settled");
    assert_eq!((state(&db, withdrawal).await, held_and_used(&db, user).await.0), ("rejected".into(), "0".into()));
    db.verified().await;
}

/// Nobody approves, rejects or unfreezes what is their own, whatever key they use.
#[tokio::test]
async fn nobody_decides_on_what_is_their_own() {
    let db = Db::new().await;
    let (user, withdrawal, [one, two]) = requested(&db, "0.05").await;
    let hash = db.content_hash(withdrawal).await;
    db.sql(&format!("update principal set user_id = {user} where id = {one}")).await;
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "rejected own_account");
    assert_eq!(db.done_by(one, &reject(withdrawal)).await, "rejected own_account");
    let flag =
        |kyc| UserFlag { user_id: UserId(user), frozen: None, tier: None, kyc: Some(kyc), reason: "so".to_owned() };
    assert_eq!(db.done_by(one, &AnyJob::UserFlag(flag(1))).await, "rejected own_account");
    // The database refuses it a second time, and to whom nobody gave a key to operate the kind does.
    let forged = |approver: i64, job: i64| {
        format!(
            "insert into approval select {job}, id, {approver}, requested_by, user_id, content_hash, clock(), clock() + interval '1 hour'
             from withdrawal where id = {withdrawal}"
        )
    };
    let own = refusal(crate::harness::run(&db.worker, &forged(one, 900_001)).await);
    assert_eq!(own.constraint, "approval_not_the_beneficiary");
    let requester = refusal(crate::harness::run(&db.worker, &forged(SUBMITTER, 900_002)).await);
    assert_eq!(requester.constraint, "approval_not_the_requester");
    let holdfast = refusal(crate::harness::run(&db.worker, &forged(1, 900_003)).await);
    assert_eq!(holdfast.constraint, "approval_not_holdfast");
    let lying = format!(
        "insert into approval select 900004, id, {two}, requested_by, user_id + 1, content_hash, clock(), clock() + interval '1 hour'
         from withdrawal where id = {withdrawal}"
    );
    assert_eq!(refusal(crate::harness::run(&db.worker, &lying).await).constraint, "approval_content_fk");
    // A key that has expired or was revoked operates nothing.
    db.sql(&format!("update api_key set revoked_at = clock() where principal_id = {two}")).await;
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "rejected not_an_operator");
    db.verified().await;
}

#[tokio::test]
async fn a_day_has_a_limit_that_rises_with_what_is_known() {
    let db = Db::new().await;
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    assert_eq!(db.done(withdraw(user, "btc", "0.005")).await, "rejected kyc_limit", "nobody knows them");
    db.know(user, 1).await;
    assert_eq!(db.done(withdraw(user, "btc", "0.010001")).await, "rejected kyc_limit");
    let first = db.ask(withdraw(user, "btc", "0.006")).await;
    db.drain().await;
    assert_eq!(db.outcome(first).await, "settled");
    assert_eq!(db.done(withdraw(user, "btc", "0.005")).await, "rejected kyc_limit", "the day's sum counts");
    assert_eq!(db.done(withdraw(user, "btc", "0.004")).await, "settled");
    // What was called off does not count any more, and the next day is another.
    assert_eq!(db.done(call_off(first, user)).await, "settled");
    let yesterdays = db.ask(withdraw(user, "btc", "0.006")).await;
    db.drain().await;
    assert_eq!(db.outcome(yesterdays).await, "settled");
    db.pass("24 hours").await;
    // What comes back of yesterday is yesterday's, in the same batch too.
    for job in db.ask_all(&[call_off(yesterdays, user), withdraw(user, "btc", "0.009")]).await {
        db.drain().await;
        assert_eq!(db.outcome(job).await, "settled");
    }
    assert_eq!(db.done(withdraw(user, "btc", "0.002")).await, "rejected kyc_limit");
    assert_eq!(db.done(withdraw(user, "btc", "0.001")).await, "settled");
    // A limit that was lowered lets nothing more pass, and breaks nothing.
    db.sql("update kyc_limit set day_max = 1").await;
    assert_eq!(db.done(withdraw(user, "btc", "0.001")).await, "rejected kyc_limit");
    db.verified().await;
}

/// A day used to be one row that was updated.
#[tokio::test]
async fn what_was_used_of_a_day_before_days_were_appended_counts() {
    let db = Db::new().await;
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.know(user, 1).await;
    let first = db.ask(withdraw(user, "btc", "0.006")).await;
    db.drain().await;
    assert_eq!(db.outcome(first).await, "settled");
    // The schema before, and the migration as it runs on it.
    db.sql(
        "drop trigger withdrawal_day_append_only on withdrawal_day;
        alter table withdrawal_day drop constraint withdrawal_day_pk, drop column version;
        alter table withdrawal_day add constraint withdrawal_day_pk primary key (user_id, asset, day);
        alter table withdrawal_day set (fillfactor = 80);
        grant update (used, day_max) on withdrawal_day to holdfast_worker;
        update schema set version = 15, oldest_binary = 15",
    )
    .await;
    db.sql(include_str!("../migrations/0016_days_appended.sql")).await;
    assert_eq!(held_and_used(&db, user).await.1, "600000");
    assert_eq!(db.done(withdraw(user, "btc", "0.005")).await, "rejected kyc_limit", "the day's sum counts");
    assert_eq!(db.done(call_off(first, user)).await, "settled");
    assert_eq!(db.done(withdraw(user, "btc", "0.009")).await, "settled");
    assert_eq!(db.done(withdraw(user, "btc", "0.002")).await, "rejected kyc_limit");
    assert_eq!(held_and_used(&db, user).await.1, "900000");
    db.verified().await;
}

/// `scenario parallel_withdrawals`: a thousand at once against one balance, in many batches.
#[tokio::test]
async fn a_thousand_withdrawals_against_one_balance() {
    let db = Db::new().await;
    let [user] = db.people().await;
    db.fund(user, "ltc", "10").await;
    db.know(user, 3).await;
    let jobs = db.ask_all(&vec![withdraw(user, "ltc", "0.98"); 1_000]).await;
    let [one, two] =
        [db.settler_on(db.pool("holdfast_worker", 2).await, 37).await, db.settler_on(db.worker.clone(), 64).await];
    tokio::join!(db.drain_with(&one), db.drain_with(&two));
    let mut settled = 0;
    for job in jobs {
        match db.outcome(job).await.as_str() {
            "settled" => settled += 1,
            refused => assert_eq!(refused, "rejected insufficient_funds"),
        }
    }
    // Each takes 0.98 and a fee of 0.02.
    assert_eq!(settled, 10);
    assert_eq!(held_and_used(&db, user).await, ("1000000000".into(), "980000000".into()));
    db.verified().await;
}

#[tokio::test]
async fn what_is_no_withdrawal_is_refused_and_leaves_no_trace() {
    let db = Db::new().await;
    let [user, poor] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    for person in [user, poor] {
        db.know(person, 3).await;
    }
    let ledger = db.ledger_text().await;
    for (what, job, reason) in [
        ("too little", withdraw(user, "btc", "0.00009999"), "payload_invalid"),
        ("below the least", withdraw(user, "btc", "0.000099"), "amount_too_small"),
        ("too fine for the rail", withdraw(user, "btc", "0.1234567"), "payload_invalid"),
        ("the fee is not there", withdraw(user, "btc", "0.9"), "insufficient_funds"),
        ("nothing there", withdraw(poor, "btc", "0.1"), "insufficient_funds"),
        ("nobody", withdraw(999_999, "btc", "0.1"), "user_unknown"),
    ] {
        let said = db.done(job).await;
        assert!(said == format!("rejected {reason}"), "{what}: {said}");
    }
    assert_eq!(db.done(call_off(999_999, user)).await, "rejected withdrawal_unknown");
    assert_eq!(db.ledger_text().await, ledger);
    // What escrow holds is not available, and the other way round.
    assert_eq!(db.done(lock(user, poor, "btc", "0.5")).await, "settled");
    assert_eq!(db.done(withdraw(user, "btc", "0.4")).await, "rejected insufficient_funds");
    assert_eq!(db.done(withdraw(user, "btc", "0.39")).await, "settled");
    assert_eq!(db.done(lock(user, poor, "btc", "0.02")).await, "rejected insufficient_funds");
    db.verified().await;
}

#[tokio::test]
async fn a_frozen_person_neither_withdraws_nor_is_approved_and_every_flag_is_kept() {
    let db = Db::new().await;
    let (user, withdrawal, [one, two]) = requested(&db, "0.05").await;
    let flag = |frozen, tier| {
        AnyJob::UserFlag(UserFlag { user_id: UserId(user), frozen, tier, kyc: None, reason: "an inquiry".to_owned() })
    };
    assert_eq!(db.done(flag(Some(true), None)).await, "rejected not_an_operator");
    assert_eq!(db.done_by(one, &flag(Some(true), Some(Tier::Golden))).await, "settled");
    assert_eq!(db.done(withdraw(user, "btc", "0.05")).await, "rejected user_frozen");
    let hash = db.content_hash(withdrawal).await;
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "rejected user_frozen");
    assert_eq!(db.done_by(two, &flag(Some(false), None)).await, "settled");
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "settled");
    let history = sqlx::query_scalar!(
        r#"
        select format('%s %s kyc %s by %s: %s', case when frozen then 'frozen' else 'free' end, tier, kyc,
            principal_id in ($2, $3), reason) as "text!"
        from user_flag where user_id = $1 order by job_id
        "#,
        user,
        one,
        two,
    )
    .fetch_all(&db.owner)
    .await
    .unwrap();
    let expected = [
        "free standard kyc 3 by f: a test",
        "frozen golden kyc 3 by t: an inquiry",
        "free golden kyc 3 by t: an inquiry",
    ];
    assert_eq!(history, expected);
    db.verified().await;
}

/// A decision in the same batch as the request, and one that overtakes it, wait for it.
#[tokio::test]
async fn a_decision_waits_for_its_request() {
    let db = Db::new().await;
    let [user] = db.people().await;
    db.fund(user, "btc", "0.9").await;
    db.know(user, 3).await;
    let withdrawal = db.ask(withdraw(user, "btc", "0.05")).await;
    let decision = db.ask(call_off(withdrawal, user)).await;
    db.drain().await;
    assert_eq!([db.outcome(withdrawal).await, db.outcome(decision).await], ["settled", "settled"]);
    let refused = db.ask(withdraw(user, "btc", "0.95")).await;
    let decision = db.ask(call_off(refused, user)).await;
    db.drain().await;
    assert_eq!(db.outcome(decision).await, "rejected withdrawal_never_opened");
    assert_eq!(db.done(call_off(db.ask(register(None)).await, user)).await, "rejected withdrawal_unknown");
    db.verified().await;
}

/// What was held while its deposit was taken back repays the debt when it comes free, and until the
/// debt is paid nothing leaves.
#[tokio::test]
async fn what_comes_free_repays_a_debt_first() {
    let db = Db::new().await;
    let [user, other] = db.people().await;
    let paid = payment(user, "btc", "0.5");
    db.callback(&paid).await;
    db.drain().await;
    db.know(user, 3).await;
    let withdrawal = db.ask(withdraw(user, "btc", "0.3")).await;
    let trade = db.ask(lock(user, other, "btc", "0.1")).await;
    db.drain().await;
    db.callback(&Payment { status: PaymentStatus::Refunded, ..paid }).await;
    db.drain().await;
    assert_eq!(db.wallet(user, "btc").await, "0.40002000 held 0.40002000");
    // An operator lets them go on; what they owe still stands.
    let operator = db.another_operator().await;
    let thaw =
        UserFlag { user_id: UserId(user), frozen: Some(false), tier: None, kyc: None, reason: "a test".to_owned() };
    assert_eq!(db.done_by(operator, &AnyJob::UserFlag(thaw)).await, "settled");
    let hash = db.content_hash(withdrawal).await;
    assert_eq!(db.done_by(operator, &approve(withdrawal, &hash)).await, "rejected owes");
    assert_eq!(db.done(lock(user, other, "btc", "0.01")).await, "rejected owes");
    assert_eq!(db.done(call_off(withdrawal, user)).await, "settled");
    assert_eq!(db.done(refund(trade, other)).await, "settled");
    assert_eq!(db.wallet(user, "btc").await, "0.00000000");
    let owed = sqlx::query_scalar!(
        r#"
        select (select posted from entry where account_id = a.id order by version desc limit 1)::text as "owed!"
        from account a where owner = $1 and purpose = 'receivable'
        "#,
        user,
    );
    assert_eq!(owed.fetch_one(&db.owner).await.unwrap(), "0");
    db.verified().await;
}

/// An approver who may not operate any more does not count when the second one comes.
#[tokio::test]
async fn an_approval_counts_as_long_as_its_approver_operates() {
    let db = Db::new().await;
    let (_, withdrawal, [one, two]) = requested(&db, "0.5").await;
    let hash = db.content_hash(withdrawal).await;
    assert_eq!(db.done_by(one, &approve(withdrawal, &hash)).await, "settled");
    db.sql(&format!("update api_key set revoked_at = clock() where principal_id = {one}")).await;
    assert_eq!(db.done_by(two, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "awaiting_approval");
    let three = db.another_operator().await;
    assert_eq!(db.done_by(three, &approve(withdrawal, &hash)).await, "settled");
    assert_eq!(state(&db, withdrawal).await, "approved");
    db.verified().await;
}
