//! How old the plans of a worker's connections may become, and whether they are made once or each time.

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

/// With more partitions than this no plan is kept that serves whatever is asked for: it names them all, and each use
/// of it locks them all. From how many on that costs more than planning was not measured.
const PARTITIONS_MAX: i64 = 16;

/// Throws plans away.
const RENEW: &str = "discard plans";
/// The same, and from then on one is made for what is asked for. If the batch is rolled back, so is that; the next
/// time says it again.
const RENEW_EACH: &str = "set plan_cache_mode = auto; discard plans";

/// When the plans of each connection were last thrown away, and how large the batch was then, by the server's
/// process.
///
/// A connection keeps the plan of a statement as it was best for tables as large as they were. A worker
/// that starts on an empty queue learns to walk through indexes rather than look keys up in them, and
/// would go on doing so, for each key of a batch, when a hundred thousand jobs are due: the server
/// makes other plans only after it has vacuumed.
#[derive(Debug, Default)]
pub(crate) struct Plans {
    made: FxHashMap<i32, (Instant, usize)>,
    /// Whether there are more than [`PARTITIONS_MAX`].
    many_partitions: bool,
}

impl Plans {
    /// Takes note of how many partitions there are.
    pub(crate) fn note_partitions(&mut self, partitions: i64) {
        let many = partitions > PARTITIONS_MAX;
        if many != self.many_partitions {
            self.many_partitions = many;
            // No connection is known to plan accordingly.
            self.made.clear();
        }
    }

    /// What a connection is to execute before a batch of so many jobs, where its plans are too old for it. Asked once
    /// for each batch, since it is taken to be executed.
    pub(crate) fn renewal(&mut self, backend: i32, jobs: usize) -> Option<&'static str> {
        let renew = if self.many_partitions { RENEW_EACH } else { RENEW };
        let in_bulk = jobs >= BULK;
        let life = if in_bulk { LIFE_IN_BULK } else { LIFE };
        match self.made.get(&backend) {
            Some((since, before)) => {
                let has_grown = in_bulk && jobs >= before.saturating_mul(GROWN);
                if !has_grown && since.elapsed() < life {
                    return None;
                }
            }
            // It has none yet. Connections come and go; of those that are gone nothing is kept for ever.
            None if self.made.len() >= CONNECTIONS_MAX => self.made.clear(),
            None => {}
        }
        let before = self.made.insert(backend, (Instant::now(), jobs));
        (before.is_some() || self.many_partitions).then_some(renew)
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::{Plans, RENEW, RENEW_EACH};

    #[test]
    fn each_connection_has_plans_of_its_own() {
        let mut plans = Plans::default();
        assert_eq!(plans.renewal(1, 1000), None, "it has none yet");
        assert_eq!(plans.renewal(1, 1000), None);
        let long_ago = Instant::now().checked_sub(Duration::from_secs(2));
        plans.made.extend(long_ago.map(|since| (1, (since, 1000))));
        assert_eq!(plans.renewal(2, 1000), None);
        assert_eq!(plans.renewal(1, 100), None, "what is used for small batches may be older");
        assert_eq!(plans.renewal(1, 1000), Some(RENEW));
        assert_eq!(plans.renewal(1, 1000), None);
    }

    #[test]
    fn a_burst_is_not_waited_for() {
        let mut plans = Plans::default();
        assert_eq!(plans.renewal(1, 2), None);
        assert_eq!(plans.renewal(1, 20), None, "that is no burst");
        assert_eq!(plans.renewal(1, 300), Some(RENEW));
        assert_eq!(plans.renewal(1, 1000), None);
        assert_eq!(plans.renewal(1, 1200), Some(RENEW));
    }

    #[test]
    fn no_plan_names_many_partitions() {
        let mut plans = Plans::default();
        plans.note_partitions(17);
        let each = Some(RENEW_EACH);
        assert_eq!(plans.renewal(1, 2), each, "also of a connection that is new");
        assert_eq!(plans.renewal(1, 2), None);
        assert_eq!(plans.renewal(1, 300), each);
        plans.note_partitions(16);
        assert_eq!(plans.renewal(2, 2), None);
    }
}
