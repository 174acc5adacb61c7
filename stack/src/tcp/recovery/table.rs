//! The records of a scoreboard, by their numbers, and those that may still arrive by the time when they were sent last.

use core::ops::{Index, IndexMut};
use std::collections::VecDeque;

use super::record::Record;
use super::scoreboard::MAX_PARTS;

/// Entries that the table keeps room for while nothing is in flight.
const KEPT_CAPACITY: usize = 2;

/// No place.
const NONE: u16 = u16::MAX;

/// The link of a record that does not wait.
const APART: u16 = u16::MAX - 1;

const _: () = assert!(2 * MAX_PARTS < APART as usize, "all places have a number, and grow by doubling");

/// Where a record stands for as long as it is in the table.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(super) struct Place(u16);

/// The records. An index counts them by number; a [`Place`] stays the same, whatever is put in or taken out.
#[derive(Debug)]
pub(super) struct Table {
    slots: Vec<Slot>,
    /// Places in `slots`, by the numbers of their records.
    order: VecDeque<u16>,
    /// The first free place. Each names the next.
    free: u16,
    /// Of the records that wait for news, the one that was sent first, and the one that was sent last.
    oldest: u16,
    newest: u16,
}

#[derive(Debug)]
struct Slot {
    record: Record,
    /// The places of those that were sent just before it and just after it, of those that wait.
    earlier: u16,
    later: u16,
}

