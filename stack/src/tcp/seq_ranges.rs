//! Ranges of sequence numbers, and the list of those lately received.

use arrayvec::ArrayVec;

use super::seq::SeqNumber;

/// A non-empty range of sequence numbers, `end` excluded.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::seq_ranges::SeqRange;
///
/// let range = SeqRange::new(SeqNumber::new(10), SeqNumber::new(20)).unwrap();
/// assert_eq!(range.len(), 10);
/// assert!(range.touches(SeqRange::new(SeqNumber::new(20), SeqNumber::new(25)).unwrap()));
/// assert!(SeqRange::new(SeqNumber::new(20), SeqNumber::new(10)).is_none());
/// ```
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct SeqRange {
    start: SeqNumber,
    end: SeqNumber,
}

#[expect(clippy::len_without_is_empty, reason = "a range is never empty")]
impl SeqRange {
    /// The range from `start` to `end`; `None` where that is empty or backward.
    pub const fn new(start: SeqNumber, end: SeqNumber) -> Option<Self> {
        if start.before(end) { Some(SeqRange { start, end }) } else { None }
    }

    /// The first number in the range.
    pub const fn start(self) -> SeqNumber {
        self.start
    }

    /// The first number after the range.
    pub const fn end(self) -> SeqNumber {
        self.end
    }

    /// How many numbers it holds.
    pub const fn len(self) -> u32 {
        self.end.saturating_since(self.start)
    }

    /// Whether the two overlap or stand next to each other.
    pub const fn touches(self, other: SeqRange) -> bool {
        self.start.at_or_before(other.end) && other.start.at_or_before(self.end)
    }

    /// The smallest range that holds both.
    pub const fn cover(self, other: SeqRange) -> SeqRange {
        SeqRange { start: self.start.earliest(other.start), end: self.end.latest(other.end) }
    }
}

/// Blocks that a SACK option can carry without other options.
pub const MAX_SACK_BLOCKS: usize = 4;

/// The ranges lately received out of order, the latest first: what a SACK option reports.
///
/// ```
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::seq_ranges::{RecentRanges, SeqRange};
///
/// let range = |start, end| SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).unwrap();
/// let mut recent = RecentRanges::default();
/// recent.report(range(10, 20));
/// recent.report(range(40, 50));
/// recent.report(range(10, 30));
/// assert_eq!(recent.iter().collect::<Vec<_>>(), [range(10, 30), range(40, 50)]);
/// ```
//= RFC 2018 §4
#[derive(Clone, Debug, Default)]
pub struct RecentRanges {
    ranges: ArrayVec<SeqRange, MAX_SACK_BLOCKS>,
}

impl RecentRanges {
    /// Puts `range` first. It stands for all reported ranges that it touches.
    pub fn report(&mut self, range: SeqRange) {
        let mut merged = range;
        self.ranges.retain(|known| {
            let touches = known.touches(range);
            if touches {
                merged = merged.cover(*known);
            }
            !touches
        });
        if self.ranges.is_full() {
            self.ranges.pop();
        }
        self.ranges.insert(0, merged);
    }

    /// Forgets what lies below `nxt`, for it was acknowledged.
    pub fn acknowledge(&mut self, nxt: SeqNumber) {
        self.ranges.retain(|known| known.end.after(nxt));
    }

    /// Forgets what lies from `end` on, for it was dropped.
    pub fn truncate(&mut self, end: SeqNumber) {
        self.ranges.retain(|known| {
            known.end = known.end.earliest(end);
            known.start.before(known.end)
        });
    }

    /// The ranges, the latest first.
    pub fn iter(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.ranges.iter().copied()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.ranges.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn range(start: u32, end: u32) -> SeqRange {
        SeqRange::new(SeqNumber::new(start), SeqNumber::new(end)).expect("not empty")
    }

    //= RFC 2018 §4, type=test
    #[test]
    fn the_first_block_holds_the_segment_received_last() {
        let mut recent = RecentRanges::default();
        for start in [100, 200, 300, 400, 500] {
            recent.report(range(start, start + 50));
        }
        let starts: Vec<_> = recent.iter().map(|range| range.start().value()).collect();
        assert_eq!(starts, [500, 400, 300, 200], "four at the most, the oldest forgotten");
        recent.report(range(250, 300));
        let blocks: Vec<_> = recent.iter().collect();
        assert_eq!(blocks, [range(200, 350), range(500, 550), range(400, 450)]);
        recent.acknowledge(SeqNumber::new(450));
        assert_eq!(recent.iter().collect::<Vec<_>>(), [range(500, 550)]);
    }

    proptest! {
        #[test]
        fn reported_blocks_never_touch(base: u32, blocks in proptest::collection::vec((0u32..200, 1u32..30), 1..40)) {
            let mut recent = RecentRanges::default();
            for (offset, len) in blocks {
                let start = SeqNumber::new(base) + offset;
                let block = SeqRange::new(start, start + len).expect("not empty");
                recent.report(block);
                let all: Vec<_> = recent.iter().collect();
                prop_assert!(all[0].cover(block) == all[0], "the latest is in the first");
                for (i, a) in all.iter().enumerate() {
                    prop_assert!(all[i + 1..].iter().all(|b| !a.touches(*b)));
                }
            }
        }
    }
}
