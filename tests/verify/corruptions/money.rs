//! Transfers, entries and holds.

use super::{Corruption, corruption};

pub(super) const MONEY: &[Corruption] = &[
    corruption(
        "a balance is one too high, and with it the sum",
        "update entry set posted = posted + 1 where account_id = {fee}",
        &["posted-sums-to-zero", "balances-follow-entries"],
    ),
    corruption(
        "an account counts another asset",
        "update account set asset = 12 where id = {bob_btc}",
        &["posted-sums-to-zero", "transfers-within-one-asset"],
    ),
    corruption(
        "a version was skipped",
        "update entry set version = version + 1 where account_id = {ann_btc} and version = {ann_btc_last}",
        &["versions-have-no-gaps"],
    ),
    corruption(
        "an account does not begin with version 1",
        "update entry set version = version + 1 where account_id = {dan_btc}",
        &["versions-have-no-gaps"],
    ),
    corruption(
        "an old balance was changed",
        "update entry set posted = posted + 1 where account_id = {ann_btc} and version = 5",
        &["balances-follow-entries"],
    ),
    corruption(
        "a hold came before the deposit it is of: negative for a moment, and every sum agrees",
        "
        alter table entry drop constraint entry_available_not_negative;
        update entry set version = version + 100 where account_id = {cyd_ltc} and version < 3;
        update entry set version = 2, held = 250000000 where account_id = {cyd_ltc} and version = 101;
        update entry set version = 1, posted = 0 where account_id = {cyd_ltc} and version = 102
        ",
        &["balances-not-negative"],
    ),
    corruption(
        "a balance is not a number",
        "alter table entry drop constraint entry_numbers; update entry set posted = 'NaN' where account_id = {dan_btc}",
        &["balances-not-negative", "balances-follow-entries", "posted-sums-to-zero"],
    ),
    corruption(
        "an entry comes from nothing",
        "
        alter table entry drop constraint entry_one_cause, drop constraint entry_cause_moves;
        insert into entry values ({dan_btc}, 2, {dust_release}, null, null, 0, 0, 1, 0)
        ",
        &["entries-have-one-cause"],
    ),
    corruption(
        "two transfers have each other's entries",
        "
        update entry set leg = 1 - leg where job_id = {release} and account_id = {ann_btc} and leg is not null
        ",
        &["transfers-have-two-entries"],
    ),
    corruption(
        "a transfer has one entry",
        "delete from entry where account_id = {fee}",
        &["transfers-have-two-entries", "posted-sums-to-zero"],
    ),
    corruption(
        "entries of a transfer that is not there",
        "
        insert into entry values ({dan_btc}, 2, {dust_release}, 9, null, 1, 0, 2, 0),
            ({dan_btc}, 3, {dust_release}, 9, null, -1, 0, 1, 0)
        ",
        &["entries-have-transfers"],
    ),
    corruption(
        "somebody repays a debt into another's wallet",
        "
        insert into transfer values ({dust_release}, 1, 'receivable_repay', {dan_btc}, {bob_btc}, 1);
        insert into entry values ({dan_btc}, 2, {dust_release}, 1, null, -1, 0, 0, 0),
            ({bob_btc}, 2, {dust_release}, 1, null, 1, 0, 49800002, 0)
        ",
        &["transfers-fit-their-code"],
    ),
    corruption(
        "a fee is called a commission",
        "update transfer set code = 'commission' where code = 'trade_fee'",
        &["transfers-fit-their-code", "transfers-fit-their-kind", "releases-pay-out-the-amount"],
    ),
    corruption(
        "a mark-paid moved money",
        "
        insert into transfer values ({mark}, 0, 'trade_fee', {dan_btc}, {fee}, 1);
        insert into entry values ({dan_btc}, 2, {mark}, 0, null, -1, 0, 0, 0),
            ({fee}, 3, {mark}, 0, null, 1, 0, 180001, 0)
        ",
        &["transfers-fit-their-kind"],
    ),
    corruption(
        "the first legs of a group are missing",
        "
        update transfer set leg = leg + 5 where job_id = {release};
        update entry set leg = leg + 5 where job_id = {release} and leg is not null
        ",
        &["legs-have-no-gaps"],
    ),
    corruption(
        "money moved without a job",
        "
        insert into transfer values (999999, 0, 'trade_fee', {dan_btc}, {fee}, 1);
        insert into entry values ({dan_btc}, 2, 999999, 0, null, -1, 0, 0, 0),
            ({fee}, 3, 999999, 0, null, 1, 0, 180001, 0)
        ",
        &["ledger-rows-have-settled-jobs"],
    ),
    corruption(
        "a refused job moved money",
        "
        insert into transfer values ({refused_release}, 0, 'trade_fee', {dan_btc}, {fee}, 1);
        insert into entry values ({dan_btc}, 2, {refused_release}, 0, null, -1, 0, 0, 0),
            ({fee}, 3, {refused_release}, 0, null, 1, 0, 180001, 0)
        ",
        &["refused-jobs-moved-nothing"],
    ),
    corruption(
        "a job that moved money was refused afterwards",
        "update outcome set status = 'rejected', reason = 'wrong_state' where job_id = {release}",
        &["caused-jobs-have-causes", "refused-jobs-moved-nothing", "trades-agree-with-closings"],
    ),
    corruption(
        "more is held than holds say",
        "update entry set held = held + 1 where account_id = {ann_btc} and version = {ann_btc_last}",
        &["held-is-open-holds", "balances-follow-entries"],
    ),
    corruption(
        "a hold is larger than what was set aside",
        "update hold set amount = amount + 1 where id = {open}",
        &["held-is-open-holds", "holds-have-their-entries", "trades-agree-with-holds"],
    ),
    corruption(
        "two holds have each other's entries",
        "
        update entry set hold_id = {refunded} + {paid} - hold_id where hold_id in ({refunded}, {paid}) and d_held > 0
        ",
        &["holds-have-their-entries"],
    ),
    corruption(
        "a closed hold is open again",
        "update hold set closed_by = null where id = {refunded}",
        &["held-is-open-holds", "holds-have-their-entries", "trades-agree-with-holds", "trades-agree-with-closings"],
    ),
    corruption(
        "a hold was given back twice, out of another's hold",
        "insert into entry select {ann_btc}, version + 1, {refund}, null, {refunded}, 0, -30000000, posted, held - 30000000 from entry where account_id = {ann_btc} and version = {ann_btc_last}",
        &["holds-have-their-entries", "held-is-open-holds"],
    ),
    corruption(
        "entries of a hold that is not there",
        "
        insert into entry values ({dan_btc}, 2, {release}, null, 777777, 0, 1, 1, 1),
            ({dan_btc}, 3, {release}, null, 777777, 0, -1, 1, 0)
        ",
        &["entries-have-holds"],
    ),
    corruption(
        "a mark-paid opened a hold, and another closed it",
        "
        insert into hold values ({mark}, {dan_btc}, {mark}, 1, {other_mark});
        insert into entry values ({dan_btc}, 2, {mark}, null, {mark}, 0, 1, 1, 1),
            ({dan_btc}, 3, {other_mark}, null, {mark}, 0, -1, 1, 0)
        ",
        &["holds-fit-their-kind", "trades-agree-with-holds"],
    ),
];