impl Table {
    pub(super) const fn new() -> Self {
        Table { slots: Vec::new(), order: VecDeque::new(), free: NONE, oldest: NONE, newest: NONE }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    pub(super) fn get(&self, index: usize) -> Option<&Record> {
        self.order.get(index).map(|place| &self.slots[*place as usize].record)
    }

    pub(super) fn front(&self) -> Option<&Record> {
        self.get(0)
    }

    pub(super) fn back(&self) -> Option<&Record> {
        self.get(self.len().checked_sub(1)?)
    }

    pub(super) fn back_mut(&mut self) -> Option<&mut Record> {
        self.order.back().map(|place| &mut self.slots[*place as usize].record)
    }

    /// The records from `first` on, by number.
    pub(super) fn iter_from(&self, first: usize) -> impl Iterator<Item = &Record> {
        self.order.range(first.min(self.len())..).map(|place| &self.slots[*place as usize].record)
    }

    /// How many records `before` says true of, which it does of none behind the first that it denies.
    pub(super) fn partition_point(&self, mut before: impl FnMut(&Record) -> bool) -> usize {
        self.order.partition_point(|place| before(&self.slots[*place as usize].record))
    }

    /// Puts a record behind all others. It was sent last, and waits.
    pub(super) fn push_back(&mut self, record: Record) {
        if self.order.capacity() == 0 {
            self.order.reserve_exact(KEPT_CAPACITY);
        }
        let place = self.place(record);
        self.order.push_back(place);
        self.link(place, self.newest);
    }

    /// Puts a record behind that at `index`, together with which it was sent.
    pub(super) fn insert_after(&mut self, index: usize, record: Record) {
        let place = self.place(record);
        let before = self.order[index];
        self.order.insert(index + 1, place);
        if self.slots[before as usize].later != APART {
            self.link(place, before);
        }
    }

    /// Takes the record at `index` out.
    pub(super) fn remove(&mut self, index: usize) -> Option<Record> {
        let place = self.order.remove(index)?;
        self.unlink(place);
        let slot = &mut self.slots[place as usize];
        slot.later = core::mem::replace(&mut self.free, place);
        let record = slot.record;
        if self.order.is_empty() && self.slots.len() > KEPT_CAPACITY {
            *self = Table::new();
        }
        Some(record)
    }

    /// The record at `index` waits for news no more: it has arrived, or is held to be lost.
    pub(super) fn settle(&mut self, index: usize) {
        self.unlink(self.order[index]);
    }

    /// The record at `index` was sent again: later than all others.
    pub(super) fn send_again(&mut self, index: usize) {
        let place = self.order[index];
        self.unlink(place);
        self.link(place, self.newest);
    }

    /// The record that was sent first, of those that wait.
    pub(super) fn oldest(&self) -> Option<Place> {
        (self.oldest != NONE).then_some(Place(self.oldest))
    }

    /// The one that was sent next, of those that wait.
    pub(super) fn later(&self, place: Place) -> Option<Place> {
        let later = self.slots[place.0 as usize].later;
        (later < APART).then_some(Place(later))
    }

    pub(super) fn at(&mut self, place: Place) -> &mut Record {
        &mut self.slots[place.0 as usize].record
    }

    /// As [`settle`](Table::settle).
    pub(super) fn settle_at(&mut self, place: Place) {
        self.unlink(place.0);
    }

    /// Has those wait that `waits` says true of, and no others. It costs a sort.
    pub(super) fn wait_anew(&mut self, waits: impl Fn(&Record) -> bool) {
        let mut waiting: Vec<u16> = Vec::new();
        for place in &self.order {
            let slot = &mut self.slots[*place as usize];
            (slot.earlier, slot.later) = (APART, APART);
            if waits(&slot.record) {
                waiting.push(*place);
            }
        }
        // A stable sort: what was sent together stays in the order of its numbers.
        waiting.sort_by(|one, other| {
            let (one, other) = (&self.slots[*one as usize].record, &self.slots[*other as usize].record);
            one.sent_at.cmp(&other.sent_at).then_with(|| (one.order - other.order).cmp(&0))
        });
        (self.oldest, self.newest) = (NONE, NONE);
        for place in waiting {
            self.link(place, self.newest);
        }
    }

    fn place(&mut self, record: Record) -> u16 {
        if self.free == NONE {
            self.grow(record);
        }
        let place = self.free;
        let slot = Slot { record, earlier: APART, later: APART };
        self.free = core::mem::replace(&mut self.slots[place as usize], slot).later;
        place
    }

    /// Makes twice as many places, the new ones free. `filler` stands in them.
    fn grow(&mut self, filler: Record) {
        let (known, more) = (self.slots.len(), self.slots.len().max(KEPT_CAPACITY));
        self.slots.reserve_exact(more);
        for place in known..known + more {
            let later = if place + 1 < known + more { place as u16 + 1 } else { NONE };
            self.slots.push(Slot { record: filler, earlier: APART, later });
        }
        self.free = known as u16;
    }

    /// Puts the record at `place` behind that at `before`, by time; before all others where that is none.
    fn link(&mut self, place: u16, before: u16) {
        let after = if before == NONE { self.oldest } else { self.slots[before as usize].later };
        self.join(before, place);
        self.join(place, after);
    }

    fn unlink(&mut self, place: u16) {
        let Slot { earlier, later, .. } = self.slots[place as usize];
        if later != APART {
            self.join(earlier, later);
            let slot = &mut self.slots[place as usize];
            (slot.earlier, slot.later) = (APART, APART);
        }
    }

    fn join(&mut self, earlier: u16, later: u16) {
        match earlier {
            NONE => self.oldest = later,
            place => self.slots[place as usize].later = later,
        }
        match later {
            NONE => self.newest = earlier,
            place => self.slots[place as usize].earlier = earlier,
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Table::new()
    }
}

impl Index<usize> for Table {
    type Output = Record;

    fn index(&self, index: usize) -> &Record {
        &self.slots[self.order[index] as usize].record
    }
}

impl IndexMut<usize> for Table {
    fn index_mut(&mut self, index: usize) -> &mut Record {
        &mut self.slots[self.order[index] as usize].record
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tcp::recovery::record::Marks;
    use crate::tcp::seq::SeqNumber;
    use crate::time::Instant;

    /// A record that bears a name, and says when it was sent.
    fn record(name: u32, sent: u32) -> Record {
        Record {
            start: SeqNumber::new(name),
            end: SeqNumber::new(name),
            sent_at: Instant::ZERO,
            order: SeqNumber::new(sent),
            delivered: 0,
            delivered_at: 0,
            flight_began: 0,
            by_program: false,
            segments: 1,
            size: 1,
            marks: Marks::default(),
        }
    }

    #[derive(Clone, Debug)]
    enum Op {
        Push,
        Insert(usize),
        Remove(usize),
        Settle(usize),
        SendAgain(usize),
        WaitAnew(u32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => Just(Op::Push),
            2 => (0usize..30).prop_map(Op::Insert),
            3 => (0usize..30).prop_map(Op::Remove),
            2 => (0usize..30).prop_map(Op::Settle),
            2 => (0usize..30).prop_map(Op::SendAgain),
            1 => (1u32..4).prop_map(Op::WaitAnew),
        ]
    }

    /// The names of those that wait, the one sent first first.
    fn waiting(table: &mut Table) -> Vec<u32> {
        let mut names = Vec::new();
        let mut next = table.oldest();
        while let Some(place) = next {
            names.push(table.at(place).start.value());
            next = table.later(place);
        }
        names
    }

    proptest! {
        #[test]
        fn agrees_with_two_lists(ops in proptest::collection::vec(op(), 0..200)) {
            let mut table = Table::new();
            let (mut order, mut times): (Vec<u32>, Vec<u32>) = (Vec::new(), Vec::new());
            for (name, op) in ops.into_iter().enumerate() {
                let name = name as u32;
                let known = |index: &usize| *index < order.len();
                match op {
                    Op::Push => {
                        table.push_back(record(name, name));
                        order.push(name);
                        times.push(name);
                    }
                    Op::Insert(index) if known(&index) => {
                        table.insert_after(index, record(name, table[index].order.value()));
                        if let Some(at) = times.iter().position(|other| *other == order[index]) {
                            times.insert(at + 1, name);
                        }
                        order.insert(index + 1, name);
                    }
                    Op::Remove(index) if known(&index) => {
                        let gone = order.remove(index);
                        prop_assert_eq!(table.remove(index).map(|record| record.start.value()), Some(gone));
                        times.retain(|other| *other != gone);
                    }
                    Op::Settle(index) if known(&index) => {
                        table.settle(index);
                        times.retain(|other| *other != order[index]);
                    }
                    Op::SendAgain(index) if known(&index) => {
                        table[index].order = SeqNumber::new(name);
                        table.send_again(index);
                        times.retain(|other| *other != order[index]);
                        times.push(order[index]);
                    }
                    Op::WaitAnew(share) => {
                        table.wait_anew(|record| record.start.value() % share == 0);
                        let mut anew: Vec<(u32, u32)> =
                            table.iter_from(0).map(|record| (record.order.value(), record.start.value())).collect();
                        anew.retain(|(_, name)| name % share == 0);
                        anew.sort_by_key(|(sent, _)| *sent);
                        times = anew.into_iter().map(|(_, name)| name).collect();
                    }
                    _ => {}
                }
                let names: Vec<u32> = table.iter_from(0).map(|record| record.start.value()).collect();
                prop_assert_eq!(&names, &order);
                prop_assert_eq!(waiting(&mut table), times.clone());
                prop_assert_eq!(table.back().map(|record| record.start.value()), order.last().copied());
                prop_assert!(table.slots.len() <= 256);
            }
        }
    }
}
