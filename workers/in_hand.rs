//! What a worker has in hand at once, and the note of it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Batches that a worker has in hand at once: one is stored and committed while the next is read and
/// foreseen.
pub(crate) const BATCHES: u16 = 2;

/// The jobs that are in hand.
#[derive(Clone, Debug)]
pub(crate) struct InHand {
    room: Arc<Semaphore>,
    batches: Arc<Mutex<Vec<Arc<[i64]>>>>,
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
    pub(crate) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(BATCHES.into())), batches: Arc::default() }
    }

    /// Waits for room for a batch.
    pub(crate) async fn one(&self) -> Result<Held, AcquireError> {
        self.room(1).await
    }

    /// Waits until nothing is in hand, and takes all room.
    pub(crate) async fn alone(&self) -> Result<Held, AcquireError> {
        self.room(BATCHES).await
    }

    async fn room(&self, batches: u16) -> Result<Held, AcquireError> {
        let room = Arc::clone(&self.room).acquire_many_owned(batches.into()).await?;
        Ok(Held { jobs: Arc::default(), hand: self.clone(), _room: room })
    }
}

impl Held {
    /// Takes jobs in hand; answers with everything that is in hand now.
    pub(crate) fn take(&mut self, jobs: Vec<i64>) -> Vec<i64> {
        self.jobs = jobs.into();
        let mut batches = self.hand.batches.lock().unwrap_or_else(PoisonError::into_inner);
        batches.push(Arc::clone(&self.jobs));
        batches.iter().flat_map(|batch| batch.iter().copied()).collect()
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

    use std::time::Duration;

    use tokio::time::timeout;

    use super::InHand;

    #[tokio::test]
    async fn what_is_in_hand_is_noted_until_it_is_let_go() {
        let hand = InHand::new();
        let mut first = hand.one().await.unwrap();
        assert_eq!(first.take(vec![1, 2]), [1, 2]);
        let mut second = hand.one().await.unwrap();
        assert_eq!(second.take(vec![3]), [1, 2, 3]);
        drop(first);
        let mut third = hand.one().await.unwrap();
        assert_eq!(third.take(vec![4]), [3, 4]);
    }

    #[tokio::test]
    async fn a_suspect_is_taken_with_nothing_else_in_hand() {
        let hand = InHand::new();
        let batch = hand.one().await.unwrap();
        assert!(timeout(Duration::ZERO, hand.alone()).await.is_err());
        drop(batch);
        let suspect = timeout(Duration::ZERO, hand.alone()).await.unwrap();
        assert!(timeout(Duration::ZERO, hand.one()).await.is_err());
        drop(suspect);
    }
}
