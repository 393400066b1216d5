//! How many statements a batch takes: as many as its kinds need, however many jobs it has.

use expect_test::expect;
use settlement::Report;

use crate::harness::{Db, Statements, lock, mark_paid, payment, refund, register, release};

/// One job and a hundred take the same number of statements, and so do the large batches, which are foreseen and
/// copied; a copy is not counted.
#[tokio::test]
async fn a_batch_of_five_hundred_takes_the_statements_of_a_smaller_one() {
    let mut counts = Vec::new();
    for size in [1_usize, 100, 300, 500] {
        let db = Db::new().await;
        let [seller, buyer] = db.people().await;
        db.fund(seller, "btc", "0.9").await;
        db.ask_all(&vec![lock(seller, buyer, "btc", "0.0001"); size]).await;
        let settler = db.settler().await;
        let mut statements = Statements::watch();
        let batch = settler.claim().await.unwrap().unwrap();
        assert_eq!(batch.len(), size);
        assert_eq!(settler.settle(batch).await.unwrap().settled, u64::try_from(size).unwrap());
        counts.push(statements.since());
        db.verified().await;
    }
    assert_eq!((counts[0], counts[2]), (counts[1], counts[3]), "{counts:?}");
}

/// So do one job of each kind and ten, and fifty and eighty-four, which are foreseen.
#[tokio::test]
async fn a_batch_of_every_kind_takes_the_same_statements_at_any_size() {
    let mut counts = Vec::new();
    for size in [1_usize, 10, 50, 84] {
        let db = Db::new().await;
        let [seller, buyer] = db.people().await;
        db.fund(seller, "btc", "0.9").await;
        let locks = |n: usize| vec![lock(seller, buyer, "btc", "0.0001"); n];
        let trades = db.ask_all(&locks(3 * size)).await;
        db.drain().await;
        for trade in &trades[..size] {
            db.ask(mark_paid(*trade, buyer)).await;
        }
        db.drain().await;
        let (paid, open) = trades.split_at(size);
        let (to_mark, to_refund) = open.split_at(size);
        let mut jobs = locks(size);
        jobs.extend(vec![register(Some(seller)); size]);
        jobs.extend(paid.iter().map(|trade| release(*trade, seller)));
        jobs.extend(to_mark.iter().map(|trade| mark_paid(*trade, buyer)));
        jobs.extend(to_refund.iter().map(|trade| refund(*trade, buyer)));
        let asked = jobs.len() + size;
        for _ in 0..size {
            db.callback(&payment(buyer, "btc", "0.0001")).await;
        }
        let settler = db.settler().await;
        let mut statements = Statements::watch();
        db.ask_all(&jobs).await;
        let to_enqueue = statements.since();
        let batch = settler.claim().await.unwrap().unwrap();
        assert_eq!(batch.len(), asked);
        let to_claim = statements.since();
        let report = settler.settle(batch).await.unwrap();
        counts.push((to_enqueue, to_claim, statements.since()));
        assert_eq!(report, Report { settled: asked.try_into().unwrap(), ..Report::default() });
        db.verified().await;
    }
    assert_eq!((counts[0], counts[2]), (counts[1], counts[3]), "{counts:?}");
    // A savepoint, what is not remembered yet of accounts and of people, and what is not stored together.
    assert_eq!(counts[2].2, counts[0].2 + 5, "{counts:?}");
    expect![[r#"
        (
            2,
            2,
            17,
        )
    "#]]
    .assert_debug_eq(&counts[0]);
}
