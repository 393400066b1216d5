//! What somebody has available, and who gets at it first.

use jobs::{AnyJob, Tier, UserFlag};
use outbox::Ask;

use super::ring::Ring;
use super::rounds::Round;
use super::stage::{ask, ask_by, flag, wallet};
use crate::harness::{approve, call_off, lock, withdraw};

/// Amount and fee of a withdrawal of 0.03.
const WITHDRAWN: i64 = 3_002_000;
const FUNDED: i64 = 5_000_000;

const REFUSED: [&str; 2] = ["rejected insufficient_funds"; 2];

#[tokio::test]
async fn two_withdrawals_of_one_balance() {
    let ring = Ring::new("two withdrawals of one balance", ["one", "the other"]).await;
    let people = ring.known("0.05").await;
    let asks = people.iter().map(|user| [(), ()].map(|()| ask(&withdraw(*user, "btc", "0.03"))));
    let rounds = ring.fight_over(asks.collect()).await;
    let winners: Vec<usize> = rounds.iter().map(|round| round.one_winner(REFUSED)).collect();
    for has in ring.wallets(people.into_iter()).await {
        assert_eq!(has, wallet(FUNDED - WITHDRAWN, WITHDRAWN));
    }
    ring.over(&rounds, &winners).await;
}

/// There is enough for both, and the day's limit is for one.
#[tokio::test]
async fn two_withdrawals_of_one_day() {
    let ring = Ring::new("two withdrawals of one day", ["one", "the other"]).await;
    ring.db.sql("update kyc_limit set day_max = 3000000").await;
    let people = ring.known("0.09").await;
    let asks = people.iter().map(|user| [(), ()].map(|()| ask(&withdraw(*user, "btc", "0.03"))));
    let rounds = ring.fight_over(asks.collect()).await;
    let winners: Vec<usize> = rounds.iter().map(|round| round.one_winner(["rejected kyc_limit"; 2])).collect();
    for has in ring.wallets(people.into_iter()).await {
        assert_eq!(has, wallet(9_000_000 - WITHDRAWN, WITHDRAWN));
    }
    ring.over(&rounds, &winners).await;
}

#[tokio::test]
async fn withdrawal_against_lock() {
    let ring = Ring::new("withdrawal against lock-escrow", ["withdrawal", "lock"]).await;
    let (people, buyers) = (ring.known("0.05").await, ring.people().await);
    let asks = people
        .iter()
        .zip(buyers)
        .map(|(user, buyer)| [ask(&withdraw(*user, "btc", "0.03")), ask(&lock(*user, buyer, "btc", "0.03"))]);
    let rounds = ring.fight_over(asks.collect()).await;
    let winners: Vec<usize> = rounds.iter().map(|round| round.one_winner(REFUSED)).collect();
    for (winner, has) in winners.iter().zip(ring.wallets(people.into_iter()).await) {
        let held = if *winner == 0 { WITHDRAWN } else { 3_000_000 };
        assert_eq!(has, wallet(FUNDED - held, held));
    }
    ring.over(&rounds, &winners).await;
}

/// Who came first, where the first side settles always and the second one only if it came first.
fn first_of(round: &Round, refused: &str) -> usize {
    match (round.first(), round.said()) {
        (0, ["settled", told]) if told == refused => 0,
        (1, ["settled", "settled"]) => 1,
        _ => panic!("neither order explains this: {round:?}"),
    }
}

