//! What somebody asks for, and the timer that says that it is too late. When it was received
//! decides, not who comes round to it first: of every two rounds one was asked for in time.

use chrono::{DateTime, TimeDelta, Utc};
use jobs::{AnyJob, PrincipalId, TimerExpiry, TradeId};
use outbox::{Ask, payload_hash};

use super::ring::{Ring, in_order_of_meeting, until_they_know_of_each_other};
use super::rounds::Round;
use super::stage::{Deal, ask, wallet};
use crate::harness::{Db, extend, mark_paid};

/// The first timer of a trade, as a sweep causes it.
fn timer(trade: i64) -> Ask {
    let timer = TimerExpiry { trade_id: TradeId(trade), generation: 1 };
    let key = timer.key();
    let ask = ask(&AnyJob::TimerExpiry(timer));
    let payload_hash = payload_hash(&[ask.kind.as_bytes(), key.as_bytes()]);
    Ask { submitter: PrincipalId::HOLDFAST.0, key, payload_hash, ..ask }
}

/// Whether a round was asked for in time.
const fn in_time(round: usize) -> bool {
    round.is_multiple_of(2)
}

/// Records for each trade what is asked about it and its timer: what is in time now, the rest five
/// minutes after the deadline. All of it falls due at one moment, when the grace is over as well.
async fn record(db: &Db, asked: Vec<Ask>, deals: &[Deal]) -> Vec<[i64; 2]> {
    let tomorrow = sqlx::query_scalar!(r#"select clock() + interval '1 day' as "at!""#);
    let tomorrow: DateTime<Utc> = tomorrow.fetch_one(&db.owner).await.unwrap();
    let asks = asked.into_iter().zip(deals).map(|(ask, deal)| [ask, timer(deal.trade)]).collect();
    let mut waves = [Vec::new(), Vec::new()];
    for (place, (round, side, ask)) in in_order_of_meeting(asks).into_iter().enumerate() {
        // In the order of meeting, whatever their ids.
        let run_at = tomorrow.checked_add_signed(TimeDelta::microseconds(place.try_into().unwrap()));
        // The timers come first: what the workers' own sweep would cause is there already.
        waves[usize::from(side == 0 && !in_time(round))].push((round, side, Ask { run_at, ..ask }));
    }
    let mut jobs = vec![[0; 2]; deals.len()];
    for (wave, pause) in waves.into_iter().zip(["125 minutes", "6 minutes"]) {
        let asks: Vec<Ask> = wave.iter().map(|(_, _, ask)| ask.clone()).collect();
        // Only the owner of the tables may say when something that a client asks for is to run.
        let recorded = outbox::enqueue(&mut db.owner.acquire().await.unwrap(), &asks).await.unwrap();
        for ((round, side, _), recorded) in wave.into_iter().zip(recorded) {
            jobs[round][side] = recorded.job_id();
        }
        db.pass(pause).await;
    }
    // A heart that last beat before the clock was moved seems to have stopped, and whoever looked meanwhile works as if
    // it were alone.
    until_they_know_of_each_other(db).await;
    db.sql("update outbox set run_at = run_at - interval '1 day'").await;
    jobs
}

/// Lets `asked` meet the timer on every trade. Trades, rounds, and the sides that won: where it was
/// in time the timer was told `stopped`, and elsewhere that which was asked `refused`, one of the
/// two by who came first.
async fn against_timer(
    ring: &Ring,
    asked: fn(&Deal) -> AnyJob,
    stopped: &str,
    refused: [&str; 2],
) -> (Vec<Round>, Vec<usize>) {
    let deals = ring.deals().await;
    let asks = deals.iter().map(|deal| ask(&asked(deal))).collect();
    let rounds = ring.fight(async |db| record(db, asks, &deals).await).await;
    let mut winners = Vec::new();
    for (number, round) in rounds.iter().enumerate() {
        // Of one batch the timer is decided last, however old it is.
        let first = if round.apart() { round.first() } else { 0 };
        let said = round.said();
        if in_time(number) {
            // A timer that came first has waited, so it never ends first.
            assert_eq!((said, first), (["settled", stopped], 0), "{round:?}");
        } else {
            assert_eq!(said, [refused[first], "settled"], "{round:?}");
        }
        winners.push(usize::from(!in_time(number)));
    }
    for (winner, has) in winners.iter().zip(ring.wallets(deals.iter().map(|deal| deal.seller)).await) {
        assert_eq!(has, if *winner == 0 { wallet(40_000_000, 50_000_000) } else { wallet(90_000_000, 0) });
    }
    let waited = rounds.iter().filter(|round| round.0[1].attempts > 1).count();
    // On a busy machine the two meet less often.
    assert!(waited * 100 >= rounds.len(), "the timer hardly ever came first: {waited} times");
    (rounds, winners)
}

#[tokio::test]
async fn mark_paid_against_expiry() {
    let ring = Ring::new("mark-paid against expiry", ["mark-paid", "expiry"]).await;
    let refused = ["rejected deadline_passed awaiting_payment", "rejected wrong_state expired"];
    let paid = |deal: &Deal| mark_paid(deal.trade, deal.buyer);
    let (rounds, winners) = against_timer(&ring, paid, "rejected wrong_state paid", refused).await;
    ring.over(&rounds, &winners).await;
}

#[tokio::test]
async fn extension_against_the_timer_that_it_puts_off() {
    let ring = Ring::new("extend against timer of old generation", ["extend", "timer"]).await;
    let refused = ["rejected deadline_passed awaiting_payment", "rejected wrong_state expired"];
    let put_off = |deal: &Deal| extend(deal.trade, deal.seller);
    let (rounds, winners) = against_timer(&ring, put_off, "rejected stale_timer awaiting_payment", refused).await;
    ring.over(&rounds, &winners).await;
}
