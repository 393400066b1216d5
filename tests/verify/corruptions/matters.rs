//! What the jobs are about: trades and deposits.

use super::{Corruption, corruption};

pub(super) const MATTERS: &[Corruption] = &[
    corruption(
        "a trade's maker was changed",
        "update trade set maker = 'buyer' where id = {released}",
        &["referrals-are-of-the-traders", "trades-come-from-locks"],
    ),
    corruption(
        "another amount was asked for",
        r#"update job set payload = payload || '{"amount": "0.4"}' where id = {refunded}"#,
        &["trades-come-from-locks"],
    ),
    corruption(
        "a trade is gone",
        "delete from trade where id = {debtor}",
        &["referrals-are-of-the-traders", "trades-come-from-locks", "trades-agree-with-holds"],
    ),
    corruption(
        "a hold is for another trade",
        "update hold set subject = {paid} where id = {open}",
        &["trades-agree-with-holds"],
    ),
    corruption(
        "a trade was paid at another time",
        "update trade set paid_at = paid_at + interval '1 second' where id = {paid}",
        &["trades-agree-with-events"],
    ),
    corruption(
        "a trade is paid and nobody said so",
        "update trade set paid_at = now(), state = 'paid' where id = {open}",
        &["trades-agree-with-events"],
    ),
    corruption(
        "a trade was paid too late",
        "
        update trade set opened_at = opened_at - interval '1 day', pay_by = pay_by - interval '1 day' where id = {paid}
        ",
        &["trades-agree-with-events"],
    ),
    corruption(
        "somebody else released",
        r#"update job set payload = payload || '{"user_id": "{bob}"}' where id = {release}"#,
        &["trades-agree-with-closings"],
    ),
    corruption(
        "a release and a refund settled",
        "update outcome set status = 'settled', reason = null where job_id = {refused_refund}",
        &["trades-agree-with-closings"],
    ),
    corruption(
        "a released trade says that it was refunded",
        "update trade set state = 'refunded', maker_fee = null, taker_fee = null where id = {dust}",
        &["trades-agree-with-closings"],
    ),
    corruption(
        "one fee is too high and the other too low",
        "update trade set maker_fee = maker_fee + 1, taker_fee = taker_fee - 1 where id = {released}",
        &["commissions-are-as-fixed", "trade-fees-are-floored"],
    ),
    corruption(
        "a trade without fees paid some",
        "
        alter table trade drop constraint trade_commissioned_within_fees;
        update trade set maker_bps = 0, taker_bps = 0, maker_fee = 0, taker_fee = 0 where id = {released}
        ",
        &["releases-pay-out-the-amount", "commissions-are-as-fixed", "commissions-were-paid"],
    ),
    corruption(
        "a deposit is somebody else's",
        "update deposit set user_id = {cyd} where payment_id = '1002'",
        &["deposits-agree-with-transfers"],
    ),
    corruption(
        "a credit says that it did nothing",
        r#"update outcome set result = '{"deposit": "noted"}' where job_id = {credit}"#,
        &["deposits-agree-with-jobs"],
    ),
    corruption(
        "one job credited two deposits",
        "update deposit set credited_by = {credit} where payment_id = '1009'",
        &["deposits-agree-with-jobs", "credits-are-what-was-signed"],
    ),
    corruption(
        "a credited deposit is only seen",
        "update deposit set state = 'seen' where payment_id = '1002'",
        &["deposit-states-agree"],
    ),
    corruption(
        "less was taken back than was credited",
        "update deposit set clawed_back = clawed_back - 1 where payment_id = '1005'",
        &["deposit-states-agree", "deposits-agree-with-transfers", "world-moved-by-deposits"],
    ),
    corruption(
        "more was credited than moved",
        "update deposit set credited = credited + 1 where payment_id = '1002'",
        &[
            "world-moved-by-deposits",
            "deposits-agree-with-transfers",
            "credits-are-what-was-signed",
            "credits-are-what-is-written",
        ],
    ),
    corruption(
        "a debt was repaid before it was made",
        "
        update entry set version = version + 100 where account_id = {cyd_owes};
        update entry set version = 1, posted = 100000000 where account_id = {cyd_owes} and version = 102;
        update entry set version = 2, posted = -150000000 where account_id = {cyd_owes} and version = 101
        ",
        &["receivables-not-positive"],
    ),
    corruption(
        "less is owed than was missing",
        "
        update deposit set clawed_back = clawed_back + 1, shortfall = shortfall - 1 where payment_id = '1006'
        ",
        &["receivables-are-shortfalls", "deposits-agree-with-transfers"],
    ),
    corruption(
        "a callback was stored and no job asked",
        "
        insert into ipn_inbox (provider, body, signature, fact_key)
        values ('nowpayments', 'x', '', '4:5555,8:finished,-,-,-,')
        ",
        &["callbacks-have-jobs"],
    ),
    corruption(
        "a job names another callback",
        "update job set payload = (select payload from job where id = {credit}) where id = {noted}",
        &["deposit-jobs-have-callbacks"],
    ),
    corruption(
        "a deposit-credit was not the provider's",
        "
        update job set submitted_by = 1 where id = {expired}; update request set submitter = 1 where job_id = {expired}
        ",
        &["deposit-jobs-have-callbacks", "callbacks-have-jobs"],
    ),
    corruption(
        "a payment lies with nobody",
        "update deposit set state = 'seen', review_reason = null where payment_id = '1003'",
        &["paid-facts-are-accounted-for"],
    ),
    corruption(
        "a payment was told of and is not there",
        "delete from deposit where payment_id = '1008'",
        &["paid-facts-are-accounted-for"],
    ),
    corruption(
        "another amount was signed",
        "
        update ipn_inbox set fact_key = replace(fact_key, '8:finished,4:0.25', '8:finished,4:0.26');
        update request set key = replace(key, '8:finished,4:0.25', '8:finished,4:0.26')
        ",
        &["credits-are-what-was-signed"],
    ),
    corruption(
        "another amount is written",
        "update deposit set outcome_text = '0.26' where payment_id = '1002'",
        &["credits-are-what-is-written"],
    ),
    corruption(
        "no amount is written",
        "update deposit set outcome_text = 'garbage' where payment_id = '1002'",
        &["credits-are-what-is-written"],
    ),
];
