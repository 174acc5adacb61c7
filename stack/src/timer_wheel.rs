//! Deadlines of many owners, one each: a hierarchical timing wheel.

use crate::growth::room;
use crate::time::Instant;

/// One deadline for each user, by the user's slab index: a hundred thousand connections cost as much as one.
///
/// A deadline that moves later does nothing. The entry fires at its earlier time, its owner looks at its own
/// deadlines and schedules again: most timers of a connection are put off many times before one comes due. Nothing
/// fires before its time, to the nanosecond.
///
/// All operations are O(1): an entry is linked and unlinked by index, without allocation once the table has
/// grown, and on its way to its time it moves at most once for each level.
///
/// ```
/// use tapsock_stack::time::Instant;
/// use tapsock_stack::timer_wheel::TimerWheel;
///
/// let mut wheel = TimerWheel::new(Instant::ZERO);
/// wheel.schedule(7, Instant::from_millis(200));
/// wheel.schedule(7, Instant::from_millis(900));
/// assert_eq!(wheel.next_deadline(), Some(Instant::from_millis(200)));
/// assert_eq!(wheel.pop_expired(Instant::from_millis(199)), None);
/// assert_eq!(wheel.pop_expired(Instant::from_millis(200)), Some(7));
/// assert_eq!(wheel.next_deadline(), None);
/// ```
///
/// How it works: time is cut into ticks, and a tick is a number of [`LEVELS`] digits. An entry stands on the level
/// of the first digit in which its tick differs from [`TimerWheel::elapsed`], in the slot of that digit. So all of a
/// level comes due before anything of the next, its slots in ascending order, and the first slot is found by two
/// bit scans. When `elapsed` reaches a slot, its entries agree in one digit more and move down.
#[derive(Clone, Debug)]
pub struct TimerWheel {
    /// By the user's index. As long as the greatest index scheduled since [`slim`](TimerWheel::slim), which the owner's
    /// slab bounds.
    entries: Vec<Entry>,
    slots: Box<[Slot; LEVELS * SLOTS]>,
    /// For each level, which slots hold entries.
    occupied: [u64; LEVELS],
    /// Head of the list of entries that are due.
    due: u32,
    /// The tick that the slots are sorted by. Never later than `now`, and no entry stands before it.
    elapsed: u64,
    /// The latest time told.
    now: Instant,
    len: usize,
}

/// Where it stands follows from its deadline and from `elapsed`, unless it is among the due.
#[derive(Copy, Clone, Debug)]
struct Entry {
    deadline: Instant,
    previous: u32,
    /// One that is next to itself stands in no list.
    next: u32,
}

const _: () = assert!(size_of::<Entry>() <= 16, "an idle connection's share of its budget");

/// Which list an entry stands in.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
enum Place {
    Due,
    /// By position in `slots`.
    Slot(usize),
}

#[derive(Copy, Clone, Debug)]
struct Slot {
    head: u32,
    /// No entry of the slot is due before it. Earlier than the earliest only after that one was taken away.
    earliest: Instant,
}

/// Nanoseconds in a tick, as a power of two: 65.5 µs. Entries of one tick share a list.
const TICK_BITS: u32 = 16;
/// Slots on a level, as a power of two.
const SLOT_BITS: u32 = 6;
const SLOTS: usize = 1 << SLOT_BITS;
/// Levels, so that the digits of a tick cover every [`Instant`]: 4 ms, 268 ms, 17 s, 18 min, 20 h, and beyond.
const LEVELS: usize = ((u64::BITS - TICK_BITS) / SLOT_BITS) as usize;
/// The index that ends a list.
const NIL: u32 = u32::MAX;

impl TimerWheel {
    /// An empty wheel.
    pub fn new(now: Instant) -> Self {
        TimerWheel {
            entries: Vec::new(),
            slots: Box::new([Slot { head: NIL, earliest: Instant::ZERO }; LEVELS * SLOTS]),
            occupied: [0; LEVELS],
            due: NIL,
            elapsed: tick(now),
            now,
            len: 0,
        }
    }

    /// How many users have a deadline.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nobody has a deadline.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The deadline that `index` will fire at, which may be earlier than the one it asked for last.
    pub fn deadline(&self, index: u32) -> Option<Instant> {
        self.entries.get(index as usize).filter(|entry| entry.next != index).map(|entry| entry.deadline)
    }

    /// Lets `index` fire at `at` or, where it has a deadline that is earlier, at that.
    ///
    /// `index` is less than `u32::MAX`; the table grows to the greatest index used.
    pub fn schedule(&mut self, index: u32, at: Instant) {
        debug_assert!(index != NIL);
        self.make_room(index);
        if let Some(deadline) = self.deadline(index) {
            if deadline <= at {
                return;
            }
            self.unlink(index);
        }
        self.entries[index as usize].deadline = at;
        self.link(index);
    }

    /// The owner's slab has room for no more than `capacity`: what lies beyond is given back, if that is much.
    pub(crate) fn slim(&mut self, capacity: usize) {
        if self.entries.len() / 4 <= capacity {
            return;
        }
        while self.entries.len() > capacity && self.deadline(self.entries.len() as u32 - 1).is_none() {
            self.entries.pop();
        }
        self.entries.shrink_to_fit();
    }

    /// Takes the deadline of `index` away. Does nothing where it has none.
    pub fn cancel(&mut self, index: u32) {
        if self.deadline(index).is_some() {
            self.unlink(index);
        }
    }

