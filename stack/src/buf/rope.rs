//! A queue of chunks: bytes in order, none of them copied.

use core::fmt;
use core::ops::Range;
use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Chunk, FrameBuf};

/// Chunks held without an allocation. A segment of 64 KiB cut from chunks of 64 KiB touches two.
const INLINE: usize = 3;

/// Chunks beyond the inline ones that an empty rope keeps room for, so that a queue whose reader keeps up allocates
/// nothing.
const KEPT_SPILL: usize = 8;

/// Bytes of a chunk of lent memory at the most: fewer than a chunk can count.
const LENT_MAX: usize = 1 << 30;

/// Bytes in order, made of [`Chunk`]s. Taking from the front, adding at the back and slicing copy no payload.
///
/// The first three chunks stand inline; only a longer rope allocates.
///
/// ```
/// use tapsock_stack::buf::{Chunk, Rope};
///
/// let mut rope = Rope::new();
/// rope.push_back(Chunk::copy_from(b"hello "));
/// rope.push_back(Chunk::copy_from(b"world"));
/// assert_eq!(rope.slice(3..8).to_vec(), b"lo wo");
/// assert_eq!(rope.split_to(6).to_vec(), b"hello ");
/// assert_eq!(rope.len(), 5);
/// ```
#[derive(Clone, Default)]
pub struct Rope {
    /// `None`s only after all `Some`s; `spill` is empty unless all are `Some`.
    inline: [Option<Chunk>; INLINE],
    spill: VecDeque<Chunk>,
    len: usize,
}

impl Rope {
    /// An empty rope.
    pub const fn new() -> Self {
        Rope { inline: [const { None }; INLINE], spill: VecDeque::new(), len: 0 }
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks in order; none is empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.inline.iter().flatten().chain(self.spill.iter())
    }

    /// How many chunks it is made of.
    pub fn chunk_count(&self) -> usize {
        self.inline.iter().flatten().count() + self.spill.len()
    }

