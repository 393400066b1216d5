//! The money of a paid trade, and who gets it.

use jobs::AnyJob;

use super::ring::Ring;
use super::stage::{Deal, Wallet, ask, wallet};
use crate::harness::{cancel, refund, release, undo};

/// Releases every trade and lets something else happen to it at the same time. `refused` is what
/// each side is told that comes second; `otherwise` is what the seller has where the release lost.
async fn against_release(
    name: &'static str,
    other: (&'static str, fn(i64, i64) -> AnyJob),
    refused: [&str; 2],
    otherwise: Wallet,
) {
    let ring = Ring::new(name, ["release", other.0]).await;
    let deals = ring.paid_deals().await;
    let asks = deals
        .iter()
        .map(|Deal { trade, seller, buyer }| [ask(&release(*trade, *seller)), ask(&other.1(*trade, *buyer))]);
    let rounds = ring.fight_over(asks.collect()).await;
    let winners: Vec<usize> = rounds.iter().map(|round| round.one_winner(refused)).collect();
    let sellers = ring.wallets(deals.iter().map(|deal| deal.seller)).await;
    let buyers = ring.wallets(deals.iter().map(|deal| deal.buyer)).await;
    for (winner, has) in winners.iter().zip(sellers.into_iter().zip(buyers)) {
        let released = (wallet(40_000_000, 0), wallet(49_800_000, 0));
        assert_eq!(has, if *winner == 0 { released } else { (otherwise, wallet(0, 0)) });
    }
    let fees = winners.iter().filter(|winner| **winner == 0).count() * 200_000;
    assert_eq!(ring.db.house("btc", "fee").await, format!("{}.{:08}", fees / 100_000_000, fees % 100_000_000));
    ring.over(&rounds, &winners).await;
}

#[tokio::test]
async fn release_against_refund() {
    let refused = ["rejected wrong_state refunded", "rejected wrong_state released"];
    against_release("release against refund", ("refund", refund), refused, wallet(90_000_000, 0)).await;
}

/// What was cancelled is given back by a job of its own, which the workers do as well.
#[tokio::test]
async fn release_against_cancel() {
    let refused = ["rejected wrong_state cancelled", "rejected wrong_state released"];
    against_release("release against cancel", ("cancel", cancel), refused, wallet(90_000_000, 0)).await;
}

/// The buyer takes the payment back: then there is nothing to release, and the money stays held.
#[tokio::test]
async fn release_against_undo() {
    let refused = ["rejected wrong_state awaiting_payment", "rejected wrong_state released"];
    against_release("release against undo", ("undo", undo), refused, wallet(40_000_000, 50_000_000)).await;
}
