//! Segments that came before their turn, and the FIN that did.

use std::collections::VecDeque;

use crate::buf::Rope;
use crate::tcp::seq::SeqNumber;
use crate::tcp::seq_ranges::{RecentRanges, SeqRange};

use super::charge::{charge_of, truesize};
use super::compact;

/// Blocks kept at the most. Each gap costs a block; a peer that sends every second byte fills this and is dropped
/// from then on. Linux bounds the same by memory.
pub const MAX_BLOCKS: usize = 1024;

/// Bytes received beyond the next expected one, merged into blocks.
///
/// Where two segments overlap, the bytes that came first stay.
///
/// ```
/// use tapsock_stack::buf::Rope;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::recv::reassembly::{Last, Reassembly};
///
/// let mut reassembly = Reassembly::default();
/// reassembly.insert(SeqNumber::new(5), Rope::from(&b"world"[..]), Last::No).unwrap();
/// assert!(reassembly.take(SeqNumber::new(0)).is_none());
/// assert_eq!(reassembly.take(SeqNumber::new(5)).unwrap().to_vec(), b"world");
/// ```
#[derive(Debug, Default)]
pub struct Reassembly {
    /// Boxed on first use: most connections never see a hole.
    blocks: Option<Box<Blocks>>,
}

#[derive(Debug, Default)]
struct Blocks {
    /// By start; no two touch.
    sorted: VecDeque<Block>,
    bytes: usize,
    charge: usize,
    recent: RecentRanges,
}

#[derive(Debug)]
struct Block {
    start: SeqNumber,
    data: Rope,
    last: Last,
}

/// Whether a FIN follows some bytes. It has a number, and is reported as they are.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub enum Last {
    /// More is to come.
    No,
    /// They are the last, or there are none left.
    Yes,
}

/// There is no room for another block.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub struct Full;

impl Last {
    /// Numbers that the FIN takes.
    fn len(self) -> u32 {
        u32::from(self == Last::Yes)
    }
}

impl Block {
    fn end(&self) -> SeqNumber {
        self.start + self.data.len() as u32 + self.last.len()
    }
}

impl Reassembly {
    /// Keeps `data`, whose first byte has the number `start`, and the FIN behind it where it is the `last`. Says [`Full`],
    /// and keeps nothing, where that would need more than [`MAX_BLOCKS`].
    pub fn insert(&mut self, start: SeqNumber, data: Rope, last: Last) -> Result<(), Full> {
        if data.is_empty() && last == Last::No {
            return Ok(());
        }
        self.blocks.get_or_insert_default().insert(start, data, last)
    }

    /// Takes the bytes that follow `nxt` without a gap, where there are any, and forgets what lies before.
    pub fn take(&mut self, nxt: SeqNumber) -> Option<Rope> {
        let blocks = self.blocks.as_mut()?;
        let data = blocks.take(nxt);
        if blocks.sorted.is_empty() {
            self.blocks = None;
        }
        data
    }

    /// The blocks to be reported, the latest first.
    pub fn recent(&self) -> impl Iterator<Item = SeqRange> + '_ {
        self.blocks.iter().flat_map(|blocks| blocks.recent.iter())
    }

    /// What of the numbers from `start` up to `end` is held already, in the first block that holds any.
    pub fn held_of(&self, start: SeqNumber, end: SeqNumber) -> Option<SeqRange> {
        let sorted = &self.blocks.as_ref()?.sorted;
        let first = sorted.partition_point(|block| block.end().at_or_before(start));
        let block = sorted.get(first)?;
        SeqRange::new(block.start.latest(start), block.end().earliest(end))
    }

    /// The number after the highest block to be reported.
    pub fn reported_end(&self) -> Option<SeqNumber> {
        self.recent().map(SeqRange::end).reduce(SeqNumber::latest)
    }

    /// Whether nothing waits for a gap to be filled.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_none()
    }

    /// Bytes held.
    pub fn len(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.bytes)
    }

    /// What they cost.
    pub fn charge(&self) -> usize {
        self.blocks.as_ref().map_or(0, |blocks| blocks.charge)
    }

    /// The number after the highest byte held.
    pub fn end(&self) -> Option<SeqNumber> {
        self.blocks.as_ref()?.sorted.back().map(Block::end)
    }

    /// Drops everything from `end` on.
    //= RFC 2018 §8 MUST-3
    pub fn truncate(&mut self, end: SeqNumber) {
        let Some(blocks) = self.blocks.as_mut() else { return };
        blocks.recent.truncate(end);
        while let Some(mut last) = blocks.sorted.pop_back() {
            if last.end().at_or_before(end) {
                blocks.sorted.push_back(last);
                break;
            }
            blocks.bytes -= last.data.len();
            blocks.charge -= charge_of(&last.data);
            last.data.truncate(end.saturating_since(last.start) as usize);
            last.last = Last::No;
            if !last.data.is_empty() {
                blocks.bytes += last.data.len();
                blocks.charge += charge_of(&last.data);
                blocks.sorted.push_back(last);
            }
        }
        if blocks.sorted.is_empty() {
            self.blocks = None;
        }
    }

    /// Drops packets from the end until what they are charged comes to `room`, or all. As Linux, what is left is not
    /// reported again. Says whether anything was dropped.
    //= RFC 2018 §8 MUST-3
    pub fn prune(&mut self, room: usize) -> bool {
        let Some(blocks) = self.blocks.as_mut() else { return false };
        let before = blocks.charge;
        while before - blocks.charge < room && blocks.drop_last() {}
        let pruned = blocks.charge < before;
        if pruned {
            blocks.recent.clear();
        }
        if blocks.sorted.is_empty() {
            self.blocks = None;
        }
        pruned
    }

    /// Drops everything.
    //= RFC 2018 §8 MUST-3
    pub fn clear(&mut self) {
        self.blocks = None;
    }
}