    /// Adds `chunk` at the back. An empty chunk is dropped.
    pub fn push_back(&mut self, chunk: Chunk) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        match self.inline.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(chunk),
            None => self.spill.push_back(chunk),
        }
    }

    /// Adds all of `other` at the back. Costs a step for each chunk of the shorter of the two.
    pub fn append(&mut self, mut other: Rope) {
        // A short one is taken chunk by chunk: this one keeps the room that it has.
        if !other.spill.is_empty() && self.chunk_count() < other.chunk_count() {
            while let Some(chunk) = self.pop_back() {
                other.push_front(chunk);
            }
            *self = other;
            return;
        }
        while let Some(chunk) = other.pop_front() {
            self.push_back(chunk);
        }
    }

    fn push_front(&mut self, chunk: Chunk) {
        self.len += chunk.len();
        if let Some(last) = self.inline[INLINE - 1].take() {
            self.spill.push_front(last);
        }
        self.inline.rotate_right(1);
        self.inline[0] = Some(chunk);
    }

    /// Takes the last chunk.
    pub fn pop_back(&mut self) -> Option<Chunk> {
        let inline = &mut self.inline;
        let chunk = self.spill.pop_back().or_else(|| inline.iter_mut().rev().find_map(Option::take))?;
        self.len -= chunk.len();
        Some(chunk)
    }

    /// Takes the first chunk.
    pub fn pop_front(&mut self) -> Option<Chunk> {
        let chunk = self.inline[0].take()?;
        self.inline.rotate_left(1);
        self.inline[INLINE - 1] = self.spill.pop_front();
        self.len -= chunk.len();
        if self.len == 0 && self.spill.capacity() > KEPT_SPILL {
            self.spill = VecDeque::new();
        }
        Some(chunk)
    }

    /// Splits off the first `at` bytes (all, where it is shorter) and returns them; `self` keeps the rest.
    pub fn split_to(&mut self, at: usize) -> Rope {
        let mut head = Rope::new();
        while head.len < at {
            let wanted = at - head.len;
            match &mut self.inline[0] {
                None => break,
                Some(front) if front.len() > wanted => {
                    head.push_back(front.split_to(wanted));
                    self.len -= wanted;
                }
                Some(_) => {
                    if let Some(front) = self.pop_front() {
                        head.push_back(front);
                    }
                }
            }
        }
        head
    }

    /// Drops the first `count` bytes (all, where it is shorter).
    pub fn advance(&mut self, count: usize) {
        let mut left = count;
        while left > 0 {
            match &mut self.inline[0] {
                None => return,
                Some(front) if front.len() > left => {
                    front.advance(left);
                    self.len -= left;
                    return;
                }
                Some(front) => {
                    left -= front.len();
                    self.pop_front();
                }
            }
        }
    }

    /// Keeps the first `len` bytes; does nothing where the rope is shorter.
    pub fn truncate(&mut self, len: usize) {
        if len < self.len {
            *self = self.slice(0..len);
        }
    }

    /// The bytes `range`, by reference. Where the range passes the end it stops there.
    ///
    /// Costs a walk over the chunks before the range: callers that slice a long queue again and again keep a cursor.
    pub fn slice(&self, range: Range<usize>) -> Rope {
        let mut out = Rope::new();
        let mut offset = 0;
        for chunk in self.chunks() {
            let (start, end) = (offset, offset + chunk.len());
            offset = end;
            if end <= range.start {
                continue;
            }
            if start >= range.end {
                break;
            }
            out.push_back(chunk.slice(range.start.max(start) - start..range.end.min(end) - start));
        }
        out
    }

    /// Copies the first bytes into `into` and returns how many: the shorter of the two lengths.
    pub fn copy_to(&self, into: &mut [u8]) -> usize {
        let mut done = 0;
        for chunk in self.chunks() {
            let count = chunk.len().min(into.len() - done);
            into[done..done + count].copy_from_slice(&chunk[..count]);
            done += count;
        }
        done
    }

    /// All bytes in one piece: not copied where they are one already.
    pub fn into_bytes(mut self) -> Bytes {
        match (self.chunk_count(), self.pop_front()) {
            (1, Some(only)) => Bytes::from(only),
            (_, first) => {
                let mut all = first.map_or_else(Vec::new, |first| first.to_vec());
                self.chunks().for_each(|chunk| all.extend_from_slice(chunk));
                Bytes::from(all)
            }
        }
    }

    /// All bytes in one vector.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; self.len];
        self.copy_to(&mut out);
        out
    }
}

impl From<Chunk> for Rope {
    fn from(chunk: Chunk) -> Self {
        let mut rope = Rope::new();
        rope.push_back(chunk);
        rope
    }
}

impl From<Vec<u8>> for Rope {
    fn from(bytes: Vec<u8>) -> Self {
        Rope::from(Chunk::from(bytes))
    }
}

impl From<Bytes> for Rope {
    /// The same bytes, not copied.
    fn from(mut bytes: Bytes) -> Self {
        let mut rope = Rope::new();
        while !bytes.is_empty() {
            let piece = bytes.split_to(bytes.len().min(LENT_MAX));
            let len = piece.len();
            rope.push_back(Chunk::new(Arc::new(FrameBuf::from(piece)), 0..len));
        }
        rope
    }
}

impl From<&[u8]> for Rope {
    fn from(bytes: &[u8]) -> Self {
        Rope::from(Chunk::copy_from(bytes))
    }
}

