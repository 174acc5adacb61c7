//! Deadlines of the entries of a table, in order.

use std::collections::BTreeSet;

use crate::time::Instant;

/// At most one deadline for each entry of a table, by its key. The earliest is at hand without a search.
#[derive(Clone, Debug)]
pub(super) struct Deadlines<K> {
    set: BTreeSet<(Instant, K)>,
    earliest: Option<Instant>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Deadlines { set: BTreeSet::new(), earliest: None }
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    pub(super) fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// Moves an entry's deadline.
    pub(super) fn change(&mut self, key: K, from: Option<Instant>, to: Option<Instant>) {
        if from == to {
            return;
        }
        if let Some(from) = from {
            self.set.remove(&(from, key));
        }
        if let Some(to) = to {
            self.set.insert((to, key));
        }
        self.earliest = self.set.first().map(|(at, _)| *at);
    }

    /// The entry with the earliest deadline, where that has come.
    pub(super) fn due(&self, now: Instant) -> Option<K> {
        self.set.first().filter(|(at, _)| *at <= now).map(|(_, key)| *key)
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.set.len()
    }
}
