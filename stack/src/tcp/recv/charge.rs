//! What received bytes cost in memory, and the queue that keeps count of it.

use core::ops::Range;

use crate::buf::{Chunk, Rope};
use crate::on_use::Blank;

/// Bytes of headers before the payload of a packet, and those that a buffer has beside the packet: some before it, some
/// at its end.
const HEADERS: usize = 40;
const HEADROOM: usize = 64;
const TRAILER: usize = 320;

/// What stands for a buffer, beside the buffer itself.
const DESCRIPTOR: usize = 256;

/// The smallest buffer.
const SMALLEST: usize = 576;

/// Buffers up to this size have a power of two of bytes; larger ones have whole pages.
const LARGEST_OBJECT: usize = 8192;
const PAGE: usize = 4096;

/// Payload of a buffer into which small segments are put together, and what it costs.
const COLLAPSED: usize = PAGE - TRAILER;
const COLLAPSED_COST: usize = PAGE + DESCRIPTOR;

/// What a packet with `len` bytes of payload is charged: what Linux charges for one that came over a TUN device. The
/// window that is offered depends on it, and scripts see that. One that is as long as what small ones are put together
/// into is taken for that, which fills a page.
///
/// ```
/// use tapsock_stack::tcp::recv::charge::truesize;
///
/// assert_eq!([1, 200, 1000, 1460, 9000].map(truesize), [832, 1280, 2304, 2304, 12_544]);
/// ```
pub fn truesize(len: usize) -> usize {
    if len == COLLAPSED {
        return COLLAPSED_COST;
    }
    let needed = (HEADROOM + HEADERS + len).next_multiple_of(64) + TRAILER;
    let buffer = if needed <= LARGEST_OBJECT {
        if needed <= SMALLEST { SMALLEST } else { needed.next_power_of_two() }
    } else {
        needed.next_multiple_of(PAGE)
    };
    buffer + DESCRIPTOR
}

/// What `data` is charged, each of its chunks being a packet.
pub fn charge_of(data: &Rope) -> usize {
    data.chunks().map(|chunk| truesize(chunk.len())).sum()
}

/// Bytes in order that wait to be read. A packet is charged until its last byte is taken.
///
/// ```
/// use tapsock_stack::buf::Rope;
/// use tapsock_stack::tcp::recv::charge::ReceiveQueue;
///
/// let mut queue = ReceiveQueue::default();
/// queue.append(Rope::from(&b"hello"[..]));
/// assert_eq!(queue.split_to(3).to_vec(), b"hel");
/// assert_eq!((queue.len(), queue.charge()), (2, 832));
/// ```
#[derive(Debug, Default)]
pub struct ReceiveQueue {
    data: Rope,
    /// What is charged, and what was taken of the first packet, in bytes.
    charge: u32,
    taken: u32,
}

impl ReceiveQueue {
    /// Bytes.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// What they cost.
    pub fn charge(&self) -> usize {
        self.charge as usize
    }

    /// The packets.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.data.chunks()
    }

    /// The bytes `range`, by reference.
    pub fn slice(&self, range: Range<usize>) -> Rope {
        self.data.slice(range)
    }

    /// Adds what came.
    pub fn append(&mut self, data: Rope) {
        self.charge += charge_of(&data) as u32;
        self.data.append(data);
    }

    /// Takes the first `at` bytes.
    pub fn split_to(&mut self, at: usize) -> Rope {
        let before = self.data.chunk_count();
        let head = self.data.split_to(at);
        let mut whole = before - self.data.chunk_count();
        for chunk in head.chunks() {
            let taken = core::mem::take(&mut self.taken);
            if whole == 0 {
                self.taken = taken + chunk.len() as u32;
                break;
            }
            self.charge = self.charge.saturating_sub(truesize(taken as usize + chunk.len()) as u32);
            whole -= 1;
        }
        if self.data.is_empty() {
            (self.charge, self.taken) = (0, 0);
        }
        head
    }

    /// Drops the first `count` bytes.
    pub fn advance(&mut self, count: usize) {
        drop(self.split_to(count));
    }

    /// Puts small packets together, where that frees `least` bytes or more. Says whether it did. What stands before the
    /// first of them stays as it is: a byte is copied once, however often this is called.
    pub fn collapse(&mut self, least: usize) -> bool {
        let (mut kept, mut cost, mut taken) = (0, 0, self.taken as usize);
        for chunk in self.data.chunks() {
            let whole = core::mem::take(&mut taken) + chunk.len();
            if whole < COLLAPSED {
                break;
            }
            (kept, cost) = (kept + chunk.len(), cost + truesize(whole));
        }
        let small = self.len() - kept;
        let last = small % COLLAPSED;
        let tight = cost + small / COLLAPSED * COLLAPSED_COST + if last == 0 { 0 } else { truesize(last) };
        if tight + least > self.charge() {
            return false;
        }
        let mut data = self.data.split_to(kept);
        if data.is_empty() {
            self.taken = 0;
        }
        while !self.data.is_empty() {
            data.push_back(Chunk::from(self.data.split_to(COLLAPSED).to_vec()));
        }
        (self.data, self.charge) = (data, tight as u32);
        true
    }
}

