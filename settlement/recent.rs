//! What was seen lately, in memory that has an end.

use std::hash::Hash;

use rustc_hash::FxHashMap;

/// So many keys has a generation: as many as a table of 16,384 places takes before it doubles.
const GENERATION: usize = 14_336;

/// A map of what was put into it lately, at least the last [`GENERATION`] keys and at most twice as many. When the newer
/// generation is full it becomes the older one, and what was only in that is forgotten. The memory that it has taken
/// once is enough for good.
#[derive(Clone, Debug)]
pub(crate) struct Recent<K, V> {
    newer: FxHashMap<K, V>,
    older: FxHashMap<K, V>,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self { newer: FxHashMap::default(), older: FxHashMap::default() }
    }
}

impl<K: Eq + Hash, V> Recent<K, V> {
    /// What was put in last under a key, unless it is forgotten.
    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.newer.get(key).or_else(|| self.older.get(key))
    }

    /// Puts something in, which is then among the newest.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        if self.newer.len() >= GENERATION && !self.newer.contains_key(&key) {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.clear();
        }
        self.newer.insert(key, value);
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.newer.clear();
        self.older.clear();
    }
}

impl<K: Eq + Hash, V> Extend<(K, V)> for Recent<K, V> {
    fn extend<T: IntoIterator<Item = (K, V)>>(&mut self, all: T) {
        for (key, value) in all {
            self.insert(key, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{GENERATION, Recent};

    #[test]
    fn what_is_put_in_again_stays_and_the_rest_is_forgotten() {
        let mut recent = Recent::default();
        for n in 0..3 * GENERATION {
            recent.insert(n, n);
            recent.insert(7, 7 + n);
            assert!(recent.newer.len() <= GENERATION && recent.older.len() <= GENERATION);
        }
        let last = 3 * GENERATION - 1;
        assert_eq!(recent.get(&7), Some(&(7 + last)), "as it was put in last");
        assert_eq!(recent.get(&8), None);
        assert!((last - GENERATION + 2..=last).all(|n| recent.get(&n) == Some(&n)), "the last ones are there");
        recent.clear();
        assert_eq!((recent.get(&7), recent.get(&last)), (None, None));
    }

    #[test]
    fn a_full_generation_has_not_doubled() {
        let mut recent = Recent::default();
        recent.extend((0..GENERATION).map(|n| (n, ())));
        assert_eq!((recent.newer.len(), recent.newer.capacity()), (GENERATION, GENERATION));
    }
}
