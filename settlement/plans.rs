//! How old the plans of a worker's connections may become.

use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;

/// A batch of so many jobs is a large one.
const BULK: usize = 256;

/// While batches are large the queue may grow by a hundred thousand jobs in this time.
const LIFE_IN_BULK: Duration = Duration::from_secs(1);

/// Otherwise: a few milliseconds of planning in so long are nothing.
const LIFE: Duration = Duration::from_secs(30);

/// Of so many connections it is noted at most; a worker has as many as batches in hand.
const CONNECTIONS_MAX: usize = 64;

/// A batch that has grown so much since asks for other plans at once.
const GROWN: usize = 4;

/// When the plans of each connection were last thrown away, and how large the batch was then, by the server's
/// process.
///
/// A connection keeps the plan of a statement as it was best for tables as large as they were. A worker
/// that starts on an empty queue learns to walk through indexes rather than look keys up in them, and
/// would go on doing so, for each key of a batch, when a hundred thousand jobs are due: the server
/// makes other plans only after it has vacuumed.
#[derive(Debug, Default)]
pub(crate) struct Plans(FxHashMap<i32, (Instant, usize)>);

impl Plans {
    /// Whether the plans of a connection are to be thrown away for a batch of so many jobs; it is noted that
    /// they are.
    pub(crate) fn are_old(&mut self, backend: i32, jobs: usize) -> bool {
        let in_bulk = jobs >= BULK;
        let life = if in_bulk { LIFE_IN_BULK } else { LIFE };
        match self.0.get(&backend) {
            Some((since, before)) => {
                let has_grown = in_bulk && jobs >= before.saturating_mul(GROWN);
                if !has_grown && since.elapsed() < life {
                    return false;
                }
            }
            // It has none yet. Connections come and go; of those that are gone nothing is kept for ever.
            None if self.0.len() >= CONNECTIONS_MAX => self.0.clear(),
            None => {}
        }
        self.0.insert(backend, (Instant::now(), jobs)).is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Plans;

    #[test]
    fn each_connection_has_plans_of_its_own() {
        let mut plans = Plans::default();
        assert!(!plans.are_old(1, 1000), "it has none yet");
        assert!(!plans.are_old(1, 1000));
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2));
        plans.0.extend(long_ago.map(|since| (1, (since, 1000))));
        assert!(!plans.are_old(2, 1000));
        assert!(!plans.are_old(1, 100), "what is used for small batches may be older");
        assert!(plans.are_old(1, 1000));
        assert!(!plans.are_old(1, 1000));
    }

    #[test]
    fn a_burst_is_not_waited_for() {
        let mut plans = Plans::default();
        assert!(!plans.are_old(1, 2));
        assert!(!plans.are_old(1, 20), "that is no burst");
        assert!(plans.are_old(1, 300));
        assert!(!plans.are_old(1, 1000));
        assert!(plans.are_old(1, 1200));
    }
}