impl Blank for ReceiveQueue {
    const EMPTY: &'static Self = &ReceiveQueue { data: Rope::new(), charge: 0, taken: 0 };

    fn is_blank(&self) -> bool {
        self.data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue_of(sizes: &[usize]) -> ReceiveQueue {
        let mut queue = ReceiveQueue::default();
        sizes.iter().for_each(|len| queue.append(Rope::from(vec![7; *len])));
        queue
    }

    /// As `SK_MEMINFO_RMEM_ALLOC` shows on Linux 6.18 for packets that a TUN device brings.
    #[test]
    fn a_packet_costs_what_it_costs_in_linux() {
        let measured = [
            (1, 832),
            (100, 832),
            (200, 1280),
            (600, 1280),
            (700, 2304),
            (1500, 2304),
            (1700, 4352),
            (3500, 4352),
            (3900, 8448),
            (6000, 8448),
            (8000, 12_544),
            (10_000, 12_544),
            (12_250, 16_640),
            (16_000, 20_736),
            (30_000, 33_024),
            (40_000, 41_216),
            (50_000, 53_504),
            (60_000, 61_696),
            (65_000, 65_792),
        ];
        for (len, cost) in measured {
            assert_eq!(truesize(len), cost, "{len} bytes");
        }
    }

    #[test]
    fn a_packet_is_charged_until_its_last_byte_is_taken() {
        let mut queue = queue_of(&[1000, 1000, 100]);
        let all = 2 * 2304 + 832;
        for (take, left) in [(400, all), (599, all), (1, 2304 + 832), (999, 2304 + 832), (51, 832), (50, 0)] {
            assert_eq!(queue.split_to(take).len(), take);
            assert_eq!(queue.charge(), left, "after {take} more");
        }
    }

    #[test]
    fn what_was_put_together_is_not_copied_again() {
        let places =
            |queue: &ReceiveQueue| -> Vec<_> { queue.chunks().map(|chunk| chunk.as_ptr()).collect() };
        let mut queue = queue_of(&[16_000]);
        (0..1000).for_each(|_| queue.append(Rope::from(vec![7; 100])));
        assert!(queue.collapse(0));
        let before = places(&queue);
        (0..1000).for_each(|_| queue.append(Rope::from(vec![8; 100])));
        queue.advance(1000);
        assert!(queue.collapse(0));
        let (len, after) = (queue.len(), places(&queue));
        assert_eq!(len, 15_000 + 200_000);
        // Of those before all but the last, which was not full, are where they were; the first is read in part.
        assert_eq!(after[1..before.len() - 1], before[1..before.len() - 1]);
        let cost = truesize(16_000) + 200_000usize.div_ceil(COLLAPSED) * COLLAPSED_COST;
        assert_eq!(queue.charge(), cost);
        assert!(queue.split_to(len).to_vec()[15_000 + 100_000..].iter().all(|byte| *byte == 8));
        assert_eq!(queue.charge(), 0);
    }

    #[test]
    fn what_was_put_together_is_charged_until_it_is_taken() {
        let mut queue = queue_of(&[100; 100]);
        assert!(queue.collapse(0));
        let pages = 10_000usize.div_ceil(COLLAPSED);
        for left in (1..pages).rev() {
            queue.advance(COLLAPSED);
            assert!(queue.charge() >= left * 2000, "{left} pages are left: {}", queue.charge());
        }
    }

    #[test]
    fn small_packets_are_put_together_where_that_frees_memory() {
        let mut queue = queue_of(&[100; 29]);
        assert_eq!(queue.charge(), 29 * 832);
        assert!(!queue.collapse(20_000), "it frees less");
        assert!(queue.collapse(10_000));
        assert_eq!((queue.len(), queue.charge(), queue.chunks().count()), (2900, 4352, 1));
        queue.advance(2899);
        assert_eq!(queue.charge(), 4352);
        queue.advance(1);
        assert_eq!(queue.charge(), 0);
    }
}