    /// Takes one index whose deadline has been reached, in no particular order; `None` when there is no more.
    ///
    /// A `now` before the latest one told counts as that one.
    pub fn pop_expired(&mut self, now: Instant) -> Option<u32> {
        self.now = self.now.max(now);
        if self.due == NIL && self.first_slot().is_some_and(|slot| self.slots[slot].earliest <= self.now) {
            self.collect();
        }
        let index = self.due;
        if index == NIL {
            return None;
        }
        self.unlink(index);
        Some(index)
    }

    /// When to call [`TimerWheel::pop_expired`] next: never later than the next deadline.
    ///
    /// It is that deadline, except after the entry with the earliest deadline of its slot was cancelled; then it may
    /// be the time of the cancelled one, once. Something that is due already gives a time that has passed.
    pub fn next_deadline(&self) -> Option<Instant> {
        match self.entries.get(self.due as usize) {
            Some(due) => Some(due.deadline),
            None => self.first_slot().map(|slot| self.slots[slot].earliest),
        }
    }

    /// Moves what is due by `now` to the list of the due, and all others to the level where they belong.
    fn collect(&mut self) {
        let now = tick(self.now);
        while let Some(position) = self.first_slot() {
            let (level, slot) = (position / SLOTS, position % SLOTS);
            let start = self.slot_start(level, slot);
            // On the lowest level the slot may be the present tick, a part of which has yet to come.
            if start > now || level == 0 && self.slots[position].earliest > self.now {
                break;
            }
            self.elapsed = start;
            self.empty_slot(position);
        }
        self.elapsed = now;
    }

    /// Takes all entries out of a slot and links them anew by the present `elapsed`.
    ///
    /// Those of the present tick that are not due come back to the slot they left, which then knows its earliest.
    fn empty_slot(&mut self, position: usize) {
        let mut index = self.slots[position].head;
        self.slots[position].head = NIL;
        self.occupied[position / SLOTS] &= !(1 << (position % SLOTS));
        while let Some(entry) = self.entries.get(index as usize) {
            let next = entry.next;
            self.len -= 1;
            self.link(index);
            index = next;
        }
    }

    /// The position of the first slot that holds entries.
    fn first_slot(&self) -> Option<usize> {
        let level = self.occupied.iter().position(|slots| *slots != 0)?;
        Some(level * SLOTS + self.occupied[level].trailing_zeros() as usize)
    }

    /// The first tick of a slot that holds entries.
    fn slot_start(&self, level: usize, slot: usize) -> u64 {
        let shift = SLOT_BITS * level as u32;
        let above = self.elapsed >> (shift + SLOT_BITS);
        (above << SLOT_BITS | slot as u64) << shift
    }

    /// Where a deadline belongs.
    fn place(&self, deadline: Instant) -> Place {
        if deadline <= self.now { Place::Due } else { Place::Slot(self.position(deadline)) }
    }

    /// The position of the slot for a deadline that is not among the due. It stays the same until `elapsed` has reached
    /// that slot.
    fn position(&self, deadline: Instant) -> usize {
        let differing = tick(deadline) ^ self.elapsed;
        let level = differing.checked_ilog2().unwrap_or(0) / SLOT_BITS;
        let slot = (tick(deadline) >> (SLOT_BITS * level)) as usize % SLOTS;
        level as usize * SLOTS + slot
    }

    /// Links an entry that stands in no list by its deadline.
    fn link(&mut self, index: u32) {
        let deadline = self.entries[index as usize].deadline;
        let place = self.place(deadline);
        if let Place::Slot(position) = place {
            let slot = &mut self.slots[position];
            slot.earliest = if slot.head == NIL { deadline } else { slot.earliest.min(deadline) };
            self.occupied[position / SLOTS] |= 1 << (position % SLOTS);
        }
        #[cfg(test)]
        crate::work::note(|work| work.timers += 1);
        let head = core::mem::replace(self.head(place), index);
        self.entries[index as usize] = Entry { deadline, previous: NIL, next: head };
        if let Some(second) = self.entries.get_mut(head as usize) {
            second.previous = index;
        }
        self.len += 1;
    }

    /// Takes an entry out of its list.
    fn unlink(&mut self, index: u32) {
        let Entry { deadline, previous, next } = self.entries[index as usize];
        if let Some(next) = self.entries.get_mut(next as usize) {
            next.previous = previous;
        }
        match self.entries.get_mut(previous as usize) {
            Some(previous) => previous.next = next,
            None if self.due == index => self.due = next,
            None => {
                let position = self.position(deadline);
                self.slots[position].head = next;
                if next == NIL {
                    self.occupied[position / SLOTS] &= !(1 << (position % SLOTS));
                }
            }
        }
        #[cfg(test)]
        crate::work::note(|work| work.timers += 1);
        self.entries[index as usize].next = index;
        self.len -= 1;
    }

    fn head(&mut self, place: Place) -> &mut u32 {
        match place {
            Place::Slot(position) => &mut self.slots[position].head,
            Place::Due => &mut self.due,
        }
    }

    /// Makes the table long enough for `index`.
    fn make_room(&mut self, index: u32) {
        let wanted = index as usize + 1;
        if wanted > self.entries.capacity() {
            self.entries.reserve_exact(wanted - self.entries.len() + room(index as usize));
        }
        for next in self.entries.len()..wanted {
            self.entries.push(Entry { deadline: Instant::ZERO, previous: NIL, next: next as u32 });
        }
    }
}

fn tick(at: Instant) -> u64 {
    at.as_nanos() >> TICK_BITS
}

#[cfg(test)]
mod tests;