impl Blocks {
    fn insert(&mut self, start: SeqNumber, data: Rope, fin: Last) -> Result<(), Full> {
        let end = start + data.len() as u32 + fin.len();
        // The blocks from `first` up to `last` touch the new bytes.
        let first = self.sorted.partition_point(|block| block.end().before(start));
        let last =
            first + self.sorted.iter().skip(first).take_while(|block| block.start.at_or_before(end)).count();
        if first == last {
            if self.sorted.len() >= MAX_BLOCKS {
                return Err(Full);
            }
            self.bytes += data.len();
            self.charge += charge_of(&data);
            self.sorted.insert(first, Block { start, data, last: fin });
        } else {
            self.merge(first, last, Block { start, data, last: fin });
        }
        let block = &self.sorted[first];
        if let Some(range) = SeqRange::new(block.start, block.end()) {
            self.recent.report(range);
        }
        Ok(())
    }

    /// Makes one block of `sorted[first..last]` and what `new` adds to them.
    fn merge(&mut self, first: usize, last: usize, new: Block) {
        let Block { start, mut data, last: mut fin } = new;
        let merged_start = start.earliest(self.sorted[first].start);
        let mut at = start;
        let mut merged = Rope::new();
        for known in self.sorted.drain(first..last) {
            if known.last == Last::Yes {
                fin = Last::Yes;
            }
            let gap = known.start.saturating_since(at) as usize;
            let mut piece = data.split_to(gap);
            compact(&mut piece);
            self.bytes += piece.len();
            self.charge += charge_of(&piece);
            at += piece.len() as u32;
            merged.append(piece);
            let covered = known.end().saturating_since(at);
            data.advance(covered as usize);
            at = at.latest(known.end());
            // What follows a block, as most do, costs no walk over it.
            if merged.is_empty() {
                merged = known.data;
            } else {
                merged.append(known.data);
            }
        }
        self.bytes += data.len();
        compact(&mut data);
        self.charge += charge_of(&data);
        merged.append(data);
        self.sorted.insert(first, Block { start: merged_start, data: merged, last: fin });
    }

    /// Drops the last packet, and the FIN behind it. Says whether there was one.
    fn drop_last(&mut self) -> bool {
        let Some(last) = self.sorted.back_mut() else { return false };
        last.last = Last::No;
        if let Some(chunk) = last.data.pop_back() {
            self.bytes -= chunk.len();
            self.charge -= truesize(chunk.len());
        }
        if last.data.is_empty() {
            self.sorted.pop_back();
        }
        true
    }

