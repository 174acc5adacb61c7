//! The table of socket ids: the lowest free number, up to a limit.

use core::fmt;
use std::collections::BTreeMap;

use tapsock_stack::growth::room;

/// The most socket ids that a table gives out unless told otherwise, as many as Linux lets a process ask for.
pub const FD_LIMIT_DEFAULT: usize = 1024 * 1024;

/// A socket id: a small number, as POSIX has it. It means nothing to the operating system.
///
/// ```
/// use tapsock_sockets::Fd;
///
/// assert_eq!(Fd(3).to_string(), "3");
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq, Ord, PartialOrd, Hash)]
pub struct Fd(pub i32);

impl fmt::Display for Fd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Entries by their number, which is the lowest free one (POSIX, "File Descriptor Allocation").
///
/// ```
/// use tapsock_sockets::{Fd, Table};
///
/// let mut table = Table::new(16);
/// assert_eq!((table.insert('a'), table.insert('b')), (Ok(Fd(0)), Ok(Fd(1))));
/// assert_eq!(table.remove(Fd(0)), Some('a'));
/// assert_eq!(table.insert('c'), Ok(Fd(0)));
/// ```
#[derive(Debug)]
pub struct Table<T> {
    /// Those of the low numbers.
    slots: Vec<Option<T>>,
    /// Those of numbers that `slots` does not reach: a lone high one shall cost no slots for all below.
    far: BTreeMap<u32, T>,
    /// The free numbers, as runs: where each begins, and where it has ended.
    holes: BTreeMap<u32, u32>,
    limit: usize,
}

impl<T> Table<T> {
    /// An empty table of `limit` entries at most.
    pub fn new(limit: usize) -> Self {
        let holes = BTreeMap::from([(0, u32::MAX)]);
        Table { slots: Vec::new(), far: BTreeMap::new(), holes, limit: limit.min(i32::MAX as usize) }
    }

    /// How many entries there are at most.
    pub fn set_limit(&mut self, limit: usize) {
        self.limit = limit.min(i32::MAX as usize);
    }

    /// How many entries there are at most.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Whether all numbers below the limit are taken.
    pub fn is_full(&self) -> bool {
        self.lowest_free(0) >= self.limit
    }

    /// Puts `entry` at the lowest free number. Gives it back where the table is full.
    pub fn insert(&mut self, entry: T) -> Result<Fd, T> {
        self.insert_from(Fd(0), entry)
    }

    /// Puts `entry` at the lowest free number that is not below `least`, as F_DUPFD does. Gives it back where there is
    /// none.
    ///
    /// ```
    /// use tapsock_sockets::{Fd, Table};
    ///
    /// let mut table = Table::new(16);
    /// assert_eq!(table.insert_from(Fd(5), 'a'), Ok(Fd(5)));
    /// assert_eq!((table.insert_from(Fd(5), 'b'), table.insert('c')), (Ok(Fd(6)), Ok(Fd(0))));
    /// ```
    pub fn insert_from(&mut self, least: Fd, entry: T) -> Result<Fd, T> {
        let number = self.lowest_free(usize::try_from(least.0).unwrap_or(0));
        if number >= self.limit {
            return Err(entry);
        }
        self.put(number, entry);
        Ok(Fd(number as i32))
    }

    /// Keeps the lowest free number from others, without an entry, until one is [put there](Table::insert_at) or it is
    /// [released](Table::release). `None` where the table is full.
    ///
    /// ```
    /// use tapsock_sockets::{Fd, Table};
    ///
    /// let mut table = Table::new(16);
    /// assert_eq!((table.reserve(), table.insert('a')), (Some(Fd(0)), Ok(Fd(1))));
    /// assert!(table.is_kept(Fd(0)) && !table.is_kept(Fd(1)) && !table.is_kept(Fd(2)));
    /// assert_eq!(table.insert_at(Fd(0), 'b'), Ok(None));
    /// ```
    pub fn reserve(&mut self) -> Option<Fd> {
        let number = self.lowest_free(0);
        if number >= self.limit {
            return None;
        }
        self.take_away(number as u32);
        Some(Fd(number as i32))
    }

    /// Whether a number is kept without an entry: [reserved](Table::reserve), or [taken](Table::take).
    pub fn is_kept(&self, fd: Fd) -> bool {
        let number = usize::try_from(fd.0).ok();
        number.is_some_and(|number| self.get(fd).is_none() && self.lowest_free(number) != number)
    }

    /// Puts `entry` at that number, as dup2 does, and gives what was there. Gives `entry` back where the number is
    /// below zero or not below the limit.
    ///
    /// ```
    /// use tapsock_sockets::{Fd, Table};
    ///
    /// let mut table = Table::new(16);
    /// assert_eq!((table.insert_at(Fd(2), 'a'), table.insert_at(Fd(2), 'b')), (Ok(None), Ok(Some('a'))));
    /// assert_eq!((table.insert_at(Fd(16), 'c'), table.insert('d')), (Err('c'), Ok(Fd(0))));
    /// ```
    pub fn insert_at(&mut self, fd: Fd, entry: T) -> Result<Option<T>, T> {
        match usize::try_from(fd.0) {
            Ok(number) if number < self.limit => Ok(self.put(number, entry)),
            _ => Err(entry),
        }
    }

