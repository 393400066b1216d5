//! What even the superuser cannot do by mistake: append-only tables, state machines and balances
//! are guarded by triggers and constraints, and each refusal names its guard.

use crate::harness::{Db, mark_paid, payment, refund, refusal, release};

/// Trades in all states, holds open and closed, a deposit credited and one taken back.
async fn world() -> Db {
    let db = Db::new().await;
    let [seller, buyer] = db.people().await;
    db.fund(seller, "btc", "0.9").await;
    db.told(&payment(buyer, "btc", "0.1")).await;
    crate::deposits::take_back_all(&db, buyer).await;
    let mut trades = Vec::new();
    for _ in 0..4 {
        trades.push(db.trade(seller, buyer, "btc", "0.1").await);
    }
    for job in [mark_paid(trades[1], buyer), mark_paid(trades[2], buyer), refund(trades[3], buyer)] {
        assert_eq!(db.done(job).await, "settled");
    }
    assert_eq!(db.done(release(trades[2], seller)).await, "settled");
    db
}

async fn check(db: &Db, cases: &[(&str, &str)]) {
    for (guard, statement) in cases {
        let result = db.try_sql(statement).await;
        assert!(result.is_err(), "{guard} let it pass: {statement}");
        let refusal = refusal(result);
        assert!(refusal.code.starts_with("23"), "{statement}: {refusal:?}");
        assert_eq!(refusal.constraint, *guard, "{statement}: {refusal:?}");
    }
}

#[tokio::test]
async fn what_is_append_only_is_so_for_everybody() {
    let db = world().await;
    let mut kept = vec![
        ("request", "request_append_only"),
        ("job", "job_append_only"),
        ("outcome", "outcome_append_only"),
        ("transfer", "transfer_append_only"),
        ("entry", "entry_append_only"),
        ("ipn_inbox", "ipn_inbox_append_only"),
    ];
    kept.extend([("job_p000000", "job_p000000_append_only"), ("outcome_p000000", "outcome_p000000_append_only")]);
    for (table, guard) in kept {
        let column = db.some_column(table).await;
        let statements = [
            format!("update {table} set {column} = {column}"),
            format!("delete from {table}"),
            // Also when there is nothing to change.
            format!("delete from {table} where false"),
            format!("truncate {table} cascade"),
        ];
        for statement in statements {
            check(&db, &[(guard, &statement)]).await;
        }
    }
    for (table, guard) in [
        ("hold", "hold_no_delete"),
        ("account", "account_kept"),
        ("trade", "trade_kept"),
        ("deposit", "deposit_kept"),
        ("app_user", "app_user_no_delete"),
    ] {
        for statement in [format!("delete from {table}"), format!("truncate {table} cascade")] {
            check(&db, &[(guard, &statement)]).await;
        }
    }
    db.verified().await;
}

#[tokio::test]
async fn a_hold_closes_once_and_an_account_stays_what_it_is() {
    let db = world().await;
    check(
        &db,
        &[
            ("hold_closed_once", "update hold set closed_by = 1 where closed_by is not null"),
            ("hold_closed_once", "update hold set closed_by = null where closed_by is not null"),
            ("hold_closed_once", "update hold set amount = amount + 1, closed_by = 1 where closed_by is null"),
            ("hold_closed_once", "update hold set account_id = account_id + 1, closed_by = 1 where closed_by is null"),
            ("hold_closed_once", "update hold set subject = subject + 1, closed_by = 1 where closed_by is null"),
            ("hold_closed_once", "update hold set amount = 1 where closed_by is null"),
            ("hold_pk", "insert into hold select * from hold limit 1"),
            ("hold_amount_positive", "insert into hold values (9000, 1, 1, 0, null)"),
            ("hold_account_with_floor", "insert into hold values (9000, -1, 1, 1, null)"),
            ("account_identity", "update account set owner = owner + 1 where owner <> 0"),
            ("account_identity", "update account set asset = 2"),
            ("account_identity", "update account set stripe = 1 where owner = 0"),
            (
                "account_key_unique",
                "insert into account select 9000, owner, asset, purpose, stripe from account where id > 0 limit 1",
            ),
            ("account_floor_by_id", "insert into account values (9000, 0, 1, 'world', 1)"),
            ("account_floor_by_id", "insert into account values (-9000, 1, 2, 'wallet')"),
            ("account_owner_by_purpose", "insert into account values (9000, 0, 2, 'wallet')"),
            ("account_owner_by_purpose", "insert into account values (9000, 1, 2, 'fee')"),
            ("account_stripe_house", "insert into account values (9000, 1, 2, 'wallet', 1)"),
            ("account_asset_fk", "insert into account values (9000, 1, 999, 'wallet')"),
        ],
    )
    .await;
    db.verified().await;
}