    fn take(&mut self, nxt: SeqNumber) -> Option<Rope> {
        while let Some(front) = self.sorted.front() {
            if front.start.after(nxt) {
                return None;
            }
            let mut block = self.sorted.pop_front()?;
            self.bytes -= block.data.len();
            self.charge -= charge_of(&block.data);
            self.recent.acknowledge(block.end());
            block.data.advance(nxt.saturating_since(block.start) as usize);
            if !block.data.is_empty() {
                return Some(block.data);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes_of(offset: u32, len: u32) -> Rope {
        Rope::from((offset..offset + len).map(|n| n as u8).collect::<Vec<u8>>())
    }

    proptest! {
        //= RFC 2018 §4 MUST-2, type=test
        #[test]
        fn any_order_gives_the_same_bytes(
            base: u32,
            pieces in proptest::collection::vec((0u32..300, 1u32..40), 1..60),
        ) {
            let base = SeqNumber::new(base);
            let mut reassembly = Reassembly::default();
            let mut present = vec![false; 400];
            for (offset, len) in pieces {
                reassembly.insert(base + offset, bytes_of(offset, len), Last::No).expect("few blocks");
                present[offset as usize..(offset + len) as usize].fill(true);
                prop_assert_eq!(reassembly.len(), present.iter().filter(|p| **p).count());
                let charge: usize = reassembly
                    .blocks
                    .iter()
                    .flat_map(|blocks| blocks.sorted.iter())
                    .map(|block| charge_of(&block.data))
                    .sum();
                prop_assert_eq!(reassembly.charge(), charge);
                let latest = reassembly.recent().next().expect("one is held");
                prop_assert!((latest.start() - base) as u32 <= offset);
                prop_assert!((latest.end() - base) as u32 >= offset + len);
            }
            let mut at = 0;
            while at < 400 {
                match reassembly.take(base + at) {
                    Some(rope) => {
                        prop_assert_eq!(rope.to_vec(), bytes_of(at, rope.len() as u32).to_vec());
                        prop_assert!(present[at as usize..at as usize + rope.len()].iter().all(|p| *p));
                        at += rope.len() as u32;
                        prop_assert!(!present[at as usize], "a block ends where the next byte is missing");
                    }
                    None => {
                        prop_assert!(!present[at as usize]);
                        at += 1;
                    }
                }
            }
            prop_assert!(reassembly.is_empty());
        }
    }

    #[test]
    fn what_is_held_already_is_known() {
        let mut reassembly = Reassembly::default();
        for offset in [10, 30] {
            reassembly.insert(SeqNumber::new(offset), bytes_of(offset, 10), Last::No).expect("room");
        }
        let held = |start: u32, end: u32| {
            let held = reassembly.held_of(SeqNumber::new(start), SeqNumber::new(end));
            held.map(|range| (range.start().value(), range.end().value()))
        };
        assert_eq!(held(0, 10), None);
        assert_eq!(held(0, 50), Some((10, 20)), "the first block");
        assert_eq!(held(15, 50), Some((15, 20)));
        assert_eq!(held(20, 30), None);
        assert_eq!(held(25, 32), Some((30, 32)));
        assert_eq!(held(40, 50), None);
    }

    #[test]
    fn what_lies_behind_the_end_is_dropped() {
        let mut reassembly = Reassembly::default();
        for offset in [10, 20, 40] {
            reassembly.insert(SeqNumber::new(offset), bytes_of(offset, 5), Last::No).expect("room");
        }
        reassembly.truncate(SeqNumber::new(22));
        assert_eq!((reassembly.len(), reassembly.charge()), (7, 2 * 832));
        reassembly.truncate(SeqNumber::new(3));
        assert!(reassembly.is_empty());
    }

    #[test]
    fn pruning_takes_whole_packets_from_the_end() {
        let mut reassembly = Reassembly::default();
        for offset in [10, 20, 40, 60] {
            reassembly.insert(SeqNumber::new(offset), bytes_of(offset, 10), Last::No).expect("room");
        }
        reassembly.insert(SeqNumber::new(80), Rope::new(), Last::Yes).expect("room");
        assert!(reassembly.prune(833));
        assert_eq!(
            (reassembly.len(), reassembly.charge()),
            (20, 2 * 832),
            "two packets, for one is too small"
        );
        assert_eq!(reassembly.recent().count(), 0);
        assert!(reassembly.prune(1));
        assert_eq!(reassembly.len(), 10, "of one block the second half");
        assert!(reassembly.prune(10_000) && reassembly.is_empty());
        assert!(!reassembly.prune(1), "nothing is left");
    }

    #[test]
    fn a_fin_has_a_number_of_its_own_at_the_end() {
        let mut reassembly = Reassembly::default();
        let reported = |reassembly: &Reassembly| -> Vec<(u32, u32)> {
            reassembly.recent().map(|range| (range.start().value(), range.end().value())).collect()
        };
        reassembly.insert(SeqNumber::new(20), Rope::new(), Last::Yes).expect("room");
        assert_eq!((reassembly.len(), reassembly.is_empty()), (0, false));
        assert_eq!(reported(&reassembly), [(20, 21)]);
        reassembly.insert(SeqNumber::new(5), bytes_of(5, 3), Last::No).expect("room");
        reassembly.insert(SeqNumber::new(10), bytes_of(10, 10), Last::Yes).expect("room");
        assert_eq!(reported(&reassembly), [(10, 21), (5, 8)]);
        reassembly.insert(SeqNumber::new(6), bytes_of(6, 4), Last::No).expect("room");
        assert_eq!(reported(&reassembly), [(5, 21)]);
        let all = reassembly.take(SeqNumber::new(5)).expect("bytes");
        assert_eq!(all.to_vec(), bytes_of(5, 15).to_vec());
        assert!(reassembly.is_empty());

        reassembly.insert(SeqNumber::new(20), Rope::new(), Last::Yes).expect("room");
        assert!(reassembly.take(SeqNumber::new(20)).is_none(), "there are no bytes before it");
        assert!(reassembly.is_empty());
    }

    #[test]
    fn a_peer_that_leaves_every_second_byte_out_is_bounded() {
        let mut reassembly = Reassembly::default();
        for n in 0..MAX_BLOCKS as u32 {
            reassembly.insert(SeqNumber::new(2 * n + 1), bytes_of(0, 1), Last::No).expect("room");
        }
        assert_eq!(reassembly.insert(SeqNumber::new(9_999_999), bytes_of(0, 1), Last::No), Err(Full));
        assert_eq!(
            reassembly.insert(SeqNumber::new(2), bytes_of(0, 1), Last::No),
            Ok(()),
            "a gap can still be filled"
        );
    }
}
