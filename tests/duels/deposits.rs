//! What the provider says of one payment, twice or in any order.

use std::collections::HashMap;

use futures_util::future::join_all;
use providers::nowpayments::PaymentStatus;
use simulators::nowpayments::{Payment, sign};

use super::processes::Process;
use super::ring::Ring;
use super::rounds::{Round, Turn};
use super::stage::{callbacks, wallet};
use crate::harness::{IPN_SECRET, payment};

/// How many payments are told of at once.
const AT_ONCE: usize = 4;

/// Credited and taken back, or never credited: in either order nothing is left.
#[tokio::test]
async fn finished_against_refunded() {
    let ring = Ring::new("finished against refunded", ["finished", "refunded"]).await;
    let people = ring.people().await;
    let with = |status| {
        let of = move |payment: &Payment| Payment { status, ..payment.clone() };
        move |payments: &[Payment]| payments.iter().map(of).collect::<Vec<_>>()
    };
    let finished: Vec<Payment> = people.iter().map(|user| payment(*user, "btc", "0.5")).collect();
    ring.told(&with(PaymentStatus::Confirming)(&finished)).await;
    let (credits, clawbacks) =
        (callbacks(&ring.db, &finished).await, callbacks(&ring.db, &with(PaymentStatus::Refunded)(&finished)).await);
    let rounds = ring.fight_over(credits.into_iter().zip(clawbacks).map(<[_; 2]>::from).collect()).await;
    let deposits = sqlx::query!(
        r#"
        select payment_id, state, credited::bigint as credited, clawed_back::bigint as clawed_back, shortfall::bigint as shortfall
        from deposit
        "#
    );
    let deposits = deposits.fetch_all(&ring.db.owner).await.unwrap();
    let deposits: HashMap<String, _> = deposits
        .into_iter()
        .map(|row| (row.payment_id, (row.state, row.credited, row.clawed_back, row.shortfall)))
        .collect();
    let mut winners = Vec::new();
    for (round, payment) in rounds.iter().zip(&finished) {
        assert_eq!(round.said(), ["settled", "settled"]);
        let expected = match round.first() {
            0 => ("reversed".to_owned(), Some(50_000_000), Some(50_000_000), Some(0)),
            _ => ("refunded".to_owned(), None, None, None),
        };
        assert_eq!(deposits[&payment.payment_id.to_string()], expected);
        winners.push(round.first());
    }
    for has in ring.wallets(people.into_iter()).await {
        assert_eq!(has, wallet(0, 0));
    }
    assert_eq!(ring.db.house("btc", "world").await.trim_start_matches('-'), "0.00000000");
    ring.over(&rounds, &winners).await;
}

/// One callback comes to two processes of the HTTP side at once. Both store it; one job is recorded,
/// and the money is credited once.
#[tokio::test]
async fn one_callback_at_two_processes() {
    let ring = Ring::new("one callback at two API processes", ["one", "the other"]).await;
    let people = ring.people().await;
    let payments: Vec<Payment> = people.iter().map(|user| payment(*user, "btc", "0.5")).collect();
    ring.let_them_meet("ipn_inbox").await;
    let ((one, first), (two, second)) = (Process::web(&ring.db).await, Process::web(&ring.db).await);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let tell = async |to: &str, body: String, signature: String| {
        let call = client.post(to).header("content-type", "application/json");
        let answer = call.header("x-nowpayments-sig", signature).body(body).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    };
    for (block, payments) in payments.chunks(AT_ONCE).enumerate() {
        join_all(payments.iter().map(async |payment| {
            let (body, signature) = (payment.body(), sign(IPN_SECRET, payment.body().as_bytes()));
            // The digits' case tells which of the two stored it, and says nothing else.
            let one = tell(&first, body.clone(), signature.to_ascii_lowercase());
            let two = tell(&second, body, signature.to_ascii_uppercase());
            // Neither is always asked first.
            if block.is_multiple_of(2) { tokio::join!(one, two) } else { tokio::join!(two, one) }
        }))
        .await;
    }
    for web in [one, two] {
        web.stop().await;
    }
    let rounds = told_twice(&ring).await;
    let winners: Vec<usize> = rounds.iter().map(|round| round.one_winner(["replayed", "replayed"])).collect();
    ring.db.drain().await;
    for has in ring.wallets(people.into_iter()).await {
        assert_eq!(has, wallet(50_000_000, 0));
    }
    ring.over(&rounds, &winners).await;
}

/// For each fact the two transactions that stored its callback. The one that recorded the job is
/// said to have settled.
async fn told_twice(ring: &Ring) -> Vec<Round> {
    let rows = sqlx::query!(
        r#"
        select i.fact_key as "fact_key!", i.signature <> lower(i.signature) as "second!", r.job_id,
            i.xmin = r.xmin as "recorded!", i.xmin::text as "xid!", i.received_at - s.shift as "began!",
            pg_xact_commit_timestamp(i.xmin) as "committed!"
        from ipn_inbox i join request r on r.kind = 'deposit-credit' and r.key = i.fact_key cross join clock_shift s
        order by i.fact_key, i.signature <> lower(i.signature)
        "#
    );
    let rows = rows.fetch_all(&ring.db.owner).await.unwrap();
    let turns = rows.into_iter().map(|row| {
        let said = if row.recorded { "settled" } else { "replayed" }.to_owned();
        let process = if row.second { "the other" } else { "one" }.to_owned();
        let (job, xid, began, committed) = (row.job_id, row.xid, row.began, row.committed);
        let turn = Turn { job, said, attempts: 1, xid, process, began, committed };
        (row.fact_key, row.second, turn)
    });
    let turns: Vec<(String, bool, Turn)> = turns.collect();
    let paired = turns.chunks(2).map(|pair| match pair {
        [(one, false, first), (two, true, second)] if one == two => Round([first.clone(), second.clone()]),
        _ => panic!("a callback is not stored by both: {pair:?}"),
    });
    paired.collect()
}
