//! The bytes that were written and are not yet acknowledged.

use std::collections::VecDeque;

use crate::buf::{Chunk, Rope};
use crate::on_use::{Blank, OnUse};
use crate::tcp::seq::SeqNumber;

/// Entries that the queue keeps room for while it is empty.
const KEPT_CAPACITY: usize = 8;

/// Bytes from the first unacknowledged on, by reference to what the application handed over.
///
/// A cursor remembers where the last slice ended, so that sending on costs the same however long the queue is.
///
/// ```
/// use tapsock_stack::buf::Rope;
/// use tapsock_stack::tcp::SeqNumber;
/// use tapsock_stack::tcp::send::queue::SendQueue;
///
/// let mut queue = SendQueue::new(SeqNumber::new(1000));
/// queue.push(Rope::from(&b"hello world"[..]));
/// assert_eq!(queue.slice(SeqNumber::new(1006), 5).to_vec(), b"world");
/// queue.acknowledge(SeqNumber::new(1006));
/// assert_eq!(queue.len(), 5);
/// ```
#[derive(Debug)]
pub struct SendQueue {
    chunks: OnUse<Chunks>,
    /// The number of the first byte.
    base: SeqNumber,
    len: u32,
}

#[derive(Debug, Default)]
struct Chunks {
    queue: VecDeque<Chunk>,
    cursor: Cursor,
}

impl Blank for Chunks {
    const EMPTY: &'static Self = &Chunks { queue: VecDeque::new(), cursor: Cursor { index: 0, offset: 0 } };

    fn is_blank(&self) -> bool {
        self.queue.is_empty()
    }
}

/// A chunk of the queue and where it begins, in bytes from the base.
#[derive(Copy, Clone, Debug, Default)]
struct Cursor {
    index: u32,
    offset: u32,
}

impl SendQueue {
    /// An empty queue whose first byte will have the number `base`.
    pub const fn new(base: SeqNumber) -> Self {
        SendQueue { chunks: OnUse::new(), base, len: 0 }
    }

    /// The number of the first byte.
    pub fn base(&self) -> SeqNumber {
        self.base
    }

    /// The number after the last byte.
    pub fn end(&self) -> SeqNumber {
        self.base + self.len
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Whether all is acknowledged.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds `data` at the end.
    pub fn push(&mut self, mut data: Rope) {
        if data.is_empty() {
            return;
        }
        self.len += data.len() as u32;
        let queue = &mut self.chunks.queue;
        while let Some(chunk) = data.pop_front() {
            queue.push_back(chunk);
        }
    }

    /// Drops all bytes before `una`.
    pub fn acknowledge(&mut self, una: SeqNumber) {
        let mut count = una.saturating_since(self.base).min(self.len);
        if count == 0 {
            return;
        }
        self.base += count;
        self.len -= count;
        let Chunks { queue, cursor } = &mut *self.chunks;
        cursor.offset = cursor.offset.saturating_sub(count);
        while let Some(front) = queue.front_mut() {
            if front.len() as u32 > count {
                front.advance(count as usize);
                break;
            }
            count -= front.len() as u32;
            queue.pop_front();
            cursor.index = cursor.index.saturating_sub(1);
        }
        if cursor.index == 0 {
            cursor.offset = 0;
        }
        if queue.is_empty() {
            *cursor = Cursor::default();
            if queue.capacity() > KEPT_CAPACITY {
                *queue = VecDeque::new();
            }
        }
    }

    /// Up to `max` bytes from `start` on.
    pub fn slice(&mut self, start: SeqNumber, max: usize) -> Rope {
        let mut out = Rope::new();
        if self.is_empty() {
            return out;
        }
        let begin = start.saturating_since(self.base);
        let Chunks { queue, cursor: known } = &mut *self.chunks;
        let mut cursor = if known.offset <= begin { *known } else { Cursor::default() };
        while let Some(chunk) = queue.get(cursor.index as usize) {
            let len = chunk.len() as u32;
            if cursor.offset + len > begin {
                let from = begin.saturating_sub(cursor.offset) as usize;
                let wanted = (max - out.len()).min(len as usize - from);
                out.push_back(chunk.slice(from..from + wanted));
                if out.len() == max {
                    break;
                }
            }
            cursor.offset += len;
            cursor.index += 1;
        }
        *known = cursor;
        out
    }

    /// Whether it keeps room for what is written though all is acknowledged.
    pub fn is_idle(&self) -> bool {
        self.chunks.is_idle()
    }

    /// Gives that back, where all is acknowledged.
    pub fn rest(&mut self) {
        self.chunks.rest();
    }

    /// Drops everything.
    pub fn clear(&mut self) {
        *self = SendQueue::new(self.base);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        Acknowledge(u32),
        Slice(u32, usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            proptest::collection::vec(any::<u8>(), 0..50).prop_map(Op::Push),
            (0u32..60).prop_map(Op::Acknowledge),
            (0u32..100, 0usize..80).prop_map(|(from, max)| Op::Slice(from, max)),
        ]
    }

    proptest! {
        #[test]
        fn slices_are_what_was_pushed(base: u32, ops in proptest::collection::vec(op(), 0..80)) {
            let mut queue = SendQueue::new(SeqNumber::new(base));
            let mut model: Vec<u8> = Vec::new();
            for op in ops {
                match op {
                    Op::Push(bytes) => {
                        model.extend(&bytes);
                        queue.push(Rope::from(bytes));
                    }
                    Op::Acknowledge(count) => {
                        let count = count.min(model.len() as u32);
                        queue.acknowledge(queue.base() + count);
                        model.drain(..count as usize);
                    }
                    Op::Slice(from, max) => {
                        let from = from.min(model.len() as u32);
                        let end = (from as usize + max).min(model.len());
                        let slice = queue.slice(queue.base() + from, max);
                        prop_assert_eq!(slice.to_vec(), &model[from as usize..end]);
                    }
                }
                prop_assert_eq!(queue.len(), model.len());
                prop_assert_eq!(queue.end(), queue.base() + model.len() as u32);
            }
        }
    }
}
