//! Entries by number, some of them in a list: entering it, leaving it from anywhere and taking its first are O(1).

use std::collections::BTreeSet;

/// The most keys that one instance watches; a table of descriptors has no more (`fs.nr_open`).
pub const EPOLL_WATCHES_MAX: usize = 1 << 20;

/// So few slots are not worth shrinking.
const SHRINK_ABOVE: usize = 64;

/// No entry.
const NIL: u32 = u32::MAX;

/// A slot: free, or an entry with its neighbours in the list.
struct Slot<T> {
    entry: T,
    place: Place,
}

#[derive(Copy, Clone, Eq, PartialEq)]
enum Place {
    Out,
    In { before: u32, after: u32 },
}

/// Whether an entry came to the list or was there.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) enum Linked {
    Now,
    Before,
}

/// The entries and the list.
pub(super) struct Slots<T> {
    slots: Vec<Option<Slot<T>>>,
    /// The lowest is taken first, so that the end is free again when few are left.
    free: BTreeSet<u32>,
    first: u32,
    last: u32,
    linked: usize,
}

impl<T> Slots<T> {
    pub(super) fn new() -> Self {
        Slots { slots: Vec::new(), free: BTreeSet::new(), first: NIL, last: NIL, linked: 0 }
    }

    /// Puts an entry somewhere, outside of the list.
    pub(super) fn insert(&mut self, entry: T) -> u32 {
        let slot = Some(Slot { entry, place: Place::Out });
        match self.free.pop_first() {
            Some(number) => {
                self.slots[number as usize] = slot;
                number
            }
            None => {
                self.slots.push(slot);
                (self.slots.len() - 1) as u32
            }
        }
    }

    /// Removes an entry, from the list as well.
    pub(super) fn remove(&mut self, number: u32) {
        self.unlink(number);
        self.slots[number as usize] = None;
        self.free.insert(number);
        self.shrink();
    }

    /// Gives memory back once the high numbers are free again.
    fn shrink(&mut self) {
        while let Some(None) = self.slots.last() {
            self.slots.pop();
            self.free.remove(&(self.slots.len() as u32));
        }
        if self.slots.capacity() > SHRINK_ABOVE && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }

    /// The entry of a number that `insert` gave and nobody removed.
    pub(super) fn entry(&self, number: u32) -> &T {
        &self.slot(number).entry
    }

    /// As [`entry`](Self::entry), to change it.
    pub(super) fn entry_mut(&mut self, number: u32) -> &mut T {
        &mut self.slot_mut(number).entry
    }

    /// All entries.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten().map(|slot| &slot.entry)
    }

    /// Those in the list, in its order.
    pub(super) fn iter_linked(&self) -> impl Iterator<Item = &T> {
        let after = |number: &u32| match self.slot(*number).place {
            Place::In { after, .. } => (after != NIL).then_some(after),
            Place::Out => None,
        };
        core::iter::successors(self.first(), after).map(|number| self.entry(number))
    }

    /// The first of the list.
    pub(super) fn first(&self) -> Option<u32> {
        (self.first != NIL).then_some(self.first)
    }

    /// How many are in the list.
    pub(super) fn linked(&self) -> usize {
        self.linked
    }

    /// Puts an entry at the end of the list, unless it is in it.
    pub(super) fn link(&mut self, number: u32) -> Linked {
        if self.slot(number).place != Place::Out {
            return Linked::Before;
        }
        let before = self.last;
        self.slot_mut(number).place = Place::In { before, after: NIL };
        self.set_after(before, number);
        self.last = number;
        self.linked += 1;
        Linked::Now
    }

    /// Takes an entry out of the list.
    pub(super) fn unlink(&mut self, number: u32) {
        let Place::In { before, after } = self.slot(number).place else { return };
        self.slot_mut(number).place = Place::Out;
        self.set_after(before, after);
        self.set_before(after, before);
        self.linked -= 1;
    }

    /// Takes the first out of the list.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let number = self.first()?;
        self.unlink(number);
        Some(number)
    }

    fn set_after(&mut self, number: u32, value: u32) {
        match number {
            NIL => self.first = value,
            _ => {
                if let Place::In { after, .. } = &mut self.slot_mut(number).place {
                    *after = value;
                }
            }
        }
    }

    fn set_before(&mut self, number: u32, value: u32) {
        match number {
            NIL => self.last = value,
            _ => {
                if let Place::In { before, .. } = &mut self.slot_mut(number).place {
                    *before = value;
                }
            }
        }
    }

    fn slot(&self, number: u32) -> &Slot<T> {
        self.slots[number as usize].as_ref().expect("the number is of an entry")
    }

    fn slot_mut(&mut self, number: u32) -> &mut Slot<T> {
        self.slots[number as usize].as_mut().expect("the number is of an entry")
    }
}
