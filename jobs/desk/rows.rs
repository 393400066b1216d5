use std::collections::hash_map::Entry;
use std::hash::Hash;

use rustc_hash::FxHashMap;

/// The rows of one table that a batch has loaded, and what it did to them.
///
/// Every change is journalled, so that a job that does not settle leaves no trace. Only a table that
/// [`each_table`](crate::each_table) declares has rows: elsewhere nobody would undo them or store them.
///
/// ```compile_fail
/// let kept_by_a_kind = jobs::Rows::<i64, i64>::empty();
/// ```
#[derive(Clone, Debug)]
pub struct Rows<K, V> {
    rows: FxHashMap<K, Row<V>>,
    journal: Vec<(K, Option<Row<V>>)>,
}

#[derive(Clone, Debug)]
struct Row<V> {
    value: V,
    change: Change,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    Loaded,
    Updated,
    Inserted,
}

/// The changed rows of a table, each list in the order of the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed<'a, K, V> {
    /// Rows that are new.
    pub inserted: Vec<(&'a K, &'a V)>,
    /// Rows that were there and are different now.
    pub updated: Vec<(&'a K, &'a V)>,
}

impl<K: Clone + Eq + Hash + Ord, V: Clone> Rows<K, V> {
    /// No rows yet.
    pub(super) fn empty() -> Self {
        Self { rows: FxHashMap::default(), journal: Vec::new() }
    }

    /// Takes in a row as it is stored. The first one loaded for a key stands.
    pub fn load(&mut self, key: K, value: V) {
        if let Entry::Vacant(place) = self.rows.entry(key) {
            place.insert(Row { value, change: Change::Loaded });
        }
    }

    /// The row as it stands now.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.rows.get(key).map(|row| &row.value)
    }

    /// Whether this batch made the row.
    pub fn is_new(&self, key: &K) -> bool {
        self.rows.get(key).is_some_and(|row| row.change == Change::Inserted)
    }

    /// Adds a row that does not exist yet. If it does, nothing happens and the answer is false.
    #[must_use]
    pub fn insert(&mut self, key: K, value: V) -> bool {
        match self.rows.entry(key) {
            Entry::Occupied(_) => false,
            Entry::Vacant(place) => {
                self.journal.push((place.key().clone(), None));
                place.insert(Row { value, change: Change::Inserted });
                true
            }
        }
    }

    /// Changes a row that exists. If it does not, nothing happens and the answer is false.
    #[must_use]
    pub fn update(&mut self, key: &K, change: impl FnOnce(&mut V)) -> bool {
        let Some(row) = self.rows.get_mut(key) else {
            return false;
        };
        self.journal.push((key.clone(), Some(row.clone())));
        change(&mut row.value);
        if row.change == Change::Loaded {
            row.change = Change::Updated;
        }
        true
    }

    /// A moment to go back to.
    pub(super) fn mark(&self) -> usize {
        self.journal.len()
    }

    /// Undoes every change since the mark.
    pub(super) fn undo(&mut self, mark: usize) {
        while self.journal.len() > mark {
            match self.journal.pop() {
                Some((key, Some(before))) => drop(self.rows.insert(key, before)),
                Some((key, None)) => drop(self.rows.remove(&key)),
                None => break,
            }
        }
    }

    /// What is to be stored.
    pub fn changed(&self) -> Changed<'_, K, V> {
        let mut changed = Changed { inserted: Vec::new(), updated: Vec::new() };
        if self.journal.is_empty() {
            return changed;
        }
        for (key, row) in &self.rows {
            match row.change {
                Change::Loaded => {}
                Change::Updated => changed.updated.push((key, &row.value)),
                Change::Inserted => changed.inserted.push((key, &row.value)),
            }
        }
        changed.inserted.sort_by_key(|(key, _)| *key);
        changed.updated.sort_by_key(|(key, _)| *key);
        changed
    }
}

/// The rows that a batch appends to a table, each once under a key: none of them is ever loaded or changed.
#[derive(Clone, Debug)]
pub struct Log<K, V>(Rows<K, V>);

impl<K: Clone + Eq + Hash + Ord, V: Clone> Log<K, V> {
    /// No rows yet.
    pub(super) fn empty() -> Self {
        Self(Rows::empty())
    }

    /// Adds a row. If there is one under this key already, nothing happens and the answer is false.
    #[must_use]
    pub fn append(&mut self, key: K, row: V) -> bool {
        self.0.insert(key, row)
    }

    /// A moment to go back to.
    pub(super) fn mark(&self) -> usize {
        self.0.mark()
    }

    /// Undoes every change since the mark.
    pub(super) fn undo(&mut self, mark: usize) {
        self.0.undo(mark);
    }

    /// What is to be stored, in the order of the keys.
    pub fn appended(&self) -> Vec<(&K, &V)> {
        self.0.changed().inserted
    }
}
