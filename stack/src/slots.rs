//! Tables whose memory comes back: a thousand connections that are over cost no more than none.

use core::hash::Hash;
use core::ops::{Deref, DerefMut};
use std::collections::{HashMap, VecDeque};

use slab::Slab;

use crate::growth::room;
use crate::random::TableHash;

/// A slab that gives memory back when what it held is gone: all at once when it is empty, and the end of it beyond the
/// last entry when it has become much too large.
#[derive(Clone, Debug)]
pub(crate) struct Slots<T> {
    slab: Slab<T>,
    /// Entries taken out since it last looked at its size.
    removed: usize,
}

/// Room for so many is kept.
const KEPT: usize = 64;
/// A slab is looked at each time that this part of it was taken out, so that looking costs a bounded price for each.
const SHARE: usize = 64;

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Slots::new()
    }
}

impl<T> Slots<T> {
    /// An empty table.
    pub(crate) fn new() -> Self {
        Slots { slab: Slab::new(), removed: 0 }
    }

    /// Puts an entry in, and says where.
    pub(crate) fn insert(&mut self, entry: T) -> usize {
        if self.slab.len() == self.slab.capacity() {
            self.slab.reserve_exact(room(self.slab.len()));
        }
        self.slab.insert(entry)
    }

    /// Takes out the entry at `index`, if there is one.
    pub(crate) fn try_remove(&mut self, index: usize) -> Option<T> {
        let entry = self.slab.try_remove(index)?;
        self.removed += 1;
        let capacity = self.slab.capacity();
        if capacity > KEPT {
            if self.slab.is_empty() {
                *self = Slots::new();
            } else if self.slab.len() < capacity / 4 && self.removed > capacity / SHARE {
                self.slab.shrink_to_fit();
                // Where the last entry stays there was nothing to do but to see that, and the next one out may be it.
                if self.slab.capacity() < capacity {
                    self.removed = 0;
                }
            }
        }
        Some(entry)
    }
}

impl<T> Deref for Slots<T> {
    type Target = Slab<T>;

    fn deref(&self) -> &Slab<T> {
        &self.slab
    }
}

impl<T> DerefMut for Slots<T> {
    fn deref_mut(&mut self) -> &mut Slab<T> {
        &mut self.slab
    }
}

/// Gives back what a map that has become small does not need. To be called when something was taken out.
pub(crate) fn slim_map<K: Eq + Hash, V>(map: &mut HashMap<K, V, TableHash>) {
    if map.capacity() > 2 * KEPT && map.len() < map.capacity() / 8 {
        map.shrink_to(map.len() * 2);
    }
}

/// Gives back what a queue that has run empty does not need.
pub(crate) fn slim_queue<T>(queue: &mut VecDeque<T>) {
    if queue.is_empty() && queue.capacity() > QUEUE_KEPT {
        queue.shrink_to(KEPT);
    }
}

/// Queues fill and run empty all the time: room for so many is kept.
const QUEUE_KEPT: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_table_keeps_nothing() {
        let mut table = Slots::new();
        for _ in 0..10_000 {
            table.insert(0u64);
        }
        for index in 0..10_000 {
            assert_eq!(table.try_remove(index), Some(0));
        }
        assert_eq!((table.try_remove(0), table.capacity()), (None, 0));
        assert_eq!(table.insert(1), 0);
    }

    #[test]
    fn a_table_that_is_much_too_large_loses_its_end() {
        let mut table = Slots::new();
        for _ in 0..10_000 {
            table.insert(0u64);
        }
        for index in (10..10_000).rev() {
            table.try_remove(index);
        }
        assert!(table.capacity() < 1000, "{}", table.capacity());
        assert_eq!((table.len(), table.insert(1)), (10, 10));
        // An entry at the end keeps what is before it.
        let mut table = Slots::new();
        for _ in 0..10_000 {
            table.insert(0u64);
        }
        for index in 0..9999 {
            table.try_remove(index);
        }
        assert_eq!(table.get(9999), Some(&0));
        // Whichever is taken out first.
        let mut table = Slots::new();
        for _ in 0..10_000 {
            table.insert(0u64);
        }
        for index in 1..10_000 {
            table.try_remove(index);
        }
        assert!(table.capacity() < 1000, "{}", table.capacity());
    }
}