/// The newest entry of the account of a hold, with the changes given.
fn entry(version: &str, leg: &str, hold: &str, changes: &str) -> String {
    format!(
        "insert into entry (account_id, version, job_id, leg, hold_id, d_posted, d_held, posted, held)
        select account_id, {version}, 1, {leg}, {hold}, {changes}
        from (select distinct on (account_id) * from entry where account_id > 0 order by account_id, version desc) e
        order by held desc limit 1"
    )
}

#[tokio::test]
async fn no_balance_falls_below_its_floor_and_no_update_is_lost() {
    let db = world().await;
    let next = "version + 1";
    let statements = [
        ("entry_available_not_negative", entry(next, "0", "null", "-posted, 0, 0, held")),
        ("entry_available_not_negative", entry(next, "0", "null", "-posted - 1, 0, -1, 0")),
        ("entry_available_not_negative", entry(next, "null", "1", "0, posted, posted, posted + held")),
        ("entry_held_not_negative", entry(next, "null", "1", "0, -held - 1, posted, -1")),
        ("entry_pk", entry("version", "0", "null", "1, 0, posted + 1, held")),
        ("entry_version_positive", entry("0", "0", "null", "1, 0, posted + 1, held")),
        ("entry_one_cause", entry(next, "null", "null", "0, 1, posted, held + 1")),
        ("entry_cause_moves", entry(next, "0", "1", "1, 0, posted + 1, held")),
        ("entry_cause_moves", entry(next, "0", "null", "0, 0, posted, held")),
        ("entry_cause_moves", entry(next, "0", "null", "0, 1, posted, held + 1")),
        ("entry_cause_moves", entry(next, "null", "1", "1, 0, posted + 1, held")),
    ];
    for (guard, statement) in &statements {
        check(&db, &[(guard, statement)]).await;
    }
    check(
        &db,
        &[
            ("transfer_pk", "insert into transfer select * from transfer limit 1"),
            ("transfer_amount_positive", "insert into transfer values (9000, 0, 'deposit', 1, 2, 0)"),
            ("transfer_amount_positive", "insert into transfer values (9000, 0, 'deposit', 1, 2, -1)"),
            ("transfer_two_sides", "insert into transfer values (9000, 0, 'deposit', 1, 1, 1)"),
            ("transfer_leg_range", "insert into transfer values (9000, -1, 'deposit', 1, 2, 1)"),
        ],
    )
    .await;
    db.verified().await;
}

/// Postgres' numeric has a NaN that is greater than every number, so `>= 0` lets it pass.
#[tokio::test]
async fn what_is_not_a_number_is_no_amount() {
    let db = world().await;
    let next = "version + 1";
    for (guard, statement) in [
        ("entry_numbers", entry(next, "0", "null", "'NaN', 0, 'NaN', held")),
        ("entry_numbers", entry(next, "0", "null", "1, 0, 'NaN', held")),
        ("entry_numbers", entry(next, "null", "1", "0, 1, posted, 'NaN'")),
        ("transfer_amount_positive", "insert into transfer values (9000, 0, 'deposit', 1, 2, 'NaN')".to_owned()),
        ("hold_amount_positive", "insert into hold values (9000, 1, 1, 'NaN', null)".to_owned()),
    ] {
        check(&db, &[(guard, &statement)]).await;
    }
    let trade =
        "insert into trade (id, seller_id, buyer_id, asset, amount, hold_id, state, maker, maker_bps, taker_bps,
        opened_at, pay_by) select 9000, seller_id, buyer_id, asset, 'NaN', 9000, 'awaiting_payment', maker, 0, 0,
        opened_at, pay_by from trade limit 1";
    check(&db, &[("trade_amount_positive", trade)]).await;
    let deposit = "insert into deposit (provider, payment_id, user_id, asset, status, state, credited, credited_by,
        first_job, last_job) select provider, '1', user_id, asset, status, 'credited', 'NaN', 9000, 1, 1
        from deposit where credited is not null limit 1";
    check(&db, &[("deposit_credited_range", deposit)]).await;
    db.verified().await;
}