    /// The entry of that number.
    pub fn get(&self, fd: Fd) -> Option<&T> {
        let number = usize::try_from(fd.0).ok()?;
        match self.slots.get(number) {
            Some(slot) => slot.as_ref(),
            None => self.far.get(&(number as u32)),
        }
    }

    /// The entry of that number, to be changed.
    pub fn get_mut(&mut self, fd: Fd) -> Option<&mut T> {
        let number = usize::try_from(fd.0).ok()?;
        match self.slots.get_mut(number) {
            Some(slot) => slot.as_mut(),
            None => self.far.get_mut(&(number as u32)),
        }
    }

    /// Takes the entry of that number out.
    pub fn remove(&mut self, fd: Fd) -> Option<T> {
        let entry = self.take(fd)?;
        self.release(fd);
        Some(entry)
    }

    /// Takes the entry of that number out, and keeps the number from others until it is [released](Table::release).
    ///
    /// ```
    /// use tapsock_sockets::{Fd, Table};
    ///
    /// let mut table = Table::new(16);
    /// assert_eq!(table.insert('a'), Ok(Fd(0)));
    /// assert_eq!(table.take(Fd(0)), Some('a'));
    /// assert_eq!(table.get(Fd(0)), None);
    /// assert_eq!(table.insert('b'), Ok(Fd(1)));
    /// table.release(Fd(0));
    /// assert_eq!(table.insert('c'), Ok(Fd(0)));
    /// ```
    pub fn take(&mut self, fd: Fd) -> Option<T> {
        let number = usize::try_from(fd.0).ok()?;
        match self.slots.get_mut(number) {
            Some(slot) => slot.take(),
            None => self.far.remove(&(number as u32)),
        }
    }

    /// Frees a number that is [kept](Table::is_kept). Any other stays as it is.
    pub fn release(&mut self, fd: Fd) {
        if self.is_kept(fd) {
            self.give_back(fd.0 as u32);
            self.shrink();
        }
    }

    /// All numbers in use, in order.
    pub fn numbers(&self) -> impl Iterator<Item = Fd> + '_ {
        let near = self.slots.iter().enumerate().filter(|(_, slot)| slot.is_some());
        near.map(|(number, _)| Fd(number as i32)).chain(self.far.keys().map(|number| Fd(*number as i32)))
    }

    fn lowest_free(&self, least: usize) -> usize {
        let Ok(least) = u32::try_from(least) else { return least };
        if let Some((_, end)) = self.holes.range(..=least).next_back()
            && *end > least
        {
            return least as usize;
        }
        self.holes.range(least..).next().map_or(usize::MAX, |(start, _)| *start as usize)
    }

    fn put(&mut self, number: usize, entry: T) -> Option<T> {
        self.take_away(number as u32);
        let end = self.slots.len();
        if number < end {
            return self.slots[number].replace(entry);
        }
        if number - end > NEAR {
            return self.far.insert(number as u32, entry);
        }
        if number >= self.slots.capacity() {
            self.slots.reserve_exact(number + 1 - end + room(number));
        }
        self.slots.resize_with(number + 1, || None);
        // Those that the slots reach now.
        while let Some(first) = self.far.first_entry()
            && *first.key() as usize <= number
        {
            let (reached, entry) = first.remove_entry();
            self.slots[reached as usize] = Some(entry);
        }
        self.slots[number].replace(entry)
    }

    /// The number is free no more.
    fn take_away(&mut self, number: u32) {
        let Some((&start, &end)) = self.holes.range(..=number).next_back() else { return };
        if end <= number {
            return;
        }
        self.holes.remove(&start);
        if start < number {
            self.holes.insert(start, number);
        }
        if number + 1 < end {
            self.holes.insert(number + 1, end);
        }
    }

    /// The number is free again.
    fn give_back(&mut self, number: u32) {
        let end = self.holes.remove(&(number + 1)).unwrap_or(number + 1);
        match self.holes.range_mut(..number).next_back() {
            Some((_, before)) if *before == number => *before = end,
            _ => {
                self.holes.insert(number, end);
            }
        }
    }

    /// Gives memory back once the high numbers are free again.
    fn shrink(&mut self) {
        while let Some(None) = self.slots.last() {
            self.slots.pop();
        }
        if self.slots.capacity() > SHRINK_ABOVE && self.slots.len() < self.slots.capacity() / 4 {
            self.slots.shrink_to(self.slots.len() * 2);
        }
    }
}

/// Free slots that an entry may leave below it.
const NEAR: usize = 1024;

