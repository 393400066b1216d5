//! What time and settled jobs cause: timers, refunds, commissions.

use super::{Corruption, corruption};

pub(super) const CAUSES: &[Corruption] = &[
    corruption(
        "the sweep passed a trade and set no timer",
        "update timer_watch set swept_to = (select max(pay_by) + interval '1 second' from trade)",
        &["timers-are-set"],
    ),
    corruption(
        "a cancelled trade was never given back",
        "
        delete from request where job_id = {give_back}; delete from job where id = {give_back};
        delete from outcome where job_id = {give_back};
        delete from entry where job_id = {give_back};
        update hold set closed_by = null where id = {cancelled}; update trade set closed_at = null where id = {cancelled}
        ",
        &["ended-trades-are-given-back", "held-is-open-holds", "versions-have-no-gaps"],
    ),
    corruption(
        "a trade expired and no timer settled",
        "update trade set state = 'expired', ended_at = now(), closed_at = null where id = {open}",
        &["trades-agree-with-events", "ended-trades-are-given-back"],
    ),
    corruption(
        "a trade was taken back and nobody said so",
        "update trade set undone_at = now() where id = {paid}",
        &["trades-agree-with-events"],
    ),
    corruption(
        "a trade has a timer too many",
        "update trade set timer_generation = 3 where id = {open}",
        &["trades-agree-with-events"],
    ),
    corruption(
        "a timer was somebody's wish",
        r#"
        insert into job (id, kind, payload, submitted_by, received_at)
        values (900001, 'timer-expiry', '{"trade_id": "1", "generation": 1}', 100, now());
        insert into request values (100, 'timer-expiry', 'x', sha256('x'), 900001);
        insert into outcome values (900001, 'rejected', 'not_holdfast', null, 1, now())
        "#,
        &["caused-jobs-have-causes"],
    ),
    corruption(
        "a commission follows from nothing",
        "update job set caused_by = null where id = {commission}",
        &["caused-jobs-have-causes"],
    ),
    corruption(
        "a share was fixed for somebody else",
        "update trade_referral set referrer_id = {dan} where trade_id = {refunded} and side = 'taker'",
        &["referrals-are-of-the-traders"],
    ),
    corruption(
        "a share was forgotten at the lock",
        "delete from trade_referral where trade_id = {refunded}",
        &["referrals-are-of-the-traders"],
    ),
    corruption(
        "a commission is of another rate than was fixed",
        "update trade_referral set bps = 3000 where trade_id = {released}",
        &["commissions-are-as-fixed"],
    ),
    corruption(
        "a commission was noted one too high",
        "
        alter table commission drop constraint commission_is_floor;
        update commission set amount = amount + 1 where job_id = {commission};
        update trade set commissioned = commissioned + 1 where id = {released}
        ",
        &["commissions-are-as-fixed", "commissions-were-paid"],
    ),
    corruption(
        "a trade counts less than it paid",
        "update trade set commissioned = 0 where id = {released}",
        &["commissions-were-paid"],
    ),
    corruption(
        "a share was never paid",
        "
        delete from commission where job_id = {commission}; delete from transfer where job_id = {commission};
        delete from entry where job_id = {commission}; delete from request where job_id = {commission};
        delete from job where id = {commission}; delete from outcome where job_id = {commission};
        update trade set commissioned = 0 where id = {released}
        ",
        &["posted-sums-to-zero", "shares-are-paid-or-due", "versions-have-no-gaps"],
    ),
];