impl fmt::Debug for Rope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rope({} bytes in {})", self.len, self.chunk_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Op {
        Push(Vec<u8>),
        Append(Vec<Vec<u8>>),
        Prepend(Vec<Vec<u8>>),
        Pop,
        SplitTo(usize),
        Advance(usize),
        Truncate(usize),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            3 => proptest::collection::vec(any::<u8>(), 0..20).prop_map(Op::Push),
            1 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..4), 0..9).prop_map(Op::Append),
            1 => proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..4), 0..9).prop_map(Op::Prepend),
            1 => Just(Op::Pop),
            1 => (0usize..40).prop_map(Op::SplitTo),
            1 => (0usize..40).prop_map(Op::Advance),
            1 => (0usize..80).prop_map(Op::Truncate),
        ]
    }

    fn rope_of(pieces: Vec<Vec<u8>>) -> Rope {
        let mut rope = Rope::new();
        pieces.into_iter().for_each(|piece| rope.push_back(Chunk::from(piece)));
        rope
    }

    #[test]
    fn lent_bytes_come_back_as_they_are() {
        let lent = Bytes::from(vec![7; 1000]);
        let mut rope = Rope::from(lent.clone());
        let back = rope.split_to(100).into_bytes();
        assert_eq!((back.as_ptr(), back.len()), (lent.as_ptr(), 100));
        assert_eq!(rope.into_bytes().as_ptr(), lent[100..].as_ptr());
        assert!(Rope::from(Bytes::new()).into_bytes().is_empty());
    }

    #[test]
    fn a_buffer_of_ours_is_lent_until_it_is_let_go() {
        let mut slot = Arc::new(FrameBuf::new(64));
        let lent = Rope::from(Chunk::new(slot.clone(), 8..16)).into_bytes();
        assert_eq!((lent.as_ptr(), lent.len()), (slot.as_slice()[8..].as_ptr(), 8));
        let part = lent.slice(2..4);
        drop(lent);
        assert!(Arc::get_mut(&mut slot).is_none());
        drop(part);
        assert!(Arc::get_mut(&mut slot).is_some());
    }

    #[test]
    fn pieces_are_joined() {
        let rope = rope_of(vec![b"one ".to_vec(), b"two ".to_vec(), b"three".to_vec(), b" four".to_vec()]);
        assert_eq!(rope.into_bytes(), "one two three four");
    }

    #[test]
    fn lent_memory_is_never_written() {
        let lent = Bytes::from(vec![7; 4]);
        let mut buf = FrameBuf::from(lent.clone());
        buf.as_mut_slice()[0] = 8;
        assert_eq!((buf.as_slice(), &lent[..]), (&[8, 7, 7, 7][..], &[7; 4][..]));
    }

    proptest! {
        #[test]
        fn behaves_as_a_byte_queue(ops in proptest::collection::vec(op(), 0..60)) {
            let mut rope = Rope::new();
            let mut model: Vec<u8> = Vec::new();
            for op in ops {
                match op {
                    Op::Push(bytes) => {
                        model.extend(&bytes);
                        rope.push_back(Chunk::from(bytes));
                    }
                    Op::Append(pieces) => {
                        model.extend(pieces.concat());
                        rope.append(rope_of(pieces));
                    }
                    Op::Prepend(pieces) => {
                        model.splice(0..0, pieces.concat());
                        let mut front = rope_of(pieces);
                        front.append(core::mem::take(&mut rope));
                        rope = front;
                    }
                    Op::Pop => {
                        if let Some(chunk) = rope.pop_front() {
                            prop_assert!(!chunk.is_empty());
                            prop_assert_eq!(&chunk[..], &model[..chunk.len()]);
                            model.drain(..chunk.len());
                        } else {
                            prop_assert!(model.is_empty());
                        }
                    }
                    Op::SplitTo(at) => {
                        let head: Vec<u8> = model.drain(..at.min(model.len())).collect();
                        prop_assert_eq!(rope.split_to(at).to_vec(), head);
                    }
                    Op::Advance(count) => {
                        model.drain(..count.min(model.len()));
                        rope.advance(count);
                    }
                    Op::Truncate(len) => {
                        model.truncate(len);
                        rope.truncate(len);
                    }
                }
                prop_assert_eq!(rope.len(), model.len());
                prop_assert_eq!(rope.to_vec(), &model[..]);
                prop_assert!(rope.chunks().all(|chunk| !chunk.is_empty()));
                let middle = model.len() / 3..model.len() * 2 / 3;
                prop_assert_eq!(rope.slice(middle.clone()).to_vec(), &model[middle]);
            }
        }
    }
}