/// A table of so few slots is not worth shrinking.
const SHRINK_ABOVE: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Insert,
        InsertFrom(i32),
        InsertAt(i32),
        Remove(i32),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            6 => Just(Op::Insert),
            1 => (-1..24).prop_map(Op::InsertFrom),
            1 => (-1..24).prop_map(Op::InsertAt),
            5 => (-1..24).prop_map(Op::Remove),
        ]
    }

    /// Numbers of which some are near each other, and some are not.
    fn spread(number: i32) -> i32 {
        if number < 12 { number } else { (number - 11) * (NEAR as i32 / 2 + 7) + number % 3 }
    }

    proptest! {
        #[test]
        fn numbers_are_the_lowest_free_ones(ops in proptest::collection::vec(op(), 0..200), limit in 1i32..30) {
            let limit = spread(limit) as usize;
            let mut table = Table::new(limit);
            let mut model: BTreeMap<i32, u32> = BTreeMap::new();
            for (serial, op) in ops.into_iter().enumerate() {
                let serial = serial as u32;
                let op = match op {
                    Op::Insert => Op::Insert,
                    Op::InsertFrom(least) => Op::InsertFrom(spread(least)),
                    Op::InsertAt(number) => Op::InsertAt(spread(number)),
                    Op::Remove(number) => Op::Remove(spread(number)),
                };
                let free_from = |least: i32| (least.max(0)..).find(|number| !model.contains_key(number)).unwrap();
                match op {
                    Op::Insert | Op::InsertFrom(_) => {
                        let least = if let Op::InsertFrom(least) = op { least } else { 0 };
                        let lowest = free_from(least);
                        prop_assert_eq!(table.is_full(), free_from(0) >= limit as i32);
                        if lowest < limit as i32 {
                            prop_assert_eq!(table.insert_from(Fd(least), serial), Ok(Fd(lowest)));
                            model.insert(lowest, serial);
                        } else {
                            prop_assert_eq!(table.insert_from(Fd(least), serial), Err(serial));
                        }
                    }
                    Op::InsertAt(number) if (0..limit as i32).contains(&number) => {
                        prop_assert_eq!(table.insert_at(Fd(number), serial), Ok(model.insert(number, serial)));
                    }
                    Op::InsertAt(number) => {
                        prop_assert_eq!(table.insert_at(Fd(number), serial), Err(serial));
                    }
                    Op::Remove(number) => prop_assert_eq!(table.remove(Fd(number)), model.remove(&number)),
                }
                for number in (-1..24).map(spread) {
                    prop_assert_eq!(table.get(Fd(number)), model.get(&number));
                }
                prop_assert!(table.numbers().map(|fd| fd.0).eq(model.keys().copied()));
            }
        }
    }

    #[test]
    fn memory_is_given_back() {
        let mut table = Table::new(FD_LIMIT_DEFAULT);
        for number in 0..100_000 {
            assert_eq!(table.insert(number), Ok(Fd(number)));
        }
        for number in 0..99_999 {
            table.remove(Fd(number));
        }
        assert_eq!(table.insert(0), Ok(Fd(0)));
        table.remove(Fd(99_999));
        assert!(table.slots.capacity() <= SHRINK_ABOVE, "{} slots are kept", table.slots.capacity());
        assert_eq!(table.holes.len(), 1, "of free numbers no more is kept than where they begin");
        assert_eq!(table.insert(1), Ok(Fd(1)));
    }

    #[test]
    fn a_high_number_costs_no_more_than_a_low_one() {
        let mut table = Table::new(FD_LIMIT_DEFAULT);
        let last = FD_LIMIT_DEFAULT as i32 - 1;
        table.insert('a').unwrap();
        for number in [last, last - 5, 500_000] {
            assert_eq!(table.insert_at(Fd(number), 'b'), Ok(None));
            assert_eq!(table.get(Fd(number)), Some(&'b'));
        }
        assert_eq!(table.insert_from(Fd(500_000), 'c'), Ok(Fd(500_001)));
        assert_eq!(table.insert_from(Fd(last), 'd'), Err('d'));
        assert!(table.slots.capacity() <= SHRINK_ABOVE, "{} slots", table.slots.capacity());
        assert!(table.holes.len() <= 4, "{} runs of free numbers", table.holes.len());
        assert_eq!(table.insert('e'), Ok(Fd(1)));
        assert_eq!(table.remove(Fd(last)), Some('b'));
        assert_eq!((table.remove(Fd(last)), table.get(Fd(last))), (None, None));
    }

    #[test]
    fn a_lower_limit_keeps_what_is_there() {
        let mut table = Table::new(4);
        for number in 0..4 {
            table.insert(number).unwrap();
        }
        table.set_limit(2);
        assert_eq!(table.get(Fd(3)), Some(&3));
        table.remove(Fd(0));
        assert_eq!(table.insert(9), Ok(Fd(0)));
        table.remove(Fd(3));
        assert_eq!(table.insert(9), Err(9));
    }
}