#[tokio::test]
async fn a_trade_moves_only_as_its_machine_says() {
    let db = world().await;
    // A batch may take a trade several steps at once.
    let allowed = [
        ("awaiting_payment", "paid"),
        ("awaiting_payment", "released"),
        ("awaiting_payment", "refunded"),
        ("paid", "released"),
        ("paid", "refunded"),
    ];
    let states = ["awaiting_payment", "paid", "released", "refunded"];
    for from in states {
        for to in states {
            let times = "paid_at = coalesce(paid_at, clock())";
            let fees =
                if to == "released" { "maker_fee = 0, taker_fee = 0" } else { "maker_fee = null, taker_fee = null" };
            let closed = if to == "released" || to == "refunded" { "clock()" } else { "null" };
            let statement = format!(
                "update trade set state = '{to}', {times}, {fees}, closed_at = {closed} where state = '{from}'"
            );
            let guarded = from != to && !allowed.contains(&(from, to)) || from == "released" || from == "refunded";
            if guarded {
                check(&db, &[("trade_transition", &statement)]).await;
            } else {
                // Tried and taken back, so that the next case finds what this one found.
                db.sql(&format!("begin; {statement}; rollback")).await;
            }
        }
    }
    check(
        &db,
        &[
            ("trade_transition", "update trade set amount = amount + 1 where state = 'paid'"),
            ("trade_transition", "update trade set seller_id = buyer_id + 1000 where state = 'paid'"),
            ("trade_transition", "update trade set buyer_id = seller_id + 1000 where state = 'paid'"),
            ("trade_transition", "update trade set taker_bps = 0 where state = 'paid'"),
            (
                "trade_released_was_paid",
                "update trade set state = 'released', closed_at = clock(), maker_fee = 0, taker_fee = 0 where state = 'awaiting_payment'",
            ),
            ("trade_transition", "update trade set state = 'open' where state = 'awaiting_payment'"),
            ("trade_paid_has_time", "update trade set state = 'paid' where state = 'awaiting_payment'"),
            ("trade_closed_has_time", "update trade set state = 'refunded' where state = 'paid'"),
            ("trade_fees_on_release", "update trade set state = 'released', closed_at = clock() where state = 'paid'"),
            (
                "trade_fees_within_amount",
                "update trade set state = 'released', closed_at = clock(), maker_fee = amount, taker_fee = 1 where state = 'paid'",
            ),
            ("trade_pk", "insert into trade select * from trade limit 1"),
        ],
    )
    .await;
    db.verified().await;
}

#[tokio::test]
async fn a_deposit_is_credited_once_and_taken_back_once() {
    let db = world().await;
    check(
        &db,
        &[
            ("deposit_credited_once", "update deposit set credited = credited + 1, credited_by = 1 where state = 'credited'"),
            ("deposit_credited_once", "update deposit set credited = null, credited_by = null, state = 'seen' where state = 'credited'"),
            ("deposit_credited_once", "update deposit set user_id = user_id + 1 where state = 'credited'"),
            ("deposit_credited_once", "update deposit set clawed_back_by = 1 where state = 'reversed'"),
            ("deposit_credited_once", "update deposit set payment_id = '1'"),
            ("deposit_pk", "insert into deposit select * from deposit limit 1"),
            (
                "deposit_clawback_capped",
                "update deposit set state = 'loss', clawed_back = credited, shortfall = 1, clawed_back_by = 1 where state = 'credited'",
            ),
            ("deposit_clawback_state", "update deposit set state = 'reversed' where state = 'credited'"),
            ("deposit_state_known", "update deposit set state = 'paid' where state = 'credited'"),
            ("deposit_review_reason", "update deposit set state = 'review' where state = 'credited'"),
        ],
    )
    .await;
    db.verified().await;
}

#[tokio::test]
async fn keys_outcomes_and_people_are_once() {
    let db = world().await;
    check(
        &db,
        &[
            ("request_pk", "insert into request select * from request limit 1"),
            ("outcome_p000000_pkey", "insert into outcome select * from outcome limit 1"),
            ("job_p000000_pkey", "insert into job select * from job limit 1"),
            ("outcome_status_known", "insert into outcome values (9000, 'done', 'why', null, 1, clock())"),
            ("outcome_reason_given", "insert into outcome values (9000, 'rejected', null, null, 1, clock())"),
            ("outcome_reason_given", "insert into outcome values (9000, 'settled', 'why', null, 1, clock())"),
            ("app_user_referrer_immutable", "update app_user set referrer_id = 1 where id <> 1"),
            ("app_user_referrer_other", "insert into app_user values (9000, 9000, 'standard', false, clock())"),
            ("app_user_referrer_fk", "insert into app_user values (9000, 8999, 'standard', false, clock())"),
            ("app_user_tier_known", "update app_user set tier = 'silver'"),
            ("schema_one_row", "insert into schema values (false, 9, 9)"),
            ("schema_pk", "insert into schema values (true, 9, 9)"),
            ("clock_shift_one_row", "insert into clock_shift values (false, '0')"),
        ],
    )
    .await;
    db.verified().await;
}