/// Until it is on its way, the person may call a withdrawal off that was approved; one that was
/// called off is not approved any more. In either order the money is back.
#[tokio::test]
async fn cancel_against_approval() {
    let ring = Ring::new("cancel against approval", ["cancel", "approval"]).await;
    let people = ring.known("0.05").await;
    let withdrawals = ring.withdrawals(&people).await;
    let operator = ring.db.another_operator().await;
    let hashes = sqlx::query_scalar!(
        r#"select encode(content_hash, 'hex') as "hash!" from withdrawal where id = any ($1) order by id"#,
        &withdrawals
    );
    let hashes = hashes.fetch_all(&ring.db.owner).await.unwrap();
    assert!(withdrawals.is_sorted() && hashes.len() == withdrawals.len());
    let asks = withdrawals.iter().zip(&people).zip(&hashes).map(|((withdrawal, user), hash)| {
        [ask(&call_off(*withdrawal, *user)), ask_by(operator, &approve(*withdrawal, hash))]
    });
    let rounds = ring.fight_over(asks.collect()).await;
    let winners: Vec<usize> = rounds.iter().map(|round| first_of(round, "rejected wrong_state cancelled")).collect();
    for has in ring.wallets(people.into_iter()).await {
        assert_eq!(has, wallet(FUNDED, 0));
    }
    let left = sqlx::query_scalar!(
        r#"
        select (select count(*) from withdrawal where state <> 'cancelled' or closed_at is null)
            + (select count(*) from (
                select distinct on (user_id, asset, day) used from withdrawal_day order by user_id, asset, day, version desc
            ) d where used <> 0) as "n!"
        "#
    );
    assert_eq!(left.fetch_one(&ring.db.owner).await.unwrap(), 0, "all are cancelled and use nothing of the day");
    let approved = sqlx::query_scalar!(r#"select count(*) as "n!" from approval"#).fetch_one(&ring.db.owner).await;
    let came_first = winners.iter().filter(|winner| **winner == 1).count();
    assert_eq!(usize::try_from(approved.unwrap()).unwrap(), came_first);
    ring.over(&rounds, &winners).await;
}

/// An operator freezes somebody who withdraws at the same time.
#[tokio::test]
async fn freeze_against_withdrawal() {
    let ring = Ring::new("freeze against withdrawal", ["freeze", "withdrawal"]).await;
    let people = ring.known("0.05").await;
    let operator = ring.db.another_operator().await;
    let freeze = |user: i64| AnyJob::UserFlag(UserFlag { frozen: Some(true), ..flag(user) });
    let asks: Vec<[Ask; 2]> =
        people.iter().map(|user| [ask_by(operator, &freeze(*user)), ask(&withdraw(*user, "btc", "0.03"))]).collect();
    let rounds = ring.fight_over(asks).await;
    let winners: Vec<usize> = rounds.iter().map(|round| first_of(round, "rejected user_frozen")).collect();
    for (winner, has) in winners.iter().zip(ring.wallets(people.into_iter()).await) {
        let held = if *winner == 0 { 0 } else { WITHDRAWN };
        assert_eq!(has, wallet(FUNDED - held, held));
    }
    ring.over(&rounds, &winners).await;
}

/// Two operators set different things on one person: neither undoes what the other one did.
#[tokio::test]
async fn two_flags_of_one_person() {
    let ring = Ring::new("two flags of one person", ["freeze", "tier"]).await;
    let people = ring.funded("0.05").await;
    let operators = [ring.db.another_operator().await, ring.db.another_operator().await];
    let asks = people.iter().map(|user| {
        let freeze = AnyJob::UserFlag(UserFlag { frozen: Some(true), ..flag(*user) });
        let favour = AnyJob::UserFlag(UserFlag { tier: Some(Tier::Golden), ..flag(*user) });
        [ask_by(operators[0], &freeze), ask_by(operators[1], &favour)]
    });
    let rounds = ring.fight_over(asks.collect()).await;
    for round in &rounds {
        assert_eq!(round.said(), ["settled", "settled"]);
    }
    let both = sqlx::query_scalar!(r#"select count(*) as "n!" from app_user where frozen and tier = 'golden'"#);
    assert_eq!(usize::try_from(both.fetch_one(&ring.db.owner).await.unwrap()).unwrap(), people.len());
    let winners: Vec<usize> = rounds.iter().map(Round::first).collect();
    ring.over(&rounds, &winners).await;
}
