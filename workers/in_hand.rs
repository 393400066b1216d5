//! What a worker has in hand at once, and the note of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Batches that a worker has in hand at once at most: one is committed while the next is stored as foreseen and
/// one more is read.
pub(crate) const BATCHES: u16 = 3;

/// All room there is. A full batch takes it where other workers are about and there is to be less in hand then.
const ROOM: u32 = 6;
/// What a batch takes of it where no other worker is about and batches are full: there are three.
const A_THIRD: u32 = 2;
/// And otherwise: there are two. The more batches are in hand anywhere, the more jobs wait for one that is in another
/// of them, and come back for nothing; and where not much is due, a third one makes all of them smaller.
const A_HALF: u32 = 3;

/// The jobs that are in hand.
#[derive(Clone, Debug)]
pub(crate) struct InHand {
    room: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Arc<[i64]>>>>,
    noting: Arc<tokio::sync::Mutex<()>>,
    /// Whether other workers are about.
    others: Arc<AtomicBool>,
    /// Whether the last batch was full.
    is_full: Arc<AtomicBool>,
    /// Whether there is to be less in hand where other workers are about.
    less_in_company: bool,
}

/// Room for a batch, or for a suspect, which is taken with nothing else in hand. It is free again when this
/// is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    jobs: Arc<[i64]>,
    hand: InHand,
    _room: OwnedSemaphorePermit,
}

impl InHand {
    pub(crate) fn new(less_in_company: bool) -> Self {
        let room = usize::try_from(ROOM).unwrap_or(usize::MAX);
        Self {
            room: Arc::new(Semaphore::new(room)),
            batches: Arc::default(),
            noting: Arc::default(),
            others: Arc::default(),
            is_full: Arc::default(),
            less_in_company,
        }
    }

    /// Whether other workers are about.
    pub(crate) fn company(&self, others: bool) {
        self.others.store(others, Ordering::Relaxed);
    }

    /// Whether the last batch was as large as it may be.
    pub(crate) fn full(&self, is_full: bool) {
        self.is_full.store(is_full, Ordering::Relaxed);
    }

    /// Waits for room for a batch.
    pub(crate) async fn one(&self) -> Result<Held, AcquireError> {
        let room = match (self.is_full.load(Ordering::Relaxed), self.others.load(Ordering::Relaxed)) {
            (true, false) => A_THIRD,
            (true, true) if self.less_in_company => ROOM,
            (true, true) | (false, _) => A_HALF,
        };
        self.room(room).await
    }

    /// Waits until nothing is in hand, and takes all room.
    pub(crate) async fn alone(&self) -> Result<Held, AcquireError> {
        self.room(ROOM).await
    }

    /// Has `note` note everything that is in hand when its turn comes. One note after the other: a later one lacks
    /// nothing that an earlier one has and is still held.
    pub(crate) async fn noted<R>(&self, note: impl AsyncFnOnce(Vec<i64>) -> R) -> R {
        let _turn = self.noting.lock().await;
        note(self.jobs()).await
    }

    /// Everything that is in hand now.
    fn jobs(&self) -> Vec<i64> {
        let batches = self.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.iter().flat_map(|batch| batch.iter().copied()).collect()
    }

    async fn room(&self, room: u32) -> Result<Held, AcquireError> {
        let room = Arc::clone(&self.room).acquire_many_owned(room).await?;
        Ok(Held { jobs: Arc::default(), hand: self.clone(), _room: room })
    }
}

impl Held {
    /// Takes jobs in hand.
    pub(crate) fn take(&mut self, jobs: Vec<i64>) {
        self.jobs = jobs.into();
        self.hand.batches.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&self.jobs));
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut batches = self.hand.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.retain(|batch| !Arc::ptr_eq(batch, &self.jobs));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::pin::pin;
    use std::time::Duration;

    use tokio::sync::oneshot;
    use tokio::time::timeout;

    use super::InHand;

    #[tokio::test]
    async fn what_is_in_hand_is_noted_until_it_is_let_go() {
        let hand = InHand::new(false);
        let mut first = hand.one().await.unwrap();
        first.take(vec![1, 2]);
        assert_eq!(hand.jobs(), [1, 2]);
        let mut second = hand.one().await.unwrap();
        second.take(vec![3]);
        assert_eq!(hand.jobs(), [1, 2, 3]);
        drop(first);
        let mut third = hand.one().await.unwrap();
        third.take(vec![4]);
        assert_eq!(hand.jobs(), [3, 4]);
    }

    #[tokio::test]
    async fn notes_are_made_one_after_the_other_and_none_is_older_than_the_one_before() {
        let hand = InHand::new(false);
        let mut first = hand.one().await.unwrap();
        first.take(vec![1]);
        let (go, may_go) = oneshot::channel();
        let mut slow = pin!(hand.noted(async |jobs| {
            may_go.await.unwrap();
            jobs
        }));
        assert!(timeout(Duration::ZERO, slow.as_mut()).await.is_err());
        let mut next = pin!(hand.noted(async |jobs| jobs));
        assert!(timeout(Duration::ZERO, next.as_mut()).await.is_err(), "one is being made");
        let mut second = hand.one().await.unwrap();
        second.take(vec![2]);
        go.send(()).unwrap();
        assert_eq!(slow.await, [1]);
        assert_eq!(next.await, [1, 2], "it has what was taken while it waited");
    }

    #[tokio::test]
    async fn a_suspect_is_taken_with_nothing_else_in_hand() {
        let hand = InHand::new(false);
        let batch = hand.one().await.unwrap();
        assert!(timeout(Duration::ZERO, hand.alone()).await.is_err());
        drop(batch);
        let suspect = timeout(Duration::ZERO, hand.alone()).await.unwrap();
        assert!(timeout(Duration::ZERO, hand.one()).await.is_err());
        drop(suspect);
    }

    #[tokio::test]
    async fn there_is_less_in_hand_where_others_are_about() {
        let hand = InHand::new(false);
        let most = async |hand: &InHand| {
            let mut held = Vec::new();
            while let Ok(one) = timeout(Duration::ZERO, hand.one()).await {
                held.push(one.unwrap());
            }
            held
        };
        assert_eq!(most(&hand).await.len(), 2, "nobody knows how much is due");
        hand.full(true);
        assert_eq!(most(&hand).await.len(), 3);
        hand.company(true);
        let two = most(&hand).await;
        assert_eq!(two.len(), 2);
        hand.company(false);
        assert!(most(&hand).await.is_empty(), "what is in hand stays until it is let go");
        drop(two);
        assert_eq!(most(&hand).await.len(), 3);
        let hand = InHand::new(true);
        hand.company(true);
        assert_eq!(most(&hand).await.len(), 2, "small batches leave cores idle");
        hand.full(true);
        assert_eq!(most(&hand).await.len(), 1);
    }
}
